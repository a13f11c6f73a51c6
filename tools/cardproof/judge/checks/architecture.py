"""Architecture: the words of a card's architecture list, compared with the layers of the network.

## What it does

The network runs once on torch's meta device, which needs no weights. The check notes which kinds of layers and
functions ran, and looks for each word of the list `Architecture`: Convolution, Batch Normalization, ReLU, Global
Average Pooling, Max Pooling, Residual Connection, Grouped Convolution and others, in any case and with the usual
synonyms.

A word is **refuted** only if the run proves that the layer is absent. It is **unchecked** if a run cannot decide it:
the name of a block that only its class could tell, or a word that this check does not know. The name of the model is
never used as evidence.

## Why

Lists are copied from card to card. A wrong word misleads everybody who filters models by it.

## Example

```markdown title="card.md"
# ResNet

<!--
Type: model-index
Models:
- Name: resnet18
  Metadata:
    Architecture: [Convolution, Layer Normalization]
-->
```

```console
$ cardproof audit card.md --zoo torchvision
card.md:8:33: error [architecture] Architecture of resnet18: card says Layer Normalization, found
    none
    No Layer Normalization runs in this network.
```

## Fix

No command fixes it, because the word that was meant is not known. By hand:

```diff
-    Architecture: [Convolution, Layer Normalization]
+    Architecture: [Convolution, Batch Normalization]
```

## Ignore

A comment with a reason turns the finding into a note:

```diff
-    Architecture: [Convolution, Layer Normalization]
+    # cardproof: ignore[architecture] norms are replaced before training
+    Architecture: [Convolution, Layer Normalization]
```

## Settings

`zoo`, `names`.
"""

from __future__ import annotations

from cardproof.core.types import Claim, Judgement
from cardproof.judge.checks import Check, Context
from cardproof.measure.count.architecture_words import word_presence

METHOD = "looked for among the layers and functions that ran on the meta device"


def judge(claim: Claim, context: Context) -> Judgement:
    """Judge one word of an architecture list."""
    answer = word_presence(claim.stated, context.run_counts.parts)
    if answer == "present":
        return Judgement(claim, "confirmed", "runs", allowed="exact", method=METHOD)
    if answer == "absent":
        explanation = f"No {claim.stated} runs in this network."
        return Judgement(claim, "refuted", "none", "", "exact", "", explanation, METHOD, discrepancies=("absent-part",))
    return Judgement(claim, "unchecked", reason="cannot be seen by running the network")


CHECK = Check("architecture", ("architecture",), judge, needs_run=True)

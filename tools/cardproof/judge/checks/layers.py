"""Layers: the depth that a card states, compared with the layers that ran.

## What it does

Counts the convolution and linear layers that run for one image. A stated depth is **confirmed** if it is this number.
Any other number is **unchecked**, and the reason names the layers that ran: papers leave out shortcuts or count
blocks, and another convention does not make a claim false. There are no findings.

## Why

Depth is often copied from another model, and it is one of the first numbers that readers compare.

## Example

```markdown title="card.md"
# ResNet

<!--
Type: model-index
Models:
- Name: resnet18
  Metadata:
    Layers: 18
-->
```

```console
$ cardproof audit card.md --zoo torchvision --verbose
1 claim unchecked: 21 convolution and linear layers ran; papers count layers in several ways
    card.md:8:13: Layers of resnet18 (18)
```

## Fix

Nothing needs a fix. The number that is confirmed:

```diff
-    Layers: 18
+    Layers: 21
```

## Ignore

Nothing needs to be ignored.

## Settings

`zoo`, `names`.
"""

from __future__ import annotations

from cardproof.core.types import Claim, Judgement, shorten
from cardproof.judge.checks import Check, Context

METHOD = "convolution and linear layers that ran on the meta device"


def judge(claim: Claim, context: Context) -> Judgement:
    """Judge a stated depth."""
    stated, layers = claim.number, context.run_counts.layers
    if stated is None or stated.unit or stated.value != stated.value.to_integral_value():
        reason = f"'{shorten(claim.stated)}' is not a number of layers"
        return Judgement(claim, "unchecked", layers, "layers", reason=reason)
    if stated.value == layers:
        return Judgement(claim, "confirmed", layers, "layers", "exact", "0", method=METHOD)
    reason = f"{layers} convolution and linear layers ran; papers count layers in several ways"
    return Judgement(claim, "unchecked", layers, "layers", method=METHOD, reason=reason)


CHECK = Check("layers", ("layers",), judge, needs_run=True)

"""Classes: the number of classes that a card states, compared with the number of scores of the network.

## What it does

Reads `Classes` or `Num Classes` and compares it with the network's output for one image: a row of scores, one for
each class. An equal number is **confirmed**, any other **refuted**.

It is **unchecked** if the output is not a row of scores, or if the network has one score more than the card has
classes: some networks have a first class for "none of these". A rounded number, such as `21k`, is confirmed or
unchecked.

## Why

Loading the weights into a network with another head fails, or gives predictions with wrong names.

## Example

```markdown title="card.md"
# ResNet

<!--
Type: model-index
Models:
- Name: resnet18
  Metadata:
    Classes: 100
-->
```

```console
$ cardproof audit card.md --zoo torchvision
card.md:8:14: error [classes] [*] Classes of resnet18: card says 100, network has 1,000
    The output for one image has 1,000 scores.
```

## Fix

Writes the number of scores.

```diff title="cardproof audit card.md --zoo torchvision --fix"
-    Classes: 100
+    Classes: 1000
```

## Ignore

A comment with a reason turns the finding into a note:

```diff
-    Classes: 100
+    Classes: 100  # cardproof: ignore[classes] these weights have a head of their own
```

## Settings

`zoo`, `names`, `tolerances`.
"""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from cardproof.core.numbers import has_own_scale
from cardproof.core.types import Claim, Judgement, shorten
from cardproof.judge.checks import Check, Context
from cardproof.judge.checks._counts import compare, is_within, tolerance_of

METHOD = "scores that the network puts out for one image on the meta device"


def judge(claim: Claim, context: Context) -> Judgement:
    """Judge a stated number of classes."""
    shape, stated = context.run_counts.output_shape, claim.number
    if stated is None or stated.unit:
        reason = claim.unread or f"'{shorten(claim.stated)}' is not a number of classes"
        return Judgement(claim, "unchecked", unit="classes", reason=reason)
    if len(shape) != 2:
        return Judgement(claim, "unchecked", unit="classes", reason="the output is not one score for each class")
    scores = shape[1]
    if has_own_scale(claim.stated):  # the classes of ImageNet-21k are 21,841
        if not is_within(scores, stated, tolerance_of(claim, context)):
            reason = f"the output has {scores:,} scores; '{claim.stated}' is rounded, and may be those of a data set"
            return Judgement(claim, "unchecked", scores, "classes", method=METHOD, reason=reason)
    else:
        stated = replace(stated, quantum=min(stated.quantum, Decimal(1)))  # 1000 classes are not about a thousand
    explanation = f"The output for one image has {scores:,} scores."
    judgement = compare(claim, stated, scores, "classes", METHOD, context, explanation, ("classes",))
    if judgement.verdict == "refuted" and scores == stated.value + 1:
        reason = f"the output has {scores:,} scores, of which the first may stand for no class"
        return Judgement(claim, "unchecked", scores, "classes", method=METHOD, reason=reason)
    return judgement


CHECK = Check("classes", ("classes",), judge, needs_run=True)

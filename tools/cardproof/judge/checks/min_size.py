"""Min size: the smallest image that a network takes, as the card states it.

## What it does

Reads `Min Size` and feeds the network a square image of that side, and one that is a pixel smaller on both sides, on
torch's meta device. The claim is **refuted** if the network rejects the size. It is **confirmed** if the network
takes it and rejects the smaller one, or if it is a single pixel.

It is **unchecked** if the network takes the smaller image too, because the card may mean the smallest useful size,
and if the size is not square.

## Why

A network that is fed a smaller image than it takes fails with an error from deep inside.

## Example

```markdown title="card.md"
# AlexNet

<!--
Type: model-index
Models:
- Name: alexnet
  Metadata:
    Min Size: 32
-->
```

```console
$ cardproof audit card.md --zoo torchvision
card.md:8:15: error [min-size] Min Size of alexnet: card says 32, the network refuses it
    The network rejects images of 32x32.
```

## Fix

No command fixes it: the smallest size is not searched for. By hand:

```diff
-    Min Size: 32
+    Min Size: 63
```

## Ignore

A comment with a reason turns the finding into a note:

```diff
-    Min Size: 32
+    Min Size: 32  # cardproof: ignore[min-size] with another first layer
```

## Settings

`zoo`, `names`.
"""

from __future__ import annotations

from cardproof.core.types import Claim, Judgement, shorten
from cardproof.judge.checks import Check, Context
from cardproof.read.models import channels_in

METHOD = "fed square images of this side, and one pixel less, on the meta device"


def judge(claim: Claim, context: Context) -> Judgement:
    """Judge a stated smallest size."""
    assert context.evidence
    size, takes = claim.size, dict(context.evidence.takes)
    if size is None or size[0] != size[1] or size[0] not in takes:
        reason = f"'{shorten(claim.stated)}' is not the side of a square image"
        return Judgement(claim, "unchecked", unit="pixels", reason=reason)
    channels = context.run_counts.input_shape[0]
    if channels_in(claim.stated) not in (None, channels):
        reason = f"the network takes images of {channels} channels"
        return Judgement(claim, "unchecked", unit="pixels", reason=reason)
    side = size[0]
    if not takes[side]:
        explanation = f"The network rejects images of {side}x{side}."
        return Judgement(
            claim, "refuted", "refuses it", "", "exact", "", explanation, METHOD, discrepancies=("min-size",)
        )
    if takes.get(side - 1):
        reason = f"the network also accepts images of {side - 1}x{side - 1}; the size may be the smallest of use"
        return Judgement(claim, "unchecked", unit="pixels", method=METHOD, reason=reason)
    return Judgement(claim, "confirmed", side, "pixels", "exact", "0", method=METHOD)


CHECK = Check("min-size", ("min size",), judge, needs_run=True)

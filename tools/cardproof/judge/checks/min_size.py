"""Min size: the smallest image that a card says its network takes.

**What it does.** Reads `Min Size` and feeds the network, on the meta device, a square image of that side, and one that
is a pixel smaller on both sides. A side that the network refuses is **refuted**. One that it takes while it refuses the
smaller one, or that is a single pixel, is **confirmed**.

**Why.** Somebody who feeds smaller images than a network takes learns of it from an error deep inside of it.

**Unchecked** if the network takes the smaller image too: the card may mean the smallest image that is of use.
And if the size is not square.

**Example.** `Min Size: 32` of timm's `inception_v3` gives `Min Size of inception_v3: card says 32, the network
refuses it`.

**Fix.** None: the smallest size is not looked for. **Settings.** `zoo`, `names`.
"""

from __future__ import annotations

from cardproof.core.types import Claim, Judgement, shorten
from cardproof.judge.checks import Check, Context
from cardproof.judge.checks._network import unchecked_reason
from cardproof.read.claims import channels_in

METHOD = "fed square images of this side, and one pixel less, on the meta device"


def judge(claim: Claim, context: Context) -> Judgement:
    """Judge a stated smallest size."""
    if why := unchecked_reason(context):
        return Judgement(claim, "unchecked", reason=why)
    assert context.evidence
    size, takes = claim.size, dict(context.evidence.takes)
    if size is None or size[0] != size[1] or size[0] not in takes:
        reason = f"'{shorten(claim.stated)}' is not the side of a square image"
        return Judgement(claim, "unchecked", unit="pixels", reason=reason)
    if context.counts and channels_in(claim.stated) not in (None, context.counts.input_shape[0]):
        reason = f"the network takes images of {context.counts.input_shape[0]} channels"
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


CHECK = Check("min-size", ("min size",), judge)

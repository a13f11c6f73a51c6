"""FLOPs: the network's multiply-adds at the card's image size.

**What it does.** Builds the network on the meta device, feeds one image of the card's `Image Size` (the zoo's input
size where the card states none), and counts the multiply-adds of every convolution, linear layer, matrix product and
attention product. A multiply-add counts once. Bias additions, normalisation, activations, pooling and resizing are
not counted. What cards call FLOPs are nearly always multiply-adds; the setting `flops: operations` compares with twice
as many.

**Why.** Of 271 FLOPs figures of one well-kept documentation, 255 are not what the networks compute. A number that is
off by a third makes a comparison of two models worthless.

**Compared** at the precision written: `5396798208` is exact, `4.17 G` has three digits. The setting `tolerances`
loosens it.

**Refuted claims are explained.** The check looks for the way of counting that gives the stated value: another input
size, an input that is not square, a factor of two, the classifier left out or another number of classes, batch norm or
pooling counted, FLOPs and parameters swapped, another model's value. It says which one matches exactly, or that none
does.

**Fix.** Writes the measured value at the claim's precision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cardproof.checks import Check, Context
from cardproof.checks._counts import judge_count
from cardproof.fields import FLOPS
from cardproof.words import Judgement

if TYPE_CHECKING:
    from cardproof.words import Claim


def judge(claim: Claim, context: Context) -> Judgement:
    """Judge a claim of multiply-adds."""
    unit = "operations" if context.settings.flops == "operations" else "multiply-adds"
    if context.evidence and context.evidence.refused:
        reason = f"the network takes no image of the card's size: {context.evidence.refused}"
        return Judgement(claim, "unchecked", unit=unit, reason=reason)
    size = "x".join(str(side) for side in context.counts.input_shape) if context.counts else ""
    return judge_count(claim, context, "flops", unit, f"{unit} counted on the meta device for one {size} image")


CHECK = Check("flops", FLOPS, judge, page=__doc__)

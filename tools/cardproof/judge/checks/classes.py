"""Classes: how many classes a card states, against the scores that the network puts out.

**What it does.** Reads `Classes` or `Num Classes` and compares it with the output for one image: a row of scores, one
for each class. Equal is **confirmed**, another number **refuted**.

**Why.** Whoever loads weights into a network with another head gets an error, or predictions under wrong names.

**Unchecked** where the output is no row of scores, and where the network has one score more than the card has classes:
some networks have a first class that stands for none of them.

**Fix.** Writes the number of scores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cardproof.core.field_names import CLASSES
from cardproof.core.numbers import parse_number
from cardproof.core.types import Judgement
from cardproof.judge.checks import Check, Context
from cardproof.judge.checks._counts import allowed_text, fix_of, signed, tolerance_of, within
from cardproof.judge.checks._network import mistaken

if TYPE_CHECKING:
    from cardproof.core.types import Claim

METHOD = "scores that the network puts out for one image on the meta device"


def judge(claim: Claim, context: Context) -> Judgement:
    """Judge a stated number of classes."""
    if context.counts is None:
        return Judgement(claim, "unchecked", reason=f"not measured: {context.missing}")
    if why := mistaken(context):
        return Judgement(claim, "unchecked", reason=why)
    shape, stated = context.counts.output_shape, parse_number(claim.stated, "count")
    if stated is None or stated.unit:
        return Judgement(claim, "unchecked", unit="classes", reason=f"'{claim.stated}' is not a number of classes")
    if len(shape) != 2:
        return Judgement(claim, "unchecked", unit="classes", reason="the output is not one score for each class")
    scores, tolerance = shape[1], tolerance_of(claim, context)
    allowed, difference = allowed_text(tolerance, stated), signed(scores - stated.value, stated.value)
    if within(scores, stated, tolerance):
        return Judgement(claim, "confirmed", scores, "classes", allowed, difference, method=METHOD)
    if scores == stated.value + 1:
        reason = f"the output has {scores:,} scores, of which the first may stand for no class"
        return Judgement(claim, "unchecked", scores, "classes", method=METHOD, reason=reason)
    explanation = f"The output for one image has {scores:,} scores."
    fix = fix_of(claim, stated, scores)
    return Judgement(
        claim, "refuted", scores, "classes", allowed, difference, explanation, METHOD, "", fix, faults=("classes",)
    )


CHECK = Check("classes", CLASSES, judge, page=__doc__)

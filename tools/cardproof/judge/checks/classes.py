"""Classes: how many classes a card states, against the scores that the network puts out.

**What it does.** Reads `Classes` or `Num Classes` and compares it with the output for one image: a row of scores, one
for each class. Equal is **confirmed**, another number **refuted**.

**Why.** Whoever loads weights into a network with another head gets an error, or predictions under wrong names.

**Unchecked** if the output is not a row of scores, or if the network has one score more than the card has classes:
some networks have a first class that stands for none of them.

**Example.** `Classes: 100` gives `Classes of res2next50 says 100, measured 1000`.

**Fix.** Writes the number of scores. **Settings.** `zoo`, `names`, `tolerances`.
"""

from __future__ import annotations

from cardproof.core.types import Claim, Judgement
from cardproof.judge.checks import Check, Context
from cardproof.judge.checks._counts import compare
from cardproof.judge.checks._network import unchecked_reason

METHOD = "scores that the network puts out for one image on the meta device"


def judge(claim: Claim, context: Context) -> Judgement:
    """Judge a stated number of classes."""
    if why := unchecked_reason(context):
        return Judgement(claim, "unchecked", reason=why)
    assert context.counts
    shape, stated = context.counts.output_shape, claim.number
    if stated is None or stated.unit:
        return Judgement(claim, "unchecked", unit="classes", reason=f"'{claim.stated}' is not a number of classes")
    if len(shape) != 2:
        return Judgement(claim, "unchecked", unit="classes", reason="the output is not one score for each class")
    scores = shape[1]
    explanation = f"The output for one image has {scores:,} scores."
    judgement = compare(claim, stated, scores, "classes", METHOD, context, explanation, ("classes",))
    if judgement.verdict == "refuted" and scores == stated.value + 1:
        reason = f"the output has {scores:,} scores, of which the first may stand for no class"
        return Judgement(claim, "unchecked", scores, "classes", method=METHOD, reason=reason)
    return judgement


CHECK = Check("classes", ("classes",), judge)

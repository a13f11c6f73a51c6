"""Results: stated accuracies against named sources.

**What it does.** Compares each metric with the cited results of the setting `cited`: a small file of values that named
sources publish, each with its address and date. Equal to a source at the precision written (the coarser of the two):
**cited**. Equal to one source while another differs by more than `sources_agree` percentage points, or equal to none
of several: **disputed**, and the reason names each source with its value. No source: **unchecked**, with what is
missing.

Nothing is confirmed here: that takes an evaluation with weights and data.

**Why.** An accuracy is copied more often than it is measured, and evaluations of one set of weights differ with the
image library, the crop and the person.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cardproof.checks import Check, Context
from cardproof.numbers import parse_number, show_count
from cardproof.words import Judgement, Number

if TYPE_CHECKING:
    from cardproof.words import Claim


def judge(claim: Claim, context: Context) -> Judgement:
    """Judge a stated metric by what named sources say."""
    stated = points(claim.stated)
    if stated is None:
        return Judgement(claim, "unchecked", reason=f"'{claim.stated}' is not a number")
    sources = [
        (source, value)
        for source in context.cited
        if (value := source.value(claim.model, claim.dataset or "", claim.field)) is not None
    ]
    unit = "%" if stated.unit == "%" else ""
    if not sources:
        return Judgement(
            claim,
            "unchecked",
            unit=unit,
            reason="not evaluated: no weights and data here, and no cited source",
        )
    equal = [(source, value) for source, value in sources if _equal(stated, value)]
    margin = context.settings.sources_agree
    far = [(source, value) for source, value in sources if abs(value.value - stated.value) > margin]
    if equal and not far:
        source = equal[0][0]
        method = f"equal to {source.title} ({source.url}, retrieved {source.retrieved})"
        reason = "not evaluated here"
        allowed = f"sources within {show_count(margin)} points"
        return Judgement(claim, "cited", float(equal[0][1].value), unit, allowed, "0", method=method, reason=reason)
    reason = "sources differ: " + "; ".join(f"{source.title} has {source.text(value)}" for source, value in sources)
    nearest = min(sources, key=lambda pair: abs(pair[1].value - stated.value))[1]
    differing = float(far[0][1].value if equal else nearest.value)
    difference = f"{differing - float(stated.value):+.3f}".replace("-", "−")
    return Judgement(claim, "disputed", differing, unit, "equal to a source", difference, reason=reason)


def points(text: str) -> Number | None:
    """Return an accuracy in percentage points; ``0.7824`` without a sign is a fraction."""
    number = parse_number(text, "plain")
    if number is None or number.unit not in ("", "%"):
        return None
    if not number.unit and "." in text and number.value <= 1:
        return Number(number.value * 100, number.quantum * 100, "%")
    return number


def _equal(stated: Number, source: Number) -> bool:
    return abs(stated.value - source.value) * 2 <= max(stated.quantum, source.quantum)


CHECK = Check("results", judge=judge, results=True, page=__doc__)

"""Runs for tests of outlets, put together of findings and claims without measuring anything."""

from __future__ import annotations

from collections import Counter

from cardproof.core.types import Claim, Finding, Fix, Judgement, Place
from cardproof.judge.card_report import CardReport, claim_row
from cardproof.report.run import Run


def run_of(*findings: Finding, judgements: tuple[Judgement, ...] = (), blocks: tuple[dict, ...] = ()) -> Run:
    """Return a run of one card that says this."""
    tally: dict[str, Counter[str]] = {}
    for one in judgements:
        tally.setdefault(one.claim.field, Counter())[one.verdict] += 1
    rows = [claim_row(one) for one in judgements]
    full = {"claims": rows, "published": [], "blocks": list(blocks), "models": [], "headers": []}
    return Run([CardReport("card.md", (), findings, tally, 0, {}, (), (), 0, {}, (), full=lambda: full)])


def refuted(
    stated: str = "55377", model: str = "tiny", field: str = "FLOPs", line: int = 15, **finding: object
) -> tuple[Finding, Judgement]:
    """Return a refuted claim, as a finding and as a judgement."""
    place = Place("card.md", line, 12, 17)
    judgement = Judgement(Claim(model, field, stated, place, 55377), "refuted", 55376, explanation="Off by one.")
    message = f"{field} of {model} says {stated}, measured 55376"
    fix = Fix(line, 12, 17, "55376", safe=True)
    given = {"severity": "error", "hint": "Off by one.", "fix": fix, **finding}
    return Finding(place, "flops", message=message, **given), judgement


def judged(verdict: str, field: str, line: int, reason: str = "", model: str = "tiny") -> Judgement:
    """Return a claim with a verdict that no finding speaks of."""
    return Judgement(Claim(model, field, "1", Place("card.md", line, 5), 1), verdict, reason=reason)

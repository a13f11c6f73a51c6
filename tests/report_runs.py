"""Runs for tests of reports, put together of findings and claims without measuring anything."""

from __future__ import annotations

from collections import Counter
from typing import Any

from cardproof.core.types import Finding, Fix, Judgement, Place
from cardproof.judge.card_report import CardLists, CardReport, claim_row, statement
from cardproof.read.models import make_claim
from cardproof.report.finished_run import Run


def run_of(*findings: Finding, judgements: tuple[Judgement, ...] = (), blocks: tuple[dict, ...] = ()) -> Run:
    """Return a run of one card that says this."""
    tally: dict[str, Counter[str]] = {}
    for one in judgements:
        tally.setdefault(one.claim.field, Counter())[one.verdict] += 1
    full = CardLists(judgements, blocks=blocks)
    return Run([CardReport("card.md", (), findings, tally, 0, {}, (), (), 0, {}, (), full=lambda: full)])


def claim_rows(run: Run) -> list[dict[str, Any]]:
    """Return the claims of a run as ``--json`` prints them."""
    return [claim_row(judgement) for card in run.cards for judgement in card.full().claims]


def refuted(
    stated: str = "55377", model: str = "tiny", field: str = "FLOPs", line: int = 15, **finding: object
) -> tuple[Finding, Judgement]:
    """Return a refuted claim, as a finding and as a judgement."""
    place = Place("card.md", line, 12, 17)
    judgement = Judgement(make_claim(model, field, stated, place), "refuted", 55376, explanation="Off by one.")
    message = f"{statement(field, model, stated)}, measured 55376"
    fix = Fix(line, 12, 17, "55376", safe=True)
    given = {"severity": "error", "hint": "Off by one.", "fix": fix, **finding}
    return Finding(place, "flops", message=message, **given), judgement


def judged(verdict: str, field: str, line: int, reason: str = "", model: str = "tiny") -> Judgement:
    """Return a claim with a verdict that no finding speaks of."""
    return Judgement(make_claim(model, field, "1", Place("card.md", line, 5)), verdict, reason=reason)

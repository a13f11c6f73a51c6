"""Judge: claims against evidence, to verdicts and findings. Pure: nothing is read, run or written here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cardproof.checks import Context, all_checks, check_of
from cardproof.fields import normal_field
from cardproof.words import Claim, Evidence, Finding, Judgement, Need

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cardproof.cited import CitedSource
    from cardproof.read import Reading
    from cardproof.read.index import Model
    from cardproof.settings import Settings


@dataclass(frozen=True, slots=True)
class Verdicts:
    """All judgements of a run, and what a person must see."""

    judgements: tuple[Judgement, ...]
    """Of the cards' own claims, in the order of cards and claims."""
    published: tuple[Judgement, ...]
    """Of values that cards report as published elsewhere; they are shown and never counted."""
    findings: tuple[Finding, ...]

    def without(self, files: set[str]) -> Verdicts:
        """Return the verdicts of all cards but those in these files."""
        return Verdicts(
            tuple(judgement for judgement in self.judgements if judgement.card not in files),
            tuple(judgement for judgement in self.published if judgement.card not in files),
            tuple(finding for finding in self.findings if finding.place.file not in files),
        )


def judge(
    reading: Reading,
    needs: Mapping[tuple[str, str], Need],
    evidence: Mapping[Need, Evidence],
    settings: Settings,
    cited: tuple[CitedSource, ...],
) -> Verdicts:
    """Judge every claim of every card."""
    counts = {need.model: found.counts for need, found in evidence.items() if found.counts}
    judgements: list[Judgement] = []
    published: list[Judgement] = []
    findings = list(reading.findings) + _duplicates(reading)
    for card in reading.cards:
        for model, claims in zip(card.models, card.claims_of, strict=True):
            found = evidence.get(needs[card.file, model.name])
            context = Context(model, claims, settings, found, _missing(found, settings), counts, cited)
            for claim in context.claims:
                judgement = replace(judge_claim(claim, context), card=card.file)
                (published if claim.published else judgements).append(judgement)
                if not claim.published and (finding := _finding(judgement)):
                    findings.append(finding)
            for check in all_checks():
                if check.look:
                    findings += check.look(context)
    order = {"error": 0, "warning": 1, "note": 2}
    findings.sort(key=lambda f: (f.place.file, f.place.line, f.place.column, order[f.severity], f.check, f.message))
    return Verdicts(tuple(judgements), tuple(published), tuple(_without_rival_fixes(findings)))


def judge_claim(claim: Claim, context: Context) -> Judgement:
    """Judge one claim by the check of its field; without one it is unchecked, and the reason says so."""
    check = check_of(claim, normal_field(claim.field))
    if check is None or check.judge is None:
        return Judgement(claim, "unchecked", reason="nothing measures this field")
    return check.judge(claim, context)


def _missing(found: Evidence | None, settings: Settings) -> str:
    """Say why there are no counts of a model; empty where there are some."""
    if found is None:
        return "no zoo was named (--zoo)" if settings.zoo is None else f"nothing was measured with zoo '{settings.zoo}'"
    return found.error or ""


def _finding(judgement: Judgement) -> Finding | None:
    """Return what a person must see of a judgement: refuted claims are errors, disputed ones warnings."""
    claim = judgement.claim
    check = check_of(claim, normal_field(claim.field))
    name = check.name if check else "reading"
    if judgement.verdict == "refuted":
        verb = {"architecture": "found", "preprocessing": "the zoo has"}.get(name, "measured")
        message = f"{claim.field} of {claim.model} says {claim.stated}, {verb} {judgement.found}"
        return Finding(claim.place, name, "error", message, judgement.explanation, judgement.fix)
    if judgement.verdict == "disputed":
        message = f"{claim.field} of {claim.model} says {claim.stated}; {judgement.reason}"
        return Finding(claim.place, name, "warning", message)
    return None


def _without_rival_fixes(findings: list[Finding]) -> Iterator[Finding]:
    """Take the fix off a finding where an error at the same characters brings another: one place is edited once."""
    taken = {(f.place.file, f.fix.line, f.fix.column) for f in findings if f.fix and f.severity == "error"}
    for finding in findings:
        fix = finding.fix
        rival = fix and finding.severity != "error" and (finding.place.file, fix.line, fix.column) in taken
        yield replace(finding, fix=None) if rival else finding


def _duplicates(reading: Reading) -> list[Finding]:
    """Report models that are defined twice, once for each pair of places."""
    first: dict[str, Model] = {}
    findings = []
    for model in sorted(reading.models, key=lambda model: model.place):
        if model.name in first:
            message = f"model {model.name} is defined here and at {first[model.name].place}"
            findings.append(Finding(model.place, "duplicate-model", "error", message, "keep one of the two"))
        first.setdefault(model.name, model)
    return findings

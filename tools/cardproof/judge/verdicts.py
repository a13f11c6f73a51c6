"""From claims and evidence to verdicts and findings. Nothing is read, run or written here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

from msgspec import Struct, field
from msgspec.structs import replace

from cardproof.core.errors import boundary
from cardproof.core.measurements import Totals
from cardproof.core.numbers import is_coarse, show_count
from cardproof.core.settings import Settings
from cardproof.core.types import Claim, Finding, Judgement, Need, Place, shorten
from cardproof.judge.card_report import sort_findings, statement
from cardproof.judge.checks import CardContext, Context, all_checks, check_of
from cardproof.judge.checks._counts import tolerance_of
from cardproof.judge.checks._network import unchecked_reason
from cardproof.judge.columns import judge_columns
from cardproof.judge.other_networks import (
    COUNTS,
    Judged,
    as_unchecked,
    set_aside_other_subjects,
    set_aside_outvoted,
    with_sibling_head,
)
from cardproof.measure.gather import GatheredEvidence
from cardproof.plan.local_files import LocalFiles
from cardproof.read import Card, Reading
from cardproof.read.cited_results import CitedSource
from cardproof.read.table_subject import Subject, subjects_of

OF_NETWORK = (*COUNTS, "classes")
"""Checks whose found value is a number of the network."""

FOUND = {"architecture": "found", "min-size": "the network", "preprocessing": "the zoo has", "recipe": "the recipe has"}
"""Verb before the found value, for checks that do not measure it."""


class Verdicts(Struct, frozen=True):
    """All judgements and findings of a run, by the card's file."""

    judgements: dict[str, tuple[Judgement, ...]]
    """Of the cards' own claims, in the order of the claims."""
    published: dict[str, tuple[Judgement, ...]]
    """Of values that cards report as published elsewhere; reports show them and never count them."""
    findings: dict[str, tuple[Finding, ...]]
    """In order of their places."""
    by_model: dict[tuple[str, str], ModelVerdicts]
    """The same judgements by the card's file and the model's name."""

    def of_model(self, card: str, model: str) -> ModelVerdicts:
        """Return the judgements about one model of a card."""
        return self.by_model.get((card, model), ModelVerdicts())


class ModelVerdicts(Struct):
    """The judgements about one model, in the order of its claims."""

    own: list[Judgement] = field(default_factory=list)
    published: list[Judgement] = field(default_factory=list)


def judge(
    reading: Reading,
    needs: Mapping[tuple[str, str], Need],
    proved: GatheredEvidence,
    settings: Settings,
    cited: tuple[CitedSource, ...],
    others: Mapping[str, Totals] | None = None,
    local_files: Mapping[str, LocalFiles] | None = None,
    faults: Iterable[Finding] = (),
) -> Verdicts:
    """Judge every claim of every card; ``others`` are the counts of models of cards that were not read.

    ``faults`` are findings about the cards from before. An error in one check, or in one pass over all judgements of a
    card, is a finding, and the rest goes on.
    """
    totals = dict(others or {}) | {
        need.model: Totals(found.counts.parameters, found.counts.multiply_adds)
        for need, found in proved.evidence.items()
        if found.counts
    }
    verdicts = Verdicts({}, {}, {}, {})
    before: dict[str, list[Finding]] = {}
    for fault in faults:
        before.setdefault(fault.place.file, []).append(fault)
    for card in reading.cards:
        of_card = before.get(card.file, [])
        start = Place(card.file, 1, 1)
        subjects: dict[Place, Subject] = {}
        with boundary(of_card.append, start, "subject", "in reading what the tables are about"):
            subjects = subjects_of(card.tables, card.claims_of)
        files = (local_files or {}).get(card.file) or LocalFiles()
        contexts = []
        for model, claims in zip(card.models, card.claims_of, strict=True):
            need = needs[card.file, model.key]
            found = proved.evidence.get(need)
            reasons = {name: why for name in need.datasets if (why := proved.unevaluated.get((need, name)))}
            recipe = proved.recipes.get(need) or (found.recipe if found else None)
            local = (files.weights.get(model.key), files.code.get(model.key))
            contexts.append(
                Context(model, claims, settings, found, totals, cited, reasons, recipe, *local, need.network, subjects)
            )
        judged, decided = _judge_card(card, contexts, of_card)
        of_card += files.refused
        for one in judged:
            of_model = verdicts.by_model.setdefault((card.file, one.context.model.key), ModelVerdicts())
            (of_model.published if one.claim.published else of_model.own).append(one.judgement)
        models = tuple(replace(context, decided=decided) for context in contexts)
        _run_checks(CardContext(card, models, files, settings.zoo is not None), of_card)
        verdicts.judgements[card.file] = tuple(one.judgement for one in judged if not one.claim.published)
        verdicts.published[card.file] = tuple(one.judgement for one in judged if one.claim.published)
        verdicts.findings[card.file] = tuple(sort_findings(_without_rival_fixes(of_card)))
    return verdicts


def _judge_card(card: Card, contexts: list[Context], of_card: list[Finding]) -> tuple[list[Judged], set[Place]]:
    """Judge all claims of a card: each alone, then by what its table is about, by its column, and by the votes of the
    rows; add the findings.

    Returns the judgements, and the places of those that say whether the zoo's network is the card's.
    """
    neighbours = tuple(contexts)
    judged = []
    for context in (replace(context, neighbours=neighbours) for context in contexts):
        judgements = (_judge_claim(claim, context, of_card) for claim in context.claims)
        judged += [Judged(replace(judgement, card=card.file), context) for judgement in judgements]
    alone = [one.judgement for one in judged]
    passed = False
    with boundary(of_card.append, Place(card.file, 1, 1), "subject", "in judging the claims of this card together"):
        findings = [
            *set_aside_other_subjects(judged, card.tables),
            *judge_columns(judged),
            *set_aside_outvoted(judged, card.tables),
        ]
        for one in judged:  # they had their votes
            _set_aside_if_coarse(one)
        of_card += findings
        passed = True
    if not passed:  # what they would have set aside must not stand
        reason = "an internal error: the claims of this card were not judged together"
        for one, judgement in zip(judged, alone, strict=True):
            one.judgement = as_unchecked(judgement, judgement.reason or reason)
    decided = {
        one.claim.place
        for one, before in zip(judged, alone, strict=True)
        if one.judgement != before or one.context.model.doubt or one.judgement.verdict in ("confirmed", "refuted")
    }
    own = (_finding(one.judgement) for one in judged if not one.claim.published and not one.merged)
    of_card += [*card.findings, *filter(None, own)]
    return judged, decided


def _run_checks(card: CardContext, of_card: list[Finding]) -> None:
    for check in all_checks():
        for context in card.models if check.check_model else ():
            assert check.check_model
            doing = f"in the check '{check.name}' of {context.model.name}"
            with boundary(of_card.append, context.model.place, check.name, doing):
                of_card += check.check_model(context)
        if check.check_card:
            with boundary(of_card.append, Place(card.card.file, 1, 1), check.name, f"in the check '{check.name}'"):
                of_card += check.check_card(card)


def _judge_claim(claim: Claim, context: Context, of_card: list[Finding]) -> Judgement:
    """Judge one claim; if its check fails, it is unchecked, and a finding says why."""
    errors: list[Finding] = []
    check = check_of(claim)
    name = check.name if check else "reading"
    with boundary(errors.append, claim.place, name, f"in the check '{name}' of {context.model.name}"):
        return judge_claim(claim, context)
    of_card += errors
    return Judgement(claim, "unchecked", reason=errors[0].message, check=name)


def judge_claim(claim: Claim, context: Context) -> Judgement:
    """Judge one claim by the check of its field; without a check it is unchecked."""
    check = check_of(claim)
    if check is None or check.judge is None:
        return Judgement(claim, "unchecked", reason="Cardproof cannot check this field")
    if why := context.model.doubt or (unchecked_reason(context) if check.needs_run else ""):
        return Judgement(claim, "unchecked", reason=why, check=check.name)
    judgement = with_sibling_head(replace(check.judge(claim, context), check=check.name), context)
    return _weaken_approximate(judgement) if claim.number and claim.number.about else judgement


def _weaken_approximate(judgement: Judgement) -> Judgement:
    if judgement.verdict in ("refuted", "disputed"):
        return as_unchecked(judgement, f"the card says 'about': {show_found(judgement.found)} may be meant")
    if judgement.verdict in ("confirmed", "cited"):
        return replace(judgement, method=f"{judgement.method}; the card says 'about'")
    return judgement


def _set_aside_if_coarse(one: Judged) -> None:
    """Set aside a confirmed count that is not equal to the measured one, and whose few digits fit many networks."""
    claim, stated, found = one.claim, one.claim.number, one.judgement.found
    if one.judgement.verdict != "confirmed" or one.judgement.check not in (*COUNTS, "file-size") or stated is None:
        return  # without a number it is equal to the digit
    assert isinstance(found, int)
    is_written = tolerance_of(claim, one.context).kind == "written"
    if found == stated.value or not is_written or not is_coarse(found, stated, claim.stated):
        return
    written = "with one digit" if stated.digits == 1 else f"to ±{show_count(stated.quantum / 2)}"
    one.set_aside(f"written {written}: {shorten(claim.stated)} says too little to be checked")


def _finding(judgement: Judgement) -> Finding | None:
    claim, name = judgement.claim, judgement.check
    said = statement(claim.field, claim.model, claim.stated)
    if judgement.verdict == "refuted":
        message = f"{said}, {_found_text(judgement)}"
        return Finding(claim.place, name, "error", message, judgement.explanation, judgement.fix)
    if judgement.verdict == "disputed":
        return Finding(claim.place, name, "warning", f"{said}; {judgement.reason}")
    return None


def show_found(found: object) -> str:
    """Write a found value for a reader: whole numbers with commas."""
    return f"{found:,}" if isinstance(found, int) else str(found)


def _found_text(judgement: Judgement) -> str:
    """Return what was found in place of a refuted value; of a number also how far it is off."""
    found, stated = judgement.found, judgement.claim.number
    verb = "network has" if judgement.check in OF_NETWORK else FOUND.get(judgement.check, "measured")
    said = f"{verb} {show_found(found)}"
    if judgement.check not in COUNTS or not isinstance(found, int) or stated is None or stated.value <= 0:
        return said
    percent = (found - stated.value) / stated.value * 100
    is_telling = Decimal("0.05") <= abs(percent) < 1000 and percent > -99
    return f"{said} ({'+' if percent > 0 else '−'}{abs(percent):.1f} %)" if is_telling else said


def _without_rival_fixes(findings: list[Finding]) -> Iterator[Finding]:
    """Remove the fix of a finding if an error has one for the same characters: one place is edited once."""
    edited = {(f.place.file, f.fix.line, f.fix.column) for f in findings if f.fix and f.severity == "error"}
    for finding in findings:
        fix = finding.fix
        rival = fix and finding.severity != "error" and (finding.place.file, fix.line, fix.column) in edited
        yield replace(finding, fix=None) if rival else finding

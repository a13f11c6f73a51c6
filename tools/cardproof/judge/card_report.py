"""One card's part of a report, as plain data: made in this build, or stored by an earlier one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, convert, field, to_builtins
from msgspec.structs import asdict

from cardproof.core.measurements import Totals
from cardproof.core.numbers import equal_as_written, parse_number
from cardproof.core.paths import show_path
from cardproof.core.secrets import mask_all, masked
from cardproof.core.types import Finding, Judgement, Place, ShownVerdict, Verdict, shorten

if TYPE_CHECKING:
    from cardproof.read import Card, Model
    from cardproof.snippets.results import BlockResult, PageRun


class Score(Struct, frozen=True):
    """A model's top-1 accuracy on one data set, in percent, with the verdict on it."""

    dataset: str
    value: float
    verdict: Verdict


class ModelRow(Struct, frozen=True):
    """One model of the site in a table."""

    name: str
    anchor: str
    page: Path
    collections: tuple[str, ...]
    values: Mapping[str, str]
    """Field as written -> text in the table."""
    parameters: int | None = None
    """As measured."""
    multiply_adds: int | None = None
    """As measured."""
    milliseconds: float | None = None
    """For one image, as measured."""
    scores: tuple[Score, ...] = ()
    verdicts: tuple[tuple[ShownVerdict, int], ...] = ()
    """Number of its claims by verdict."""
    marks: Mapping[str, ShownVerdict] = field(default_factory=dict)
    """Field as written -> verdict on the value in the table; of several values, the one that needs attention first."""
    first: Mapping[Verdict, str] = field(default_factory=dict)
    """Refuted or disputed -> anchor of the first claim with this verdict."""
    listing: str = ""
    """A ``ModelSummary`` for lists of all models, as text: most builds never decode it."""


class ModelDefinition(Struct, frozen=True):
    """A model as one card defines it, with the results that two cards may state differently."""

    name: str
    place: Place
    results: tuple[tuple[str, str], ...] = ()
    """Metric with its data set, or parameters or FLOPs, and the stated value."""
    by_index: bool = True
    """Whether a model index defines it; only an index must not define a model twice."""


class CardLists(Struct, frozen=True):
    """The long lists of a report on one card, which most reports do not need."""

    claims: tuple[Judgement, ...] = ()
    published: tuple[Judgement, ...] = ()
    blocks: tuple[dict[str, Any], ...] = ()
    """Of its snippets, as ``--json`` prints them; models and headers likewise."""
    models: tuple[dict[str, Any], ...] = ()
    headers: tuple[dict[str, Any], ...] = ()


class CardFacts(Struct, frozen=True):
    """The short part of a report on one card, and what other cards depend on."""

    file: str
    defined: tuple[ModelDefinition, ...]
    """Its models."""
    findings: tuple[Finding, ...]
    tally: Mapping[str, Mapping[str, int]]
    """Field as written -> verdict -> number of claims."""
    explained: int
    """Number of refuted counts that a way of counting gives exactly."""
    statuses: Mapping[str, int]
    """Of the blocks of its snippets."""
    exercised: tuple[str, ...]
    """Models that its snippets ran for."""
    devices: tuple[str, ...]
    """Devices that they ran on."""
    runs: int
    """Number of runs of its snippets, one for each model and device."""
    totals: Mapping[str, Totals]
    """Counts of its models, by name."""
    rows: tuple[ModelRow, ...]
    """Its models in tables of the site."""
    pages: tuple[tuple[str, str], ...] = ()
    """Its pages, with the template of each."""
    outputs: tuple[str, ...] = ()
    """All files that are written for it."""
    folders: Mapping[str, int] = field(default_factory=dict)
    """Folders of its models in the catalog, with the number of badges in each."""
    generated: int = 0
    """Number of confirmed claims whose values were copied from the measurement."""
    across: Mapping[str, bool] = field(default_factory=dict)
    """What it used of other cards: ``totals`` to explain a count, ``rows`` for a list, ``standing`` for a plot."""
    not_checkable: Mapping[str, int] = field(default_factory=dict)
    """Field as written -> number of claims that no check judges; they are among the unchecked ones."""

    @property
    def models(self) -> tuple[tuple[str, Place], ...]:
        """Names of its models, with the places of their definitions."""
        return tuple((model.name, model.place) for model in self.defined)


class CardReport(CardFacts, frozen=True):
    """One card's part of a report."""

    full: Callable[[], CardLists] = CardLists


def sort_findings(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings by place, the most severe first."""
    order = {"error": 0, "warning": 1, "note": 2}
    return sorted(findings, key=lambda f: (*f.place.start, order[f.severity], f.check, f.message))


def statement(field: str, model: str, stated: str) -> str:
    """Return the words that a finding about a claim begins with."""
    return masked(f"{shorten(field)} of {shorten(model)}: card says {shorten(stated)}")


def is_checkable(judgement: Judgement) -> bool:
    """Return whether a check judges the field of a claim."""
    return bool(judgement.check) or judgement.verdict != "unchecked"


def definitions_in(card: Card) -> tuple[ModelDefinition, ...]:
    return tuple(
        ModelDefinition(
            model.name,
            model.place,
            tuple(
                (claim.label, claim.stated)
                for claim in claims
                if claim.metric or (claim.is_field and claim.kind in ("parameters", "flops"))
            ),
            model.form == "index",
        )
        for model, claims in zip(card.models, card.claims_of, strict=True)
    )


def _are_equal(one: str, other: str) -> bool:
    """Return whether two stated values are equal at the precision of one of them: 25.56M and 25557032."""
    first, second = parse_number(one, "count"), parse_number(other, "count")
    if one == other or first is None or second is None:
        return one == other
    return equal_as_written(first.value, second) or equal_as_written(second.value, first)


def duplicates(models: Iterable[ModelDefinition]) -> list[Finding]:
    """Report models that are defined twice, with the results that differ."""
    first: dict[str, ModelDefinition] = {}
    findings = []
    for model in sorted((model for model in models if model.by_index), key=lambda model: model.place.start):
        earlier = first.get(model.name)
        if earlier and earlier.place == model.place:
            message = f"an alias lists model {model.name} again, which is defined here"
            findings.append(Finding(model.place, "duplicate-model", "error", message, "remove the alias"))
        elif earlier:
            message = f"model {model.name} is defined here and at {earlier.place}"
            before = dict(earlier.results)
            differing = [
                f"{metric}: {before[metric]} there, {value} here"
                for metric, value in model.results
                if metric in before and not _are_equal(before[metric], value)
            ]
            if differing:
                message += f", and the two disagree: {'; '.join(differing)}"
            findings.append(Finding(model.place, "duplicate-model", "error", message, "keep one of the two"))
        first.setdefault(model.name, model)
    return list(dict.fromkeys(findings))


def is_generated(card: Card, judgement: Judgement) -> bool:
    """Return whether a confirmed claim was copied from the measurement, so that being equal proves nothing."""
    claim = judgement.claim
    copied = claim.number is None or str(judgement.found) == claim.stated
    return bool(card.generated) and judgement.verdict == "confirmed" and claim.is_field and copied


OF_CLAIM = ("model", "field", "dataset", "task", "metric", "stated")
OF_JUDGEMENT = ("found", "unit", "verdict", "allowed", "difference", "explanation", "explained")
"""Keys of a claim in ``--json`` that are its attributes, and those of its judgement."""


def claim_row(judgement: Judgement) -> dict[str, Any]:
    """Return a judgement as ``--json`` prints it, with the secrets in its texts masked."""
    claim, place = judgement.claim, judgement.claim.place
    row = {
        "file": place.file,
        "line": place.line,
        "column": place.column,
        "card": judgement.card,
        **{name: getattr(claim, name) for name in OF_CLAIM},
        **{name: getattr(judgement, name) for name in OF_JUDGEMENT},
        "faults": judgement.discrepancies,
        "method": judgement.method,
        "reason": judgement.reason,
        "published": claim.published,
        "interval": judgement.interval,
    }
    return {key: masked(value) if isinstance(value, str) else value for key, value in row.items()}


def block_row(run: PageRun, block: BlockResult) -> dict[str, Any]:
    """Return the result of a block as ``--json`` prints it."""
    return {
        "file": block.file,
        "line": block.line,
        "status": block.status,
        "message": block.message and masked(block.message),
        "expected_line": block.expected_line,
        "seconds": block.seconds,
        "device": run.device,
        "output": block.output and masked(block.output),
        "model": run.model,
        "hint": block.hint,
        "warnings": list(block.warnings),
        "random_weights": run.random_weights,
    }


def model_row(card: Card, model: Model) -> dict[str, Any]:
    """Return a model of a card as ``--json`` prints it."""
    return {
        "name": model.name,
        "file": card.file,
        "line": model.place.line,
        "collections": list(model.collections),
        "metadata": mask_all(model.metadata.plain()) if model.metadata else {},
    }


def facts_of(report: CardReport) -> dict[str, Any]:
    """Return a report as plain data, without its long lists."""
    facts: dict[str, Any] = to_builtins(convert(report, CardFacts, from_attributes=True), enc_hook=show_path)
    return facts


def from_facts(facts: Mapping[str, Any], lists: Callable[[], Mapping[str, Any]]) -> CardReport:
    """Return the report of :func:`facts_of`'s data; ``lists`` gives its long lists as plain data."""
    kept = convert(facts, CardFacts, dec_hook=lambda kind, text: kind(text))
    return CardReport(**asdict(kept), full=lambda: convert(lists(), CardLists))

"""What templates see: models, claims and counts, already put into words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from cardproof.core.field_names import ACCURACIES
from cardproof.core.measurements import Evidence
from cardproof.core.numbers import parse_number, short_count, short_text, show_count
from cardproof.core.secrets import masked
from cardproof.core.types import SHOWN_VERDICTS, Claim, Judgement, ShownVerdict
from cardproof.judge.verdicts import FOUND, ModelVerdicts
from cardproof.render.catalog.badges import ATTENTION
from cardproof.render.output.text import slug
from cardproof.render.views.evidence import RecordView, record_kind

if TYPE_CHECKING:
    from cardproof.read.models import Model

MEANING: dict[ShownVerdict, str] = {
    "confirmed": "measured, equal at the precision written",
    "generated": "copied from this measurement, not checked against another source",
    "cited": "not measured here, equal to a named source",
    "disputed": "sources differ, or a source is gone",
    "refuted": "measured, different",
    "unchecked": "nothing to check it with",
}

WEAKEST: tuple[ShownVerdict, ...] = ("refuted", "disputed", "unchecked", "generated", "cited", "confirmed")
"""Order in which the verdict on several numbers is chosen: never one that holds for only some of them."""

COUNTS = ("parameters", "flops")
"""Kinds of claims whose numbers are written with separators."""

NOT_MEASURED = "Not measured"
GENERATED = "generated from this measurement"
"""Says of a value that ``cardproof init`` copied it, so that being equal proves nothing."""


class ClaimView(Struct, frozen=True):
    """One row of a claims table: a claim, or several that say the same and were judged alike."""

    anchor: str
    field: str
    verdict: ShownVerdict
    stated: str
    found: str
    difference: str
    allowed: str
    finder: str
    """Who says what was found, in words that stand before the value: ``measured``, ``the recipe has``."""
    how: str
    explanation: str
    source: str
    """Who published the value, for values of others."""
    sources: tuple[tuple[str, str], ...] = ()
    """Named sources, each with its value: what the claim was compared with if nothing was measured."""
    records: tuple[str, ...] = ()
    """Anchors of the records that the verdict rests on: none, or one for each model."""
    items: tuple[tuple[str, str], ...] = ()
    """For several claims: the anchor and the stated text of each; ``anchor`` is that of the first."""
    models: tuple[str, ...] = ()
    """Of a row that several models share: the anchor of the first claim of each."""

    @property
    def more_anchors(self) -> tuple[str, ...]:
        """The addresses of the row beside ``anchor``. Items of a shared list have that of the list, by the script."""
        return self.models[1:] or tuple(anchor for anchor, _ in self.items[1:])

    @property
    def measured(self) -> str:
        """What was found by running or reading the network; empty if a source was asked."""
        return "" if self.sources else self.found

    @property
    def count(self) -> int:
        return len(self.items) or 1

    @property
    def is_text(self) -> bool:
        """Whether it states words, and not a number, a size or a list of numbers."""
        return not self.stated.lstrip("+-−±~<>≈([ ")[:1].isdigit()

    @property
    def is_list(self) -> bool:
        """Whether it shows several stated values, each of which was found."""
        return any(stated != self.stated for _, stated in self.items)


class Fact(Struct, frozen=True):
    """One tile: a number that readers look for first, with its verdict."""

    label: str
    value: str
    unit: str
    verdict: ShownVerdict
    note: str
    kind: str = ""
    """The kind of the claim and its data set: tiles of several models with the same kind are joined."""
    number: float | None = None
    """The value, without its unit's scale."""
    tally: str = ""
    """Of several models: how many claims have which verdict."""


class ModelView(Struct, frozen=True):
    """One model of a page."""

    name: str
    anchor: str
    claims: tuple[ClaimView, ...]
    published: tuple[ClaimView, ...]
    facts: tuple[Fact, ...]
    verdicts: tuple[tuple[ShownVerdict, int], ...]
    values: Mapping[str, str]
    """Columns of tables: field as written -> what a table shows."""
    marks: Mapping[str, ShownVerdict]
    """Field as written -> verdict on the value that a table shows."""
    collections: tuple[str, ...]
    evidence: str | None
    """Link from the page to the evidence file."""
    ran: str
    """Where and when it was measured, in words."""
    weights: str = ""
    """Address of the weights that the card links; empty if it is not a plain web address."""

    @property
    def refuted(self) -> tuple[ClaimView, ...]:
        return tuple(claim for claim in self.claims if claim.verdict == "refuted")

    @property
    def disputed(self) -> tuple[ClaimView, ...]:
        return tuple(claim for claim in self.claims if claim.verdict == "disputed")


def model_view(
    model: Model,
    verdicts: ModelVerdicts,
    evidence: Evidence | None,
    link: str | None,
    records: Mapping[str, RecordView],
    is_generated: Callable[[Judgement], bool],
) -> ModelView:
    """Put one model into words; ``records`` are what its verdicts rest on, by kind."""
    anchors: Counter[str] = Counter()
    views = []
    shown: list[tuple[Judgement, ShownVerdict]] = []
    for judgement in verdicts.own:
        view = claim_view(judgement, anchors, records)
        if is_generated(judgement):
            view = replace(view, verdict="generated", how=f"{GENERATED}; {view.how}")
        views.append(view)
        shown.append((judgement, view.verdict))
    claims = sorted(_join_lists(views), key=lambda view: ATTENTION.index(view.verdict))
    others = tuple(claim_view(judgement, anchors, {}) for judgement in verdicts.published)
    return ModelView(
        model.name,
        slug(model.name),
        tuple(claims),
        others,
        tuple(_facts(shown, evidence)),
        count_verdicts(Counter(verdict for _, verdict in shown)),
        _table_values(verdicts.own),
        _verdict_of_fields(shown),
        model.collections,
        link,
        _measured_text(evidence),
        public_address(model.text("Weights") or ""),
    )


def count_verdicts(counts: Counter[ShownVerdict]) -> tuple[tuple[ShownVerdict, int], ...]:
    """Return the verdicts that occur, in the order of reports, with their numbers."""
    return tuple((verdict, counts[verdict]) for verdict in SHOWN_VERDICTS if counts[verdict])


def _join_lists(views: Iterable[ClaimView]) -> Iterator[ClaimView]:
    """Join items of one list that were judged alike, which stand beside one another, to one row."""
    return (_list_row(list(group)) for _, group in groupby(views, _judged_alike))


def _judged_alike(view: ClaimView) -> ClaimView:
    """Return what items of one row have in common; a refuted claim has a row of its own."""
    # what was found of an item is the item itself, or the same word for all
    found = "" if view.found == view.stated else view.found
    sources = tuple((name, "" if value == view.stated else value) for name, value in view.sources)
    anchor = view.anchor if view.verdict == "refuted" else ""
    return replace(view, anchor=anchor, stated="", found=found, sources=sources)


def _list_row(group: list[ClaimView]) -> ClaimView:
    first = group[0]
    if len(group) == 1:
        return first
    stated = ", ".join(view.stated for view in group)
    found = stated if first.found == first.stated else first.found
    items = tuple((view.anchor, view.stated) for view in group)
    sources = tuple((name, "") for name, _ in first.sources)
    return replace(first, stated=stated, found=found, sources=sources, items=items)


def claim_view(judgement: Judgement, anchors: Counter[str], records: Mapping[str, RecordView]) -> ClaimView:
    """Put one claim into words; ``anchors`` counts those of the model's claims before it."""
    claim = judgement.claim
    anchor = slug(f"{claim.model}-{'published-' if claim.published else ''}{claim.field}")
    anchors[anchor] += 1
    if anchors[anchor] > 1:
        anchor = f"{anchor}-{anchors[anchor]}"
    how = "; ".join(text for text in (judgement.method, judgement.reason) if text)
    return ClaimView(
        anchor,
        claim.label,
        judgement.verdict,
        _stated_text(claim),
        _found_text(judgement),
        judgement.difference,
        judgement.allowed,
        FOUND.get(judgement.check, "measured") if judgement.check else "",
        how,
        judgement.explanation or "",
        claim.published or "",
        () if claim.published else judgement.sources,
        (record.anchor,) if (record := records.get(record_kind(claim))) else (),
    )


def _stated_text(claim: Claim) -> str:
    is_whole = isinstance(claim.value, int) and not isinstance(claim.value, bool)
    return show_count(claim.value) if is_whole and claim.kind in (*COUNTS, "file size") else claim.stated


def _found_text(judgement: Judgement) -> str:
    found = judgement.found
    if found is None:
        return ""
    if isinstance(found, int) and judgement.claim.kind in COUNTS:
        return show_count(found)
    return f"{found}{judgement.unit if judgement.unit == '%' else ''}"


def _facts(shown: Sequence[tuple[Judgement, ShownVerdict]], evidence: Evidence | None) -> Iterator[Fact]:
    is_other_size = any(j.claim.kind == "image size" and verdict == "refuted" for j, verdict in shown)
    for judgement, verdict in shown:
        fact = _fact(judgement, evidence)
        if fact and is_other_size and judgement.claim.kind == "flops" and isinstance(judgement.found, int):
            fact = replace(fact, note=f"{fact.note} at the card's image size, which is refuted")
        if fact:
            yield replace(fact, verdict=verdict)


def _fact(judgement: Judgement, evidence: Evidence | None) -> Fact | None:
    kind, counts = judgement.claim.kind, evidence.counts if evidence else None
    if judgement.claim.metric:
        return _accuracy_fact(judgement) if kind in ACCURACIES else None
    if kind == "parameters":
        return _count_fact("Parameters", judgement)
    if kind == "flops":
        label = "Operations" if judgement.unit == "operations" else "Multiply-adds"
        return _count_fact(f"{label} at {counts.input_shape[1]}" if counts else label, judgement)
    return _size_fact(judgement) if kind == "image size" else None


def _size_fact(judgement: Judgement) -> Fact:
    stated, verdict = judgement.claim.stated, judgement.verdict
    if verdict == "refuted":
        return Fact("Image size", f"{judgement.found}", "px", verdict, f"card says {stated}", "image size")
    note = "" if verdict == "confirmed" else "as stated"
    number = judgement.claim.number
    return Fact("Image size", stated, "px", verdict, note, "image size", float(number.value) if number else None)


def _accuracy_fact(judgement: Judgement) -> Fact:
    label = "Top-1" if judgement.claim.kind == "top 1 accuracy" else "Top-5"
    value = judgement.claim.stated.strip().removesuffix("%")
    note = judgement.detail or judgement.claim.dataset or ""
    if judgement.verdict == "refuted":
        value, note = f"{judgement.found}", f"card says {judgement.claim.stated}"
    number = parse_number(value)
    kind = f"{label} {judgement.claim.dataset or ''}"
    return Fact(label, value, "%", judgement.verdict, note, kind, float(number.value) if number else None)


def _count_fact(label: str, judgement: Judgement) -> Fact:
    """Return a tile with the measured count; the stated one is kept visible if it differs."""
    stated = judgement.claim.number
    found = judgement.found if isinstance(judgement.found, int) else None
    if found is None:
        value, unit = short_count(stated.value) if stated else (judgement.claim.stated, "")
        number = float(stated.value) if stated else None
        return Fact(label, value, unit, judgement.verdict, "as stated", judgement.claim.kind, number)
    value, unit = short_count(found)
    note = f"card says {_stated_text(judgement.claim)}" if judgement.verdict == "refuted" else "counted"
    return Fact(label, value, unit, judgement.verdict, note, judgement.claim.kind, float(found))


def _table_values(judgements: Iterable[Judgement]) -> dict[str, str]:
    """Return what tables show: measured counts if there are any, stated values otherwise; lists are joined."""
    values: dict[str, str] = {}
    for judgement in judgements:
        text = judgement.claim.stated
        if isinstance(judgement.found, int) and judgement.claim.kind in COUNTS:
            text = short_text(judgement.found)
        key = judgement.claim.field
        values[key] = f"{values[key]}, {text}" if key in values else text
    return values


def _verdict_of_fields(shown: Iterable[tuple[Judgement, ShownVerdict]]) -> dict[str, ShownVerdict]:
    """Return the verdict on what :func:`_table_values` returns: of a list, the weakest."""
    marks: dict[str, ShownVerdict] = {}
    for judgement, verdict in shown:
        field = judgement.claim.field
        marks[field] = min(marks.get(field, verdict), verdict, key=WEAKEST.index)
    return marks


def public_address(text: str) -> str:
    """Return a text if it is an address on the web without credentials; an empty text otherwise."""
    is_web = text.lower().startswith(("https://", "http://")) and text.isprintable() and " " not in text
    return text if is_web and masked(text) == text else ""


def _measured_text(evidence: Evidence | None) -> str:
    if evidence is None or evidence.built is None:
        return NOT_MEASURED
    where = evidence.environment
    return f"Counted {where.measured[:10]} with {where.zoo}, torch {where.torch}, device {where.device}"


def split_shared(models: Sequence[ModelView]) -> tuple[tuple[ClaimView, ...], tuple[ModelView, ...]]:
    """Return the rows that say the same of every model, and the models without them; none are shared of one model."""
    if len(models) < 2:
        return (), tuple(models)
    by_key = [
        {_shared_part(row): row for row in model.claims if row.verdict not in ("refuted", "disputed")}
        for model in models
    ]
    keys = [key for key in by_key[0] if all(key in rows for rows in by_key[1:])]
    shared = tuple(_merge_rows([rows[key] for rows in by_key]) for key in keys)
    own = [
        replace(
            model,
            claims=tuple(row for row in model.claims if row.verdict == "refuted" or _shared_part(row) not in keys),
        )
        for model in models
    ]
    return shared, tuple(own)


def _shared_part(row: ClaimView) -> ClaimView:
    return replace(row, anchor="", records=(), items=tuple(("", stated) for _, stated in row.items))


def _merge_rows(rows: Sequence[ClaimView]) -> ClaimView:
    anchors = tuple(item for row in rows for item in row.items or ((row.anchor, row.stated),))
    records = tuple(dict.fromkeys(record for row in rows for record in row.records))
    return replace(rows[0], items=anchors, records=records, models=tuple(row.anchor for row in rows))

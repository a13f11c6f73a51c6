"""What templates see: models, claims and counts, already put into words."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from cardproof.core.field_names import FLOPS, IMAGE_SIZE, PARAMETERS, normal_field
from cardproof.core.numbers import show_count
from cardproof.core.types import VERDICTS, Claim, Evidence, Judgement, Verdict
from cardproof.judge.checks import check_of
from cardproof.judge.judge import FOUND
from cardproof.read.cited_results import metric_key
from cardproof.read.claims import stated_count
from cardproof.render.output.text import slug
from cardproof.render.views.evidence import record_kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from cardproof.read.model_index import Model
    from cardproof.render.views.evidence import RecordView

MEANING: dict[Verdict, str] = {
    "confirmed": "measured, equal at the precision written",
    "cited": "not measured here, equal to a named source",
    "disputed": "sources differ, or a source is gone",
    "refuted": "measured, different",
    "unchecked": "nothing to check it with",
}

ATTENTION: tuple[Verdict, ...] = ("refuted", "disputed", "confirmed", "cited", "unchecked")
"""Order of rows in a claims table: what needs a reader's attention first."""

UNITS = ((9, "G"), (6, "M"), (3, "k"))
"""Powers of ten that counts are written with."""

NOT_MEASURED = "Not measured"


class ClaimView(Struct, frozen=True):
    """One row of a claims table: a claim, or several that say the same and were judged alike."""

    anchor: str
    field: str
    verdict: Verdict
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
    records: tuple[str, ...] = ()
    """Anchors of the records that the verdict rests on: none, or one for each model."""
    items: tuple[tuple[str, str], ...] = ()
    """For several claims: the anchor and the stated text of each; ``anchor`` is that of the first."""

    @property
    def count(self) -> int:
        """How many claims the row stands for."""
        return len(self.items) or 1

    @property
    def is_list(self) -> bool:
        """Whether it shows several stated values, each of which was found."""
        return any(stated != self.stated for _, stated in self.items)


class Fact(Struct, frozen=True):
    """One tile: a number that readers look for first, with its verdict."""

    label: str
    value: str
    unit: str
    verdict: Verdict
    note: str


class ModelView(Struct, frozen=True):
    """One model of a page."""

    name: str
    anchor: str
    claims: tuple[ClaimView, ...]
    published: tuple[ClaimView, ...]
    facts: tuple[Fact, ...]
    verdicts: tuple[tuple[Verdict, int], ...]
    values: Mapping[str, str]
    """Columns of tables: field as written -> what a table shows."""
    collections: tuple[str, ...]
    evidence: str | None
    """Link from the page to the evidence file."""
    ran: str
    """Where and when it was measured, in words."""

    @property
    def refuted(self) -> tuple[ClaimView, ...]:
        return tuple(claim for claim in self.claims if claim.verdict == "refuted")


def model_view(
    model: Model,
    judgements: Iterable[Judgement],
    published: Iterable[Judgement],
    evidence: Evidence | None,
    link: str | None,
    records: Mapping[str, RecordView],
) -> ModelView:
    """Put one model into words; ``records`` are what its verdicts rest on, by kind."""
    judgements = tuple(judgements)
    anchors: Counter[str] = Counter()
    views = [claim_view(judgement, anchors, records) for judgement in judgements]
    claims = sorted(_join_lists(views), key=lambda view: ATTENTION.index(view.verdict))
    others = tuple(claim_view(judgement, anchors, {}) for judgement in published)
    return ModelView(
        model.name,
        slug(model.name),
        tuple(claims),
        others,
        tuple(_facts(judgements, evidence)),
        count_verdicts(judgements),
        _values(judgements),
        model.collections,
        link,
        _ran(evidence),
    )


def count_verdicts(judgements: Iterable[Judgement]) -> tuple[tuple[Verdict, int], ...]:
    """Return the verdicts that occur, in the order of reports, with their numbers."""
    counts = Counter(judgement.verdict for judgement in judgements)
    return tuple((verdict, counts[verdict]) for verdict in VERDICTS if counts[verdict])


def _join_lists(views: Iterable[ClaimView]) -> Iterator[ClaimView]:
    """Join items of one list that were judged alike, which stand beside one another, to one row."""
    group: list[ClaimView] = []
    for view in views:
        if group and not _is_same_list(group[-1], view):
            yield _list_row(group)
            group = []
        group.append(view)
    if group:
        yield _list_row(group)


def _is_same_list(one: ClaimView, other: ClaimView) -> bool:
    def kept(view: ClaimView) -> ClaimView:
        # what was found of an item is the item itself, or the same word for all
        found = "" if view.found == view.stated else view.found
        return replace(view, anchor="", stated="", found=found)

    return one.verdict != "refuted" and kept(one) == kept(other)


def _list_row(group: list[ClaimView]) -> ClaimView:
    first = group[0]
    if len(group) == 1:
        return first
    stated = ", ".join(view.stated for view in group)
    found = stated if first.found == first.stated else first.found
    items = tuple((view.anchor, view.stated) for view in group)
    return replace(first, stated=stated, found=found, items=items)


def claim_view(judgement: Judgement, anchors: Counter[str], records: Mapping[str, RecordView]) -> ClaimView:
    """Put one claim into words; ``anchors`` counts those of the model's claims before it."""
    claim = judgement.claim
    label = f"{claim.field} on {claim.dataset}" if claim.dataset else claim.field
    anchor = slug(f"{claim.model}-{'published-' if claim.published else ''}{claim.field}")
    anchors[anchor] += 1
    if anchors[anchor] > 1:
        anchor = f"{anchor}-{anchors[anchor]}"
    check = check_of(claim, normal_field(claim.field))
    how = "; ".join(text for text in (judgement.method, judgement.reason) if text)
    return ClaimView(
        anchor,
        label,
        judgement.verdict,
        _stated(claim),
        _found(judgement),
        judgement.difference,
        judgement.allowed,
        FOUND.get(check.name, "measured") if check else "",
        how,
        judgement.explanation or "",
        claim.published or "",
        (record.anchor,) if (record := records.get(record_kind(claim))) else (),
    )


def _stated(claim: Claim) -> str:
    name = normal_field(claim.field)
    if (
        isinstance(claim.value, int)
        and not isinstance(claim.value, bool)
        and name in PARAMETERS | FLOPS | {"file size"}
    ):
        return show_count(claim.value)
    return claim.stated


def _found(judgement: Judgement) -> str:
    found = judgement.found
    if found is None:
        return ""
    if isinstance(found, int) and normal_field(judgement.claim.field) in PARAMETERS | FLOPS:
        return show_count(found)
    return f"{found}{judgement.unit if judgement.unit == '%' else ''}"


def _facts(judgements: tuple[Judgement, ...], evidence: Evidence | None) -> Iterable[Fact]:
    counts = evidence.counts if evidence else None
    for judgement in judgements:
        name = normal_field(judgement.claim.field)
        if judgement.claim.metric:
            if metric_key(judgement.claim.field) in ("top 1 accuracy", "top 5 accuracy"):
                yield _accuracy_fact(judgement)
        elif name in PARAMETERS:
            yield _count_fact("Parameters", judgement)
        elif name in FLOPS:
            label = "Operations" if judgement.unit == "operations" else "Multiply-adds"
            yield _count_fact(f"{label} at {counts.input_shape[1]}" if counts else label, judgement)
        elif name in IMAGE_SIZE:
            yield _size_fact(judgement)


def _size_fact(judgement: Judgement) -> Fact:
    stated, verdict = judgement.claim.stated, judgement.verdict
    if verdict == "refuted":
        return Fact("Image size", f"{judgement.found}", "px", verdict, f"card says {stated}")
    return Fact("Image size", stated, "px", verdict, "as configured" if verdict == "confirmed" else "as stated")


def _accuracy_fact(judgement: Judgement) -> Fact:
    label = "Top-1" if metric_key(judgement.claim.field).startswith("top 1") else "Top-5"
    value = judgement.claim.stated.strip().removesuffix("%")
    note = judgement.detail or judgement.claim.dataset or ""
    if judgement.verdict == "refuted":
        value, note = f"{judgement.found}", f"card says {judgement.claim.stated}"
    return Fact(label, value, "%", judgement.verdict, note)


def _count_fact(label: str, judgement: Judgement) -> Fact:
    """Return a tile with the measured count; the stated one is kept visible if it differs."""
    stated = stated_count(judgement.claim)
    found = judgement.found if isinstance(judgement.found, int) else None
    if found is None:
        value, unit = short_count(stated.value) if stated else (judgement.claim.stated, "")
        return Fact(label, value, unit, judgement.verdict, "as stated")
    value, unit = short_count(found)
    note = f"card says {_stated(judgement.claim)}" if judgement.verdict == "refuted" else "counted exactly"
    return Fact(label, value, unit, judgement.verdict, note)


def short_count(value: int | Decimal) -> tuple[str, str]:
    """Write a count with three significant digits or two decimals, and its unit: 24.67 and M, 322 and nothing."""
    for power, unit in UNITS:
        if abs(value) >= 10**power:
            return f"{float(value) / 10**power:.2f}", unit
    return f"{value:,.0f}", ""


def _values(judgements: tuple[Judgement, ...]) -> dict[str, str]:
    """Return what tables show: measured counts where there are any, stated values otherwise; lists are joined."""
    values: dict[str, str] = {}
    for judgement in judgements:
        text = judgement.claim.stated
        if isinstance(judgement.found, int) and normal_field(judgement.claim.field) in PARAMETERS | FLOPS:
            text = " ".join(short_count(judgement.found)).strip()
        key = judgement.claim.field
        values[key] = f"{values[key]}, {text}" if key in values else text
    return values


def _ran(evidence: Evidence | None) -> str:
    if evidence is None or evidence.counts is None:
        return NOT_MEASURED
    where = evidence.environment
    return f"Counted {where.measured[:10]} with {where.zoo}, torch {where.torch}, device {where.device}"


def split_shared(models: Sequence[ModelView]) -> tuple[tuple[ClaimView, ...], tuple[ModelView, ...]]:
    """Return the rows that say the same of every model, and the models without them; none are shared of one model."""
    if len(models) < 2:
        return (), tuple(models)
    by_key = [
        {_key(row): row for row in model.claims if row.verdict not in ("refuted", "disputed")} for model in models
    ]
    keys = [key for key in by_key[0] if all(key in rows for rows in by_key[1:])]
    shared = tuple(_merged([rows[key] for rows in by_key]) for key in keys)
    own = [
        replace(model, claims=tuple(row for row in model.claims if row.verdict == "refuted" or _key(row) not in keys))
        for model in models
    ]
    return shared, tuple(own)


def _key(row: ClaimView) -> ClaimView:
    return replace(row, anchor="", records=(), items=tuple(("", stated) for _, stated in row.items))


def _merged(rows: Sequence[ClaimView]) -> ClaimView:
    """Return one row for the same claims of several models."""
    anchors = tuple(item for row in rows for item in row.items or ((row.anchor, row.stated),))
    records = tuple(dict.fromkeys(record for row in rows for record in row.records))
    return replace(rows[0], items=anchors, records=records)

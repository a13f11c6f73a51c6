"""The record of one model for other programs: ``model.json`` of the catalog, with its JSON Schema."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct, convert, to_builtins

from cardproof.core.json_text import strict_json
from cardproof.core.measurements import Evidence
from cardproof.core.types import Judgement, Verdict
from cardproof.evidence.records import file_name
from cardproof.evidence.schema import schema_of
from cardproof.judge.card_report import claim_row
from cardproof.render.catalog.badges import claim_badge, model_badge
from cardproof.render.catalog.model_summary import ModelSummary, Quantity
from cardproof.render.output.text import slug
from cardproof.render.views.claims import ClaimView, claim_view

if TYPE_CHECKING:
    from cardproof.judge.judge import ModelVerdicts
    from cardproof.read import Model
    from cardproof.read.models import Result

SCHEMA = "cardproof-model/1"


class ClaimRecord(Struct, frozen=True):
    """One claim with its verdict."""

    anchor: str
    """Of the claim on the model's page."""
    field: str
    dataset: str | None
    stated: str
    """The text as the card writes it."""
    found: int | float | str | None
    """The measured value, or that of the named source; null if there is none."""
    unit: str
    verdict: Verdict
    allowed: str
    """The tolerance in words."""
    difference: str
    explanation: str | None
    """What would give the stated value, if the claim is refuted."""
    method: str
    reason: str
    """Why it was not checked, or which source it was compared with."""
    file: str
    """A file of the site's repository that states it."""
    line: int
    badge: str | None
    """Address of its badge, relative to the root of the site."""


class MeasuredRecord(Struct, frozen=True):
    """When and where a model was measured."""

    measured: str
    """Time in UTC, ISO 8601."""
    device: str
    torch: str
    zoo: str


class ModelRecord(Struct, frozen=True):
    """One model with its claims and verdicts. Addresses are relative to the root of the site."""

    name: str
    page: str
    card: str
    """The template that states the claims: a file of the site's repository."""
    families: tuple[str, ...]
    """Its collections."""
    tasks: tuple[str, ...]
    datasets: tuple[str, ...]
    """On which results are stated."""
    licence: str
    """As the card states it; empty if it does not."""
    paper: str | None
    weights: str | None
    """The link of the card; its file is not part of the site."""
    verdicts: dict[str, int]
    """Verdict -> how many claims."""
    quantities: tuple[Quantity, ...]
    claims: tuple[ClaimRecord, ...]
    published: tuple[ClaimRecord, ...]
    """Values of others, which the card reports and does not claim."""
    evidence: str | None
    """Address of the record of evidence."""
    badge: str | None
    run: MeasuredRecord | None
    """Null if it was not measured."""


class Addresses(Struct, frozen=True):
    """Addresses of the files of one model, relative to the root of the site."""

    page: str
    folder: str
    """Its folder in the catalog, with a slash at its end."""
    evidence: str | None
    badges: str
    """The setting ``badges``."""


def model_folder(name: str) -> str:
    """Return the name of a model's folder in the catalog."""
    return file_name(name).removesuffix(".json")


def model_record(
    card: str,
    model: Model,
    verdicts: ModelVerdicts,
    summary: ModelSummary,
    evidence: Evidence | None,
    addresses: Addresses,
) -> tuple[ModelRecord, dict[str, str]]:
    """Return the record of a model, and its badges by their file names."""
    badges: dict[str, str] = {}
    anchors: Counter[str] = Counter()
    records = []
    for judgements in (verdicts.own, verdicts.published):
        rows = []
        for judgement in judgements:
            claim = claim_view(judgement, anchors, {})
            name = None
            if addresses.badges == "claims" and not judgement.claim.published:
                name = badge_name(claim.anchor, slug(model.name))
                badges[name] = claim_badge(claim.field, _value(claim, judgement), judgement.verdict)
            more = {"anchor": claim.anchor, "badge": addresses.folder + name if name else None}
            rows.append(convert({**claim_row(judgement), **more}, ClaimRecord))
        records.append(tuple(rows))
    if addresses.badges != "none":
        badges["badge.svg"] = model_badge(model.name, summary.shown)
    where = evidence.environment if evidence and evidence.built else None
    record = ModelRecord(
        model.name,
        addresses.page,
        card,
        model.collections,
        summary.tasks,
        summary.datasets,
        summary.licence,
        model.text("Paper"),
        model.text("Weights"),
        summary.verdicts,
        summary.quantities,
        records[0],
        records[1],
        addresses.evidence,
        addresses.folder + "badge.svg" if addresses.badges != "none" else None,
        MeasuredRecord(where.measured, where.device, where.torch, where.zoo) if where else None,
    )
    return record, badges


def _value(claim: ClaimView, judgement: Judgement) -> str:
    """Return the value on a badge: a measured number, or else the stated text."""
    is_number = isinstance(judgement.found, int | float) and not isinstance(judgement.found, bool)
    return (claim.found if is_number else "") or claim.stated


def badge_name(anchor: str, model: str) -> str:
    """Return the file name of a claim's badge: its anchor without that of its model."""
    name = anchor.removeprefix(f"{model}-") or anchor
    return file_name(f"claim-{name}" if name in ("badge", "model") else name).removesuffix(".json") + ".svg"


def record_text(record: ModelRecord) -> str:
    """Return the text of ``model.json``."""
    return strict_json({"schema": SCHEMA, **to_builtins(record, enc_hook=str)}, indent=1, default=str) + "\n"


def is_model_record(text: str) -> bool:
    """Return whether a text is a ``model.json``."""
    return f'"schema": "{SCHEMA.rpartition("/")[0]}/' in text


def model_schema() -> dict[str, Any]:
    """Return the JSON Schema of ``model.json``; it allows other fields, as a version may gain some."""
    description = (
        "What its card claims, what was found, and where to read on. Addresses are relative to the root of the site."
    )
    return schema_of(ModelRecord, SCHEMA, "One model", description)


def index_entry(model: Model, judgements: Iterable[Judgement]) -> dict[str, Any]:
    """Return a model's entry of a model index: the card's, with measured numbers in place of stated ones."""
    found: Mapping[tuple[str, str | None], Any] = {
        (j.claim.field, j.claim.dataset): j.found
        for j in judgements
        if j.verdict in ("confirmed", "refuted") and isinstance(j.found, int | float) and not isinstance(j.found, bool)
    }
    entry: dict[str, Any] = {"Name": model.name, "In Collection": list(model.collections)}
    metadata = model.metadata.plain() if model.metadata else {}
    if metadata:
        entry["Metadata"] = {key: found.get((key, None), value) for key, value in metadata.items()}
    for key in ("Paper", "Weights", "License", "Licence"):
        if node := model.fields.get(key):
            entry[key] = node.plain()
    entry["Results"] = [
        {"Task": result.task, "Dataset": result.dataset, "Metrics": _metrics(result, found)} for result in model.results
    ]
    return {key: value for key, value in entry.items() if value not in ([], {}, None)}


def _metrics(result: Result, found: Mapping[tuple[str, str | None], Any]) -> dict[str, Any]:
    return {name.text: found.get((name.text, result.dataset), value.plain()) for name, value in result.metrics}

"""The files of the catalog for one card: a record of each model, ``model.json`` with its JSON Schema, and badges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, convert, field, to_builtins

from cardproof.core.json import strict_json
from cardproof.core.types import Judgement, Verdict
from cardproof.evidence.records import file_name
from cardproof.evidence.schema import schema_of
from cardproof.judge.card_report import claim_row
from cardproof.render.catalog.badges import claim_badge, model_badge
from cardproof.render.catalog.model_summary import ModelSummary, Quantity
from cardproof.render.output.paths import Folders, site_urls
from cardproof.render.output.text import slug
from cardproof.render.views.claims import ClaimView, claim_view

if TYPE_CHECKING:
    from cardproof.core.settings import Settings
    from cardproof.judge.audit import Audit
    from cardproof.read import Card

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


class CardFiles(Struct, frozen=True):
    """Records and badges of a card's models, by path."""

    records: dict[Path, str] = field(default_factory=dict)
    badges: dict[Path, str] = field(default_factory=dict)

    def folders(self) -> dict[Path, int]:
        """Return the folders of the models, with the number of badges in each."""
        numbers = Counter(badge.parent for badge in self.badges)
        return {path.parent: numbers[path.parent] for path in self.records}


def card_files(
    card: Card, page: Path, summaries: Mapping[str, ModelSummary], audit: Audit, folders: Folders, settings: Settings
) -> CardFiles:
    """Return records and badges of a card's models; empty if the site has no catalog."""
    files, urls = CardFiles(), site_urls(settings, folders)
    if settings.catalog is None:
        return files
    for model in card.models:
        folder = settings.path(settings.catalog) / "models" / model_folder(model.name)
        address = f"{urls.of(folder)}/"
        badges: dict[str, str] = {}
        anchors: Counter[str] = Counter()
        verdicts, evidence = audit.verdicts.of_model(card.file, model.key), audit.evidence(card, model)
        claims = _claim_records(verdicts.own, anchors, address, badges if settings.badges == "claims" else None)
        published = _claim_records(verdicts.published, anchors, address, None)
        summary = summaries[model.name]
        if settings.badges != "none":
            badges["badge.svg"] = model_badge(model.name, summary.shown)
        where = evidence.environment if evidence and evidence.built else None
        record = ModelRecord(
            model.name,
            urls.of(page, slug(model.name)),
            card.file,
            model.collections,
            summary.tasks,
            summary.datasets,
            summary.licence,
            model.text("Paper"),
            model.text("Weights"),
            summary.verdicts,
            summary.quantities,
            claims,
            published,
            urls.of(folders.evidence / summary.evidence) if summary.evidence else None,
            address + "badge.svg" if settings.badges != "none" else None,
            MeasuredRecord(where.measured, where.device, where.torch, where.zoo) if where else None,
        )
        text = strict_json({"schema": SCHEMA, **to_builtins(record, enc_hook=str)}, indent=1, default=str) + "\n"
        files.records[folder / "model.json"] = text
        files.badges.update({folder / name: badge for name, badge in badges.items()})
    return files


def _claim_records(
    judgements: Iterable[Judgement], anchors: Counter[str], address: str, badges: dict[str, str] | None
) -> tuple[ClaimRecord, ...]:
    """Return the records of claims; their badges are added to ``badges``, by their file names."""
    records = []
    for judgement in judgements:
        claim = claim_view(judgement, anchors, {})
        badge = None
        if badges is not None:
            name = _badge_name(claim.anchor, slug(judgement.claim.model))
            badges[name] = claim_badge(claim.field, _value(claim, judgement), judgement.verdict)
            badge = address + name
        records.append(convert({**claim_row(judgement), "anchor": claim.anchor, "badge": badge}, ClaimRecord))
    return tuple(records)


def model_folder(name: str) -> str:
    """Return the name of a model's folder in the catalog."""
    return file_name(name).removesuffix(".json")


def _value(claim: ClaimView, judgement: Judgement) -> str:
    """Return the value on a badge: a measured number, or else the stated text."""
    is_number = isinstance(judgement.found, int | float) and not isinstance(judgement.found, bool)
    return (claim.found if is_number else "") or claim.stated


def _badge_name(anchor: str, model: str) -> str:
    """Return the file name of a claim's badge: its anchor without that of its model."""
    name = anchor.removeprefix(f"{model}-") or anchor
    return file_name(f"claim-{name}" if name in ("badge", "model") else name).removesuffix(".json") + ".svg"


def is_model_record(text: str) -> bool:
    """Return whether a text is a ``model.json``."""
    return f'"schema": "{SCHEMA.rpartition("/")[0]}/' in text


@cache
def model_schema() -> dict[str, Any]:
    """Return the JSON Schema of ``model.json``; it allows other fields, as a version may gain some."""
    description = (
        "What its card claims, what was found, and where to read on. Addresses are relative to the root of the site."
    )
    return schema_of(ModelRecord, SCHEMA, "One model", description)

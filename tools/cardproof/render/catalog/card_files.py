"""The files of the catalog that are one card's own: for each of its models a record and badges."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field

from cardproof.core.digests import digest_of_data
from cardproof.core.types import Judgement
from cardproof.evidence.records import file_name
from cardproof.render.catalog.model_summary import ModelSummary, summarize_model
from cardproof.render.output.paths import site_urls
from cardproof.render.output.text import slug

if TYPE_CHECKING:
    from cardproof.core.settings import Settings
    from cardproof.judge.audit import Audit
    from cardproof.read import Card, Model
    from cardproof.render.output.paths import Folders


class CardFiles(Struct, frozen=True):
    """Records and badges of a card's models, and their entries in the site's model index."""

    texts: dict[Path, str] = field(default_factory=dict)
    """Records, by path."""
    badges: dict[Path, str] = field(default_factory=dict)
    index: dict[str, str] = field(default_factory=dict)
    """Entries as YAML, by the model's name."""

    def folders(self, show: Callable[[Path], str]) -> dict[str, int]:
        """Return the folders of the models, with the number of badges in each."""
        found = {show(path.parent): 0 for path in self.texts}
        for path in self.badges:
            found[show(path.parent)] += 1
        return found

    def leftovers(self) -> list[Path]:
        """Return badges of claims that the card makes no more."""
        from cardproof.render.catalog.site_files import badges_of_gone_claims

        return badges_of_gone_claims({path.parent for path in self.texts}, self.badges)


class ModelEntry(Struct, frozen=True):
    """What lists of all models say of one, and its entry in the site's model index."""

    summary: ModelSummary
    index: str
    """As YAML; empty if the site has no catalog."""


def model_entries(card: Card, audit: Audit, settings: Settings) -> dict[str, ModelEntry]:
    """Return what lists say of a card's models, by their names."""
    found = {}
    for model in card.models:
        judgements, evidence = audit.verdicts.of_model(card.file, model.name).own, audit.evidence(card, model)
        record = file_name(model.name) if evidence and evidence.counts else ""
        entry = _index_entry(model, judgements) if settings.catalog else ""
        digest, speed = digest_of_data(entry) if entry else "", audit.speed(model)
        timed = (audit.speeds.conditions, speed) if audit.speeds and speed else None
        summary = summarize_model(card, model, judgements, evidence, record, digest, timed)
        found[model.name] = ModelEntry(summary, entry)
    return found


def _index_entry(model: Model, judgements: Iterable[Judgement]) -> str:
    from cardproof.render.catalog.files import index_text  # a site without a catalog needs neither
    from cardproof.render.catalog.model_records import index_entry

    return index_text([index_entry(model, judgements)])


def card_files(
    card: Card, page: Path, entries: Mapping[str, ModelEntry], audit: Audit, folders: Folders, settings: Settings
) -> CardFiles:
    """Return records and badges of a card's models, whose page is ``page``; nothing if there is no catalog."""
    files, urls = CardFiles(), site_urls(settings, folders)
    if settings.catalog is None:
        return files
    from cardproof.render.catalog.model_records import Addresses, model_folder, model_record, record_text

    for model in card.models:
        summary = entries[model.name].summary
        folder = settings.path(settings.catalog) / "models" / model_folder(model.name)
        addresses = Addresses(
            urls.of(page, slug(model.name)),
            f"{urls.of(folder)}/",
            urls.of(folders.evidence / summary.evidence) if summary.evidence else None,
            settings.badges,
        )
        verdicts, evidence = audit.verdicts.of_model(card.file, model.name), audit.evidence(card, model)
        record, badges = model_record(card.file, model, verdicts, summary, evidence, addresses)
        files.texts[folder / "model.json"] = record_text(record)
        files.badges.update({folder / name: text for name, text in badges.items()})
        files.index[model.name] = entries[model.name].index
    return files

"""The files of the catalog for one card: a record and badges for each of its models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field

from cardproof.core.digests import digest_of_data
from cardproof.evidence.records import file_name
from cardproof.render.catalog.model_summary import ModelSummary, summarize_model
from cardproof.render.output.paths import Folders, site_urls
from cardproof.render.output.text import slug

if TYPE_CHECKING:
    from cardproof.core.settings import Settings
    from cardproof.judge.audit import Audit
    from cardproof.read import Card


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
        """Return the badges of claims that no longer exist."""
        from cardproof.render.catalog.site_files import orphaned_badges

        return orphaned_badges({path.parent for path in self.texts}, self.badges)


class ModelEntry(Struct, frozen=True):
    """The summary of a model for lists, and its entry in the site's model index."""

    summary: ModelSummary
    index: str
    """As YAML; empty if the site has no catalog."""


def model_entries(card: Card, audit: Audit, settings: Settings) -> dict[str, ModelEntry]:
    """Return the summaries and index entries of a card's models, by their names."""
    found = {}
    for model in card.models:
        judgements, evidence = audit.verdicts.of_model(card.file, model.key).own, audit.evidence(card, model)
        record = file_name(model.name) if evidence and evidence.built else ""
        entry = ""
        if settings.catalog:  # other sites need neither import
            from cardproof.render.catalog.files import index_text
            from cardproof.render.catalog.model_records import index_entry

            entry = index_text([index_entry(model, judgements)])
        digest, speed = digest_of_data(entry) if entry else "", audit.speed(model)
        timed = (audit.speeds.conditions, speed) if audit.speeds and speed else None
        summary = summarize_model(card, model, judgements, evidence, record, digest, timed)
        found[model.name] = ModelEntry(summary, entry)
    return found


def card_files(
    card: Card, page: Path, entries: Mapping[str, ModelEntry], audit: Audit, folders: Folders, settings: Settings
) -> CardFiles:
    """Return records and badges of a card's models; empty if the site has no catalog."""
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
        verdicts, evidence = audit.verdicts.of_model(card.file, model.key), audit.evidence(card, model)
        record, badges = model_record(card.file, model, verdicts, summary, evidence, addresses)
        files.texts[folder / "model.json"] = record_text(record)
        files.badges.update({folder / name: text for name, text in badges.items()})
        files.index[model.name] = entries[model.name].index
    return files

"""Files of a site that belong to no single card: made where what they say changed, removed with their models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cardproof.core.settings import Settings
    from cardproof.judge.card_report import CardReport
    from cardproof.render.incremental import CrossCardDigests, Memory
    from cardproof.render.output.folders import Folders
    from cardproof.render.write import Change


class SiteFiles(Struct, frozen=True):
    """The files about all models of a site."""

    inputs: str
    """Digest of what they are made of."""
    paths: tuple[Path, ...]
    changed: bool
    """Whether they were made in this build."""


def make_site_files(
    changes: list[Change], settings: Settings, folders: Folders, across: CrossCardDigests, memory: Memory
) -> SiteFiles | None:
    """Make the files about all models, unless those that are there say the same; None where none are wanted.

    What has to happen to them is added to the ``changes``.
    """
    if not settings.catalog:
        return None
    inputs = across.listings
    if paths := memory.site_files(inputs):
        return SiteFiles(inputs, tuple(map(Path, paths)), False)
    from cardproof.render.catalog.files import site_files
    from cardproof.render.output.urls import urls_of
    from cardproof.render.write import compare

    texts = site_files(settings, folders, urls_of(settings, folders), across.reports)
    changes += compare(texts, ())
    return SiteFiles(inputs, tuple(texts), True)


def files_of_gone_models(settings: Settings, known: Mapping[str, CardReport]) -> list[Path]:
    """Return the files of the catalog that belong to models that are gone."""
    from cardproof.render.catalog.leftovers import gone_models

    assert settings.catalog
    kept = {folder.rpartition("/")[2] for card in known.values() for folder in card.folders}
    return gone_models(settings.path(settings.catalog), kept)

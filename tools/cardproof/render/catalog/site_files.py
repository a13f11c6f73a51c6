"""Files about all models of a site: made if their content changed, removed with their models."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from cardproof.core.settings import Settings
    from cardproof.judge.card_report import CardReport
    from cardproof.render.incremental import CrossCardDigests, Memory
    from cardproof.render.output.files import Change
    from cardproof.render.output.paths import Folders


class SiteFiles(Struct, frozen=True):
    """The files about all models of a site."""

    inputs: str
    """Digest of their content."""
    paths: tuple[Path, ...]
    changed: bool
    """Whether they were made in this build."""


def make_site_files(
    changes: list[Change], settings: Settings, folders: Folders, across: CrossCardDigests, memory: Memory
) -> SiteFiles | None:
    """Add the files about all models to the ``changes`` unless they are unchanged; None if there is no catalog."""
    if not settings.catalog:
        return None
    inputs = across.listings
    if paths := memory.site_files(inputs):
        return SiteFiles(inputs, tuple(map(Path, paths)), False)
    from cardproof.render.catalog.files import site_files
    from cardproof.render.output.files import compare
    from cardproof.render.output.paths import site_urls

    texts = site_files(settings, folders, site_urls(settings, folders), across.reports)
    changes += compare(texts, (), folders.targets)
    return SiteFiles(inputs, tuple(texts), True)


def orphaned_model_files(settings: Settings, known: Mapping[str, CardReport]) -> list[Path]:
    """Return the files of the catalog whose models no longer exist."""
    assert settings.catalog
    folders = {folder.rpartition("/")[2] for card in known.values() for folder in card.folders}
    try:
        with os.scandir(settings.path(settings.catalog) / "models") as found:
            own = (folder for folder in found if folder.name not in folders and folder.is_dir(follow_symlinks=False))
            gone = sorted(map(Path, own))
    except FileNotFoundError:
        return []
    return [path for folder in gone for path in sorted(folder.iterdir()) if _is_ours(path)]


def orphaned_badges(folders: Iterable[Path], kept: Container[Path]) -> list[Path]:
    """Return the badges in models' folders whose claims no longer exist."""
    found = (path for folder in folders if folder.is_dir() for path in sorted(folder.glob("*.svg")))
    return [path for path in found if path not in kept and _is_ours(path)]


def _is_ours(path: Path) -> bool:
    from cardproof.render.catalog.files import is_ours  # rarely needed
    from cardproof.render.output.files import is_own_file

    return is_own_file(path) and is_ours(path.read_text(encoding="utf-8", errors="replace"))

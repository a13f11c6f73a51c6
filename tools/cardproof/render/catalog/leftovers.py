"""Files of the catalog whose model or claim is gone. Light: every build looks, and mostly finds nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterable


def gone_models(catalog: Path, kept: Container[str]) -> list[Path]:
    """Return the files of models that are gone; ``kept`` are the names of the folders of those that are there."""
    try:
        with os.scandir(catalog / "models") as found:
            folders = sorted(Path(folder) for folder in found if folder.name not in kept and folder.is_dir())
    except FileNotFoundError:
        return []
    return [path for folder in folders for path in sorted(folder.iterdir()) if _is_ours(path)]


def gone_badges(folder: Path, kept: Iterable[Path]) -> list[Path]:
    """Return the badges in a model's folder that no claim has any more."""
    names = {path.name for path in kept}
    found = sorted(folder.glob("*.svg")) if folder.is_dir() else []
    return [path for path in found if path.name not in names and _is_ours(path)]


def _is_ours(path: Path) -> bool:
    from cardproof.render.catalog.files import is_ours  # only where something is gone

    return path.is_file() and is_ours(path.read_text(encoding="utf-8", errors="replace"))

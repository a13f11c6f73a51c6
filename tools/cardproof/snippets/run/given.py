"""Given: the files that a page finds in its folder, by the setting ``files``: copies of files of its site."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from cardproof.core.digests import digest_of_file
from cardproof.core.paths import MOST_ENTRIES, PathError, named_files, resolve_inside

MOST_GIVEN = 256 * 2**20
"""Bytes of all files that one page is given."""


def given_files(patterns: Iterable[str], folders: Iterable[Path], root: Path) -> dict[str, Path]:
    """Return the files that patterns name, by their names in the page's folder; the first folder that has one decides.

    Raises PathError for what leads out of ``root``, and for more than a page is given.
    """
    left = iter(range(MOST_ENTRIES))
    places = [folder for folder in dict.fromkeys(folders) if resolve_inside(folder, root)]
    found: dict[str, Path] = {}
    for pattern in patterns:
        for folder in places:
            for path in named_files(pattern, folder, root, left):
                name = Path(os.path.normpath(path.relative_to(folder))).as_posix()
                if resolve_inside(path, root) is None:
                    raise PathError(f"'{name}' is a link that leads out of the site's folder")
                found.setdefault(name, path)
    if (size := sum(path.stat().st_size for path in found.values())) > MOST_GIVEN:
        raise PathError(f"{size:,} bytes in all; a page is given at most {MOST_GIVEN:,}")
    return found


def digests_of_given(patterns: Iterable[str], folders: Iterable[Path], root: Path) -> list[str]:
    """Return name and digest of each file that patterns name, or the reason why a page cannot be given them."""
    try:
        return [f"{name} {digest_of_file(path)}" for name, path in given_files(patterns, folders, root).items()]
    except (OSError, ValueError) as trouble:
        return [str(trouble)]


def copy_given(files: Mapping[str, Path], work: Path) -> None:
    """Copy files into a page's folder, so that its code cannot change them. Raises OSError."""
    for name, path in files.items():
        target = work / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)

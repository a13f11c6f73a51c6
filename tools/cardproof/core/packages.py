"""Installed distributions: their versions and records of files, read without ``importlib.metadata`` where possible.

Its import costs 15 ms, an eighth of a warm build, for the reading of one line.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

_VERSION = re.compile(r"^Version:[ \t]*(\S+)[ \t]*$", re.MULTILINE)


def version_of(name: str) -> str:
    """Return the version of an installed distribution. Raises importlib.metadata.PackageNotFoundError."""
    if folder := _folder_of(name):
        head = (folder / "METADATA").read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
        if found := _VERSION.search(head):
            return found[1]
    from importlib.metadata import version

    return version(name)


def record_of(name: str) -> str:
    """Return the record of a distribution's files, empty where it has none; raises as :func:`version_of` does."""
    if (folder := _folder_of(name)) and (folder / "RECORD").is_file():
        return (folder / "RECORD").read_text(encoding="utf-8")
    from importlib.metadata import distribution

    return distribution(name).read_text("RECORD") or ""


def _folder_of(name: str) -> Path | None:
    """Return the ``.dist-info`` folder of a distribution; None where it is not installed in that way.

    The folder's name is that of the binary distribution format: the normalized name, a hyphen, the version.
    """
    start = f"{re.sub(r'[-_.]+', '_', name).lower()}-"
    for place in sys.path:
        try:
            names = [entry.name for entry in os.scandir(place or ".")]
        except OSError:  # no folder, such as a zip file
            continue
        for one in names:
            if one.endswith(".dist-info") and one.lower().startswith(start):
                folder = Path(place, one)
                return folder if (folder / "METADATA").is_file() else None
    return None

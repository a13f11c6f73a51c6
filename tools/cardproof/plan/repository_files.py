"""Files of a card's repository: those that its model index names and that are missing, and its licence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from cardproof.core.files import show_path
from cardproof.core.paths import is_regular, resolve_inside
from cardproof.core.types import LicenceFile, MissingFile
from cardproof.core.yaml import Node, Scalar, Sequence

if TYPE_CHECKING:
    from cardproof.read import Card

FIELDS = ("Config", "README", "Image")
"""Fields of a model index that name files of its repository; models inherit them from their collections."""
MOST_FILES = 5_000
"""More files of one folder are not looked through for a near name."""
MAX_LICENCE = 200_000
"""Largest size in bytes of a licence file; the GNU GPL has 35,000."""

_LICENCE_NAMES = ("LICENSE", "LICENSE.md", "LICENSE.txt", "LICENCE", "LICENCE.md", "LICENCE.txt", "COPYING")
_NO_PATH = re.compile(r"://|[*?{}$\\\0\n]")

_PHRASES = (
    ("apache-2.0", "apache license version 2.0, january 2004"),
    ("mit", "permission is hereby granted, free of charge, to any person obtaining a copy of this software and"),
    ("bsd", "redistribution and use in source and binary forms, with or without modification, are permitted"),
    ("agpl-3.0", "gnu affero general public license version 3, 19 november 2007"),
    ("lgpl-3.0", "gnu lesser general public license version 3, 29 june 2007"),
    ("lgpl-2.1", "gnu lesser general public license version 2.1, february 1999"),
    ("gpl-3.0", "gnu general public license version 3, 29 june 2007"),
    ("gpl-2.0", "gnu general public license version 2, june 1991"),
    ("mpl-2.0", "mozilla public license version 2.0"),
    ("isc", "permission to use, copy, modify, and/or distribute this software for any purpose with or without fee"),
    ("unlicense", "this is free and unencumbered software released into the public domain"),
    ("cc0-1.0", "cc0 1.0 universal"),
)
"""The Hub's name of a licence, and words that stand in its text only; in lower case, with single blanks."""
_CREATIVE_COMMONS = re.compile(
    r"attribution(-noncommercial)?(?:-(sharealike|noderivatives))? (\d\.\d) (?:international|unported)"
)


def missing_files(card: Card) -> tuple[tuple[MissingFile, ...], set[Path]]:
    """Return the files that a card's index names and that are missing, and all paths that were looked for.

    A path may begin at the folder of the index or at any folder above it in its repository. It is missing if the folder
    that it names is there and has other files: otherwise the index was moved, and nothing is known.
    """
    missing: list[MissingFile] = []
    looked_for: set[Path] = set()
    seen: set[tuple[str, int]] = set()
    for model in card.models:
        for field in FIELDS if model.form == "index" else ():
            for node in _scalars(model.fields.get(field)):
                key = (node.source.name, node.start)
                if key in seen or not isinstance(node.value, str) or len(node.text) > 500:
                    continue
                seen.add(key)
                name = node.text.partition("#")[0].strip()
                if not name or name.startswith(("/", "~")) or _NO_PATH.search(name):
                    continue
                candidates = list(_candidates(node.source.path.parent, name))
                looked_for.update(candidates)
                if not any(map(_exists, candidates)):
                    missing += _missing(field, node, name, candidates)
    return tuple(missing), looked_for


def licence_file(folder: Path) -> LicenceFile | None:
    """Return the licence file of a card's folder, or of the repository that holds it; None if missing or unknown."""
    top = repository(folder.absolute())
    for place in (folder, top) if top and top != folder.absolute() else (folder,):
        for name in _LICENCE_NAMES:
            path = place / name
            if is_regular(path) and resolve_inside(path, top or folder):
                licences = _licences_of(path)
                return LicenceFile(show_path(path), licences, place is folder) if licences else None
    return None


def licences_in(text: str) -> tuple[str, ...]:
    """Return the licences whose text stands in a text, by the Hub's names; empty if none is recognised."""
    words = " ".join(re.sub(r"[#*_>=]", " ", text).lower().split())
    found = [name for name, phrase in _PHRASES if phrase in words]
    if "bsd" in found:
        found[found.index("bsd")] = "bsd-3-clause" if "endorse or promote products derived" in words else "bsd-2-clause"
    for match in _CREATIVE_COMMONS.finditer(words):
        parts = ("by", match[1] and "nc", {"sharealike": "sa", "noderivatives": "nd"}.get(match[2] or ""), match[3])
        found.append("-".join(["cc", *(part for part in parts if part)]))
    return tuple(dict.fromkeys(found))


@cache
def repository(folder: Path) -> Path | None:
    """Return the nearest folder above that is a Git working tree."""
    return next((above for above in (folder, *folder.parents)[:20] if (above / ".git").exists()), None)


def _scalars(node: Node | None) -> Iterator[Scalar]:
    for item in node.items if isinstance(node, Sequence) else [node]:
        if isinstance(item, Scalar):
            yield item


def _candidates(folder: Path, name: str) -> Iterator[Path]:
    """Yield where a path of the repository may lead: from the folder of the index, and from each above it."""
    top = repository(folder.absolute())
    here = Path.cwd()
    if top is None:
        top = here if folder.absolute().is_relative_to(here) else folder.absolute()
    for base in (folder, *folder.absolute().parents)[:20]:
        if resolve_inside(base, top) and resolve_inside(path := base / name, top):
            yield path


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # the name is too long
        return False


def _missing(field: str, node: Scalar, name: str, candidates: list[Path]) -> Iterator[MissingFile]:
    """Yield the missing file if its folder is there, with the nearest name in it.

    A name without a folder is missing only if a near one is there: it may be relative to any folder.
    """
    for path in candidates:
        if not path.parent.is_dir():
            continue
        others = [other.name for other, _ in zip(path.parent.iterdir(), range(MOST_FILES), strict=False)]
        alike = [other for other in others if Path(other).suffix == path.suffix and other != node.source.path.name]
        near = next(iter(get_close_matches(path.name, alike, 1)), "")
        if near or ("/" in name.removeprefix("./") and len(others) > others.count(node.source.path.name)):
            yield MissingFile(field, node.place, node.text, show_path(path.parent), near)
            return


def _licences_of(path: Path) -> tuple[str, ...]:
    try:
        is_licence = path.stat().st_size <= MAX_LICENCE
        return licences_in(path.read_text(encoding="utf-8", errors="replace")) if is_licence else ()
    except OSError:
        return ()

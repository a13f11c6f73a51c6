"""Local files that cards name: weights, source code, includes, files of the repository. Nothing is downloaded."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field

from cardproof.core.digests import digest_of_large_file
from cardproof.core.errors import boundary
from cardproof.core.paths import hub_repository, is_regular, resolve_inside, show_path
from cardproof.core.source import Source, read_source
from cardproof.core.types import Finding, LicenceFile, LocalCode, LocalFile, MissingFile, Place
from cardproof.core.yaml import Mapping as MappingNode
from cardproof.core.yaml import Scalar, Sequence
from cardproof.read.models import weights_file

if TYPE_CHECKING:
    from cardproof.core.settings import Settings
    from cardproof.read import Card, Reading
    from cardproof.read.models import Model

MAX_CODE = 2 * 1024 * 1024
"""Largest size in bytes of a source file that is parsed; larger ones are generated."""
MAX_INCLUDES = 100

_INCLUDE = re.compile(r"\{%-? ?include ['\"]([^'\"\n%]{1,200})['\"]")
_IN_REPOSITORY = re.compile(r"/(?:blob|tree|raw)/([^/]+)/")
_MOVING = ("main", "master", "HEAD", "develop", "dev")
"""Names of branches; other names are fixed versions."""


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


class LocalFiles(Struct):
    """Local files that one card names; weights and code by the key of the model."""

    weights: dict[str, LocalFile] = field(default_factory=dict)
    code: dict[str, LocalCode] = field(default_factory=dict)
    includes: tuple[Source, ...] = ()
    missing: tuple[MissingFile, ...] = ()
    """Files that its model index names."""
    licence: LicenceFile | None = None
    """Of its folder or repository, if it has a header."""
    refused: tuple[Finding, ...] = ()
    """Notes on files that it names and that are not read."""
    paths: list[Path] = field(default_factory=list)
    """Paths that it names, whether they exist or not, of its licence and of the code that was found.

    The many other places where linked code might be are left out: a build would check each of them again.
    """


def find_local_files(
    reading: Reading, settings: Settings, report: Callable[[Finding], object] = lambda _: None
) -> dict[str, LocalFiles]:
    """Return the local files of each card by its file; ``report`` gets the findings about cards for which that fails.

    Cards are untrusted: only regular files below a card's folder, linked code in its repository, and weights in the
    folder of the settings are opened.
    """
    given = settings.path(settings.weights) if settings.weights else None
    licence_of = cache(licence_file)  # a folder may have thousands of cards
    found = {}
    for card in reading.cards:
        files = found[card.file] = LocalFiles()
        for model in card.models:
            with boundary(report, model.place, "weights", f"in looking for the weights of {model.name}"):
                for path in _weights_paths(model, given):
                    files.paths.append(path)
                    if is_regular(path):
                        sha256 = digest_of_large_file(path).removeprefix("sha256:")
                        files.weights[model.key] = LocalFile(show_path(path), path.stat().st_size, sha256)
                        break
            with boundary(report, model.place, "code", f"in looking for the code of {model.name}"):
                for folder, path, line in _code_paths(model):
                    if is_regular(path) and resolve_inside(path, folder) and (code := _definitions_in(path, line)):
                        files.paths.append(path)
                        files.code[model.key] = code
                        break
        with boundary(report, Place(card.file, 1, 1), "links", "in looking for the files that the card names"):
            files.refused = tuple(dict.fromkeys(filter(None, map(_refused_weights, card.models))))
            files.missing, looked_for = missing_files(card)
            files.paths += sorted(looked_for)
            if card.header:
                files.licence = licence_of(card.source.path.parent)
                files.paths.append(Path(files.licence.name) if files.licence else card.source.path.parent / "LICENSE")
            files.includes = tuple(_included_sources(card, settings))
    return found


def link_of(model: Model, field_name: str) -> Scalar | None:
    """Return the address in a field: its text, or the ``URL`` of its mapping."""
    node = model.fields.get(field_name)
    if isinstance(node, MappingNode):
        node = node.get("URL")
    return node if isinstance(node, Scalar) and isinstance(node.value, str) else None


def model_names(models: Iterable[Model]) -> dict[str, str]:
    """Return the names of a card's models by their spelling in file names."""
    return {_in_file_names(model.name): model.name for model in models}


def model_of_weights(model: Model, names: Mapping[str, str]) -> str | None:
    """Return the other model of the card whose name a model's file of weights has; None if there is none.

    Such a link was left over from the entry above, and says nothing of the model. ``names`` are those of
    :func:`model_names`.
    """
    file, own = weights_file(model), _in_file_names(model.name)
    if file is None or len(own) < 3:
        return None
    stem = _in_file_names(file[:300])
    ends = [match.start() for match in re.finditer(r"[^a-z0-9]|$", stem)]
    fitting = [name for end in ends if len(name := stem[:end]) > 2 and name in names]
    other = max(fitting, key=len, default=own)
    return names[other] if own not in fitting and other not in own and not other.startswith(own) else None


def _in_file_names(name: str) -> str:
    return re.sub(r"[-_. ]+", "_", name.lower())


def _weights_paths(model: Model, given: Path | None) -> Iterator[Path]:
    link = link_of(model, "Weights")
    if link is None:
        return
    if "://" not in link.text and (path := _path_inside(link.source.path.parent, link.text)):
        yield path
    name = weights_file(model)
    if given and name and given.name == name:
        yield given
    elif given and name and (path := _path_inside(given, name)):
        yield path


def _code_paths(model: Model) -> Iterator[tuple[Path, Path, int | None]]:
    """Yield the folder, the path and the line that a model's ``Code`` may mean.

    Below the card's folder, the longest path first; then in the card's repository, unless the link is to a fixed
    version, which may differ from the working tree.
    """
    link = link_of(model, "Code")
    if link is None or len(link.text) > 2000:
        return
    address, _, anchor = link.text.partition("#")
    where = _IN_REPOSITORY.search(address)
    line = re.match(r"L(\d{1,7})", anchor)
    parts = address[where.end() if where else 0 :].split("/")
    if "://" in address and not where:
        return
    if ".." in parts or "\0" in address or not address.endswith(".py"):
        return
    folder, number = link.source.path.parent, int(line[1]) if line else None
    for first in range(min(len(parts), 20)):
        yield folder, folder.joinpath(*parts[first:]), number
    top = repository_root(folder.absolute()) if where is None or where[1] in _MOVING else None
    if top:
        yield top, top.joinpath(*parts), number


def _path_inside(folder: Path, name: str) -> Path | None:
    """Return a path below a folder; None if the name leads out of it."""
    path = folder / name
    return path if path != folder and resolve_inside(path, hub_repository(folder) or folder) else None


def _refused_weights(model: Model) -> Finding | None:
    """Return a note on a model's file of weights that is not read, since it is behind a link."""
    link = link_of(model, "Weights")
    if link is None or "://" in link.text or not is_regular(path := link.source.path.parent / link.text):
        return None
    if _path_inside(path.parent, path.name) or _path_inside(link.source.path.parent, link.text):
        return None
    message = f"{show_path(path)} is not read: a link leads out of the card's folder"
    return Finding(link.place, "missing-file", "note", message, "--weights names a folder with files of weights")


def _definitions_in(path: Path, line: int | None) -> LocalCode | None:
    """Return the definitions in a source file; None if it is not valid Python."""
    try:
        if path.suffix != ".py" or path.stat().st_size > MAX_CODE:
            return None
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    defined = [node for node in tree.body if isinstance(node, kinds)]
    inside = None
    for node in defined:
        first = min(part.lineno for part in (node, *node.decorator_list))
        if line is not None and first <= line <= (node.end_lineno or node.lineno):
            inside = node.name
    return LocalCode(show_path(path), line, inside, tuple(node.name for node in defined))


def _included_sources(card: Card, settings: Settings) -> Iterator[Source]:
    folders = [card.source.path.parent, settings.path(settings.includes), settings.path(settings.templates)]
    names = dict.fromkeys(_INCLUDE.findall(card.source.text))
    for name in list(names)[:MAX_INCLUDES]:
        for folder in folders:
            path = _path_inside(folder, name)
            if path and is_regular(path):
                source, _ = read_source(path, show_path(path))
                if source:
                    yield source
                break


def missing_files(card: Card) -> tuple[tuple[MissingFile, ...], set[Path]]:
    """Return the files that a card's index names and that are missing, and all paths that were looked for.

    A path may begin at the folder of the index or at any folder above it in its repository. It is missing if the folder
    that it names is there and has other files: otherwise the index was moved, and nothing is known.
    """
    missing: list[MissingFile] = []
    looked_for: set[Path] = set()
    seen: set[tuple[str, int]] = set()
    for model in card.models:
        for name_of_field in FIELDS if model.form == "index" else ():
            given = model.fields.get(name_of_field)
            for node in given.items if isinstance(given, Sequence) else [given]:
                if not isinstance(node, Scalar) or not isinstance(node.value, str) or len(node.text) > 500:
                    continue
                key = (node.source.name, node.start)
                if key in seen:
                    continue
                seen.add(key)
                name = node.text.partition("#")[0].strip()
                if not name or name.startswith(("/", "~")) or _NO_PATH.search(name):
                    continue
                candidates = list(_possible_paths(node.source.path.parent, name))
                looked_for.update(candidates)
                if not any(map(_exists, candidates)):
                    missing += _missing_candidate(name_of_field, node, name, candidates)
    return tuple(missing), looked_for


def licence_file(folder: Path) -> LicenceFile | None:
    """Return the licence file of a card's folder, or of the repository that holds it; None if missing or unknown."""
    top = repository_root(folder.absolute())
    for place in (folder, top) if top and top != folder.absolute() else (folder,):
        for name in _LICENCE_NAMES:
            path = place / name
            if is_regular(path) and resolve_inside(path, top or folder):
                licences = _licences_of(path)
                return LicenceFile(show_path(path), licences, place is folder) if licences else None
    return None


def licences_in(text: str) -> tuple[str, ...]:
    """Return the licences whose wording a text contains, by the Hub's names; empty if none is recognised."""
    words = " ".join(re.sub(r"[#*_>=]", " ", text).lower().split())
    found = [name for name, phrase in _PHRASES if phrase in words]
    if "bsd" in found:
        found[found.index("bsd")] = "bsd-3-clause" if "endorse or promote products derived" in words else "bsd-2-clause"
    for match in _CREATIVE_COMMONS.finditer(words):
        parts = ("by", match[1] and "nc", {"sharealike": "sa", "noderivatives": "nd"}.get(match[2] or ""), match[3])
        found.append("-".join(["cc", *(part for part in parts if part)]))
    return tuple(dict.fromkeys(found))


def repository_root(folder: Path) -> Path | None:
    """Return the nearest folder above that is a Git working tree."""
    return next((above for above in (folder, *folder.parents)[:20] if (above / ".git").exists()), None)


def _possible_paths(folder: Path, name: str) -> Iterator[Path]:
    """Yield the files that a path of the repository may mean: below the folder of the index, and below each parent."""
    top = repository_root(folder.absolute())
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


def _missing_candidate(in_field: str, node: Scalar, name: str, candidates: list[Path]) -> Iterator[MissingFile]:
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
            yield MissingFile(in_field, node.place, node.text, show_path(path.parent), near)
            return


def _licences_of(path: Path) -> tuple[str, ...]:
    try:
        is_licence = path.stat().st_size <= MAX_LICENCE
        return licences_in(path.read_text(encoding="utf-8", errors="replace")) if is_licence else ()
    except OSError:
        return ()

"""What a zoo states about its models: metadata, the place in its source where each value stands, and diagrams."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct, convert

from cardproof.core.types import Place
from cardproof.zoos import BUILT_IN, load_zoo

TASK = "Image Classification"


class Value(Struct, frozen=True):
    """One value, as a card would state it."""

    field: str
    """In the words of cards."""
    text: str
    """With its unit, and the digits that the zoo's source writes."""
    key: str
    """Its name in the metadata."""
    place: Place


class Published(Struct, frozen=True):
    """What a zoo says of one model with its weights."""

    model: str
    place: Place
    """Where the zoo's source has the entry."""
    weights: str = ""
    """Address of the file, or of the repository that holds it; empty if none is published."""
    licence: str = ""
    data: tuple[str, ...] = ()
    """What the weights were trained on, as far as the metadata says it."""
    values: tuple[Value, ...] = ()
    results: tuple[tuple[str, tuple[Value, ...]], ...] = ()
    """Data sets with the metrics on each."""


class ModelList(Struct, frozen=True):
    """Some models of a zoo."""

    title: str
    """The zoo's name, as readers know it."""
    version: str
    """Of its distribution; empty if it is not one."""
    address: str
    """Where its metadata is to be read; empty if it has none."""
    models: tuple[Published, ...]
    """In the order of the zoo, each once."""

    @property
    def source(self) -> str:
        """Name and version."""
        return f"{self.title} {self.version}".strip()


def as_published(model: str, given: Any) -> Published:
    """Return the metadata of a zoo on a model as :class:`Published`; of a custom zoo, the link of its ``weights``."""
    if isinstance(given, Published):
        return given
    place = Place(model, 0, 0)  # the zoo's own source is not known
    if given is None:
        return Published(model, place)
    link = given if isinstance(given, str) else _text(given, "url", "link")
    return Published(model, place, link, "" if isinstance(given, str) else _text(given, "licence", "license"))


def _text(given: Mapping[str, Any] | Any, *keys: str) -> str:
    for key in keys:
        value = given.get(key) if hasattr(given, "get") else getattr(given, key, None)
        if isinstance(value, str):
            return value
    return ""


class SourceFile:
    """One file of an installed package."""

    def __init__(self, path: Path, name: str) -> None:
        """``name`` is its path relative to the folder of the package, the same on every machine."""
        self.name = name
        self._text = path.read_text(encoding="utf-8")
        self._lines = self._text.split("\n")
        self._tree = ast.parse(self._text)
        self._constants = {
            target.id: node.value
            for node in self._tree.body
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name)
        }
        texts = (
            node for node in ast.walk(self._tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        )
        self._texts = {node.value: node for node in sorted(texts, key=lambda node: node.lineno)}

    def entry(self, cls: str, name: str) -> ast.expr | None:
        """Return the expression that a class of this file assigns to a name."""
        for node in self._tree.body:
            if isinstance(node, ast.ClassDef) and node.name == cls:
                for statement in node.body:
                    if isinstance(statement, ast.Assign) and _assigns(statement, name):
                        return statement.value
        return None

    def place_of_text(self, text: str) -> Place:
        """Return the place of the last such text constant; of the file if there is none."""
        found = self._texts.get(text)
        return self.place(found) if found else Place(self.name, 1, 1)

    def value(self, within: ast.expr, *keys: str) -> ast.expr | None:
        """Return the value at nested keys of a dictionary in an expression; names of this file are resolved."""
        for node in ast.walk(within):
            if isinstance(node, ast.Dict) and (found := self._look_up(node, keys, 0)) is not None:
                return found
        return None

    def place(self, node: ast.expr) -> Place:
        end = self._column(node.end_lineno or 0, node.end_col_offset or 0) if node.end_lineno == node.lineno else None
        return Place(self.name, node.lineno, self._column(node.lineno, node.col_offset), end)

    def text(self, node: ast.expr) -> str:
        """Return what is written, as ``ast.get_source_segment`` does, which splits the whole file each time."""
        lines = [line.encode() for line in self._lines[node.lineno - 1 : node.end_lineno]]
        lines[-1] = lines[-1][: node.end_col_offset]
        lines[0] = lines[0][node.col_offset :]
        return b"\n".join(lines).decode()

    def _look_up(self, node: ast.expr, keys: tuple[str, ...], depth: int) -> ast.expr | None:
        if not keys:
            return node
        if isinstance(node, ast.Name) and depth < 10:
            constant = self._constants.get(node.id)
            return self._look_up(constant, keys, depth + 1) if constant is not None else None
        if not isinstance(node, ast.Dict):
            return None
        pairs = list(zip(node.keys, node.values, strict=True))
        for key, value in reversed(pairs):  # the last entry of a key counts
            if key is None:
                found = self._look_up(value, keys, depth + 1)
            else:
                is_key = isinstance(key, ast.Constant) and key.value == keys[0]
                found = self._look_up(value, keys[1:], depth) if is_key else None
            if found is not None:
                return found
        return None

    def _column(self, line: int, offset: int) -> int:
        """Return the column, in characters, of an offset in bytes."""
        return len(self._lines[line - 1].encode()[:offset].decode(errors="replace")) + 1


@cache
def source_file(path: str, package: str) -> SourceFile | None:
    """Return a file of a package; None if it cannot be read, as in an archive."""
    parts = Path(path).parts
    start = max((i for i, part in enumerate(parts) if part == package), default=0)
    try:
        return SourceFile(Path(path), "/".join(parts[start:]))
    except (OSError, SyntaxError, ValueError):
        return None


def _assigns(statement: ast.Assign, name: str) -> bool:
    return any(isinstance(target, ast.Name) and target.id == name for target in statement.targets)


class Box(Struct, frozen=True):
    """A part of a block."""

    text: str
    y: int
    """Row, from the top."""
    x: int = 0
    """First column."""
    width: int = 1
    """Columns."""
    kind: Literal["layer", "sum", "text"] = "layer"


class Panel(Struct, frozen=True):
    """One picture of a diagram."""

    title: str
    description: str
    columns: int
    boxes: tuple[Box, ...]
    arrows: tuple[tuple[int, int], ...]
    """Positions of boxes: from, to."""


class Diagram(Struct, frozen=True):
    """How the blocks of a network are built."""

    caption: str
    """What the pictures show, with the numbers of the model."""
    panels: tuple[Panel, ...]


def diagram_of(spec: str | None, name: str) -> Diagram | None:
    """Return the diagram that a built-in zoo has of a model, without torch; None if it has none."""
    describe = getattr(load_zoo(spec), "diagram", None) if spec in BUILT_IN else None
    try:
        return convert(describe(name), Diagram) if describe else None
    except (LookupError, ValueError):  # the zoo does not know the model
        return None

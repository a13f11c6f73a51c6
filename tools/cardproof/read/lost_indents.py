"""A model index whose lines all begin in one column: its indentation is restored from the keys."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from cardproof.core.source import Source
from cardproof.core.types import Finding, Fix, Place
from cardproof.core.yaml import Mapping, Node, Sequence, read_yaml
from cardproof.read.index_keys import INDEX, ITEM, OF_METADATA, REFERENCES, RESULT, home_of, misplaced
from cardproof.read.markdown import split_lines

_LINE = re.compile(
    r"(?P<dash>-[ \t]+)?(?P<key>'[^']*'|\"[^\"]*\"|[^\s:#'\"\[\]{},|>&*!%@`-][^:#'\"]*):(?P<value>[ \t].*|)"
)
_OPEN_VALUE = re.compile(r"\s*(?:[|>][-+\d]*\s*(?:#.*)?|[\[{][^\]}]*)")
"""A value that goes on in the lines below."""


class RestoredIndex:
    """The text of an index with its indentation restored, read with the positions of the text as it is."""

    def __init__(self, source: Source, start: int, end: int, spaces: Iterable[int]) -> None:
        lines = [line for _, line in split_lines(source.text[start:end])]
        self.spaces = list(spaces)
        self._source, self._start = source, start
        self._lines = lines
        self._first = source.place(start).line
        text = "".join(" " * number + line for number, line in zip(self.spaces, lines, strict=True))
        self._changed = Source(source.name, source.path, source.text[:start] + text)
        self._starts: list[tuple[int, int]] = []
        """Where each line starts in both texts: changed, as it is."""
        changed = position = start
        for number, line in zip(self.spaces, lines, strict=True):
            self._starts.append((changed, position))
            changed, position = changed + number + len(line), position + len(line)
        self._end = position

    def read(self) -> tuple[Node | None, list[Finding]]:
        tree, findings = read_yaml(self._changed, self._start)
        if tree is not None:
            self._move(tree, set())
        return tree, [replace(one, place=self._place(one.place), fix=self._fix(one.fix)) for one in findings]

    def fixes(self) -> list[Fix]:
        """Return the insertions of spaces; the first line may begin below a mark of the comment."""
        found = []
        for at, number in enumerate(self.spaces):
            if number:
                column = 1 if at else self._source.place(self._start).column
                found.append(Fix(self._first + at, column, column, " " * number))
        return found

    def finding(self) -> Finding:
        """Return the error at the first key that belongs further in."""
        at = next(at for at, number in enumerate(self.spaces) if number)
        match = _LINE.match(self._lines[at].strip())
        key = match["key"] if match else self._lines[at].strip()
        start = self._starts[at][1] + len(self._lines[at]) - len(self._lines[at].lstrip())
        return misplaced(self._source.place(start, start + len(key)), key, "the root of the index", "an entry of it")

    def _position(self, changed: int) -> int:
        at = bisect_right(self._starts, (changed, self._end + changed)) - 1
        if at < 0:
            return changed
        first, position = self._starts[at]
        return max(position, min(position + changed - first - self.spaces[at], self._end))

    def _place(self, place: Place) -> Place:
        at = place.line - self._first
        spaces = self.spaces[at] if 0 <= at < len(self.spaces) else 0
        end = None if place.end_column is None else max(1, place.end_column - spaces)
        return Place(place.file, place.line, max(1, place.column - spaces), end)

    def _fix(self, fix: Fix | None) -> Fix | None:
        if fix is None:
            return None
        spaces = self.spaces[fix.line - self._first]
        return replace(fix, column=fix.column - spaces, end_column=fix.end_column - spaces)

    def _move(self, node: Node, seen: set[int]) -> None:
        """Give a node and all below it the positions in the text as it is."""
        if id(node) in seen:
            return
        seen.add(id(node))
        node.source, node.start, node.end = self._source, self._position(node.start), self._position(node.end)
        if isinstance(node, Sequence):
            for item in node.items:
                self._move(item, seen)
        elif isinstance(node, Mapping):
            for key, value in node:
                self._move(key, seen)
                self._move(value, seen)


def lost_indents(text: str) -> list[int] | None:
    """Return by how many spaces each line of an index has to be indented if all its lines begin in one column.

    None if they do not, if nothing belongs further in, or if a line is not understood.
    """
    lines = [line.rstrip() for _, line in split_lines(text)]
    filled = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if len({len(line) - len(line.lstrip()) for line in filled}) != 1 or "\t" in text:
        return None
    depth = _Depth()
    found = [depth.of(line.strip()) for line in lines]
    if None in found or not depth.misplaced:
        return None
    return [number or 0 for number in found]


class _Depth(Struct):
    """Finds how deep each line of an index stands, from its key and the lines above."""

    misplaced: bool = False
    """Whether a key that belongs into an entry was seen."""
    _list: bool = False
    _open: str = ""
    """What is open in the current entry: metadata, results, a result, its metrics, the values of those, paper, code."""
    _deepest: int = 0

    def of(self, line: str) -> int | None:
        if not line or line.startswith("#"):
            return 0
        match = _LINE.fullmatch(line)
        if match is None:
            return self._deepest if line.startswith("- ") else None
        if _OPEN_VALUE.fullmatch(match["value"]):
            return None
        key, empty = match["key"].strip("'\" ").lower(), not match["value"].strip()
        found = self._entry(key, empty) if match["dash"] else self._key(key, empty)
        if found is not None and empty:
            self._deepest = found
        return found

    def _entry(self, key: str, empty: bool) -> int | None:
        """Return the depth of a line that begins an entry of a list."""
        if key == "name" and self._list and self._open != "metrics":
            self._open = ""
            return 0
        if key in RESULT and self._open in ("results", "result", "metrics", "values"):
            self._open = "metrics" if key == "metrics" and empty else "result"
            return 2
        return None

    def _key(self, key: str, empty: bool) -> int | None:
        if key in INDEX:
            self._list, self._open = key in ("models", "collections"), ""
            return 0
        if not self._list:
            return None
        self.misplaced |= bool(home_of(key)) or key in ITEM
        if key in ITEM and not (key == "name" and self._open in REFERENCES):
            self._open = key if empty else ""
            return 2
        if key in RESULT and self._open in ("results", "result", "metrics", "values"):
            self._open = "metrics" if key == "metrics" and empty else "result"
            return 4
        if key in OF_METADATA or self._open == "metadata":
            return 4 if self._open == "metadata" else None
        if self._open in ("metrics", "values"):
            self._open = "values"
            return 6
        return 4 if self._open in (*REFERENCES, "converted from") else None

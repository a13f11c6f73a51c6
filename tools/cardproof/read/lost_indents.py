"""A model index whose lines all begin in one column: its indentation is restored from the keys."""

from __future__ import annotations

import re

from msgspec import Struct, field
from msgspec.structs import replace

from cardproof.core.source import Source
from cardproof.core.types import Finding, Place
from cardproof.read.index_keys import INDEX, ITEM, OF_METADATA, REFERENCES, RESULT, home_of, misplaced
from cardproof.read.markdown import split_lines

_LINE = re.compile(
    r"(?P<dash>-[ \t]+)?(?P<key>'[^']*'|\"[^\"]*\"|[^\s:#'\"\[\]{},|>&*!%@`-][^:#'\"]*):(?P<value>[ \t].*|)"
)
_OPEN_VALUE = re.compile(r"\s*(?:[|>][-+\d]*\s*(?:#.*)?|[\[{][^\]}]*)")
"""A value that goes on in the lines below."""


class RestoredSource(Source, eq=False):
    """The text of an index with its indentation restored; its places are those in the text as it is."""

    shifts: dict[int, int] = field(default_factory=dict)
    """Line -> spaces by which it is indented too little."""

    def place(self, start: int, end: int | None = None) -> Place:
        found = Source.place(self, start, end)
        spaces = self.shifts.get(found.line, 0)
        last = found.end_column and max(1, found.end_column - spaces)
        return replace(found, column=max(1, found.column - spaces), end_column=last)

    def finding(self) -> Finding:
        """Return the error at the first key that belongs further in."""
        number, spaces = next(iter(self.shifts.items()))
        line = self.text.split("\n")[number - 1]
        match = _LINE.match(line.strip())
        key = match["key"] if match else line.strip()
        column = len(line) - len(line.lstrip()) - spaces + 1
        place = Place(self.name, number, column, column + len(key))
        return misplaced(place, key, "the root of the index", "an entry of it")


def restore_indents(source: Source, start: int, end: int) -> RestoredSource | None:
    """Return the text up to the end of an index with its indentation restored if all its lines begin in one column.

    None if they do not, if nothing belongs further in, or if a line is not understood.
    """
    lines = [line for _, line in split_lines(source.text[start:end])]
    filled = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if len({len(line) - len(line.lstrip()) for line in filled}) != 1 or any("\t" in line for line in lines):
        return None
    depth = _Depth()
    spaces = [depth.of(line.strip()) for line in lines]
    if None in spaces or not depth.misplaced:
        return None
    text = "".join(" " * (number or 0) + line for number, line in zip(spaces, lines, strict=True))
    shifts = {line: number for line, number in enumerate(spaces, source.place(start).line) if number}
    return RestoredSource(source.name, source.path, source.text[:start] + text, shifts=shifts)


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

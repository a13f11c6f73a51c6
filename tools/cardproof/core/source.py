"""A source file as text with positions; characters that no reader accepts become findings."""

from __future__ import annotations

import re
from bisect import bisect_right
from pathlib import Path

from msgspec import Struct, field

from cardproof.core.types import Finding, Fix, Place

MAX_BYTES = 4 * 1024 * 1024
"""Largest size of a card; a larger file is refused before it is parsed."""

BOM_COLUMN = 0
"""Column of a byte order mark on line 1: it is before the text, whose first column is 1."""

# All characters below U+00A0 that YAML's character set excludes (YAML 1.1, section 5.1), and lone surrogates.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")


class Source(Struct, eq=False):
    """One file: its name in reports, its text without a byte order mark, and its line starts."""

    name: str
    path: Path
    text: str
    bom: bool = False
    _starts: list[int] = field(default_factory=list)

    def place(self, start: int, end: int | None = None) -> Place:
        """Return the place of the characters ``[start, end)``."""
        if not self._starts:
            self._starts = [0, *(match.end() for match in re.finditer("\n", self.text))]
        line = bisect_right(self._starts, start)
        first = self._starts[line - 1]
        next_line = self._starts[line] if line < len(self._starts) else len(self.text) + 1
        end_column = end - first + 1 if end is not None and end < next_line else None
        return Place(self.name, line, start - first + 1, end_column)


def read_source(path: Path, name: str) -> tuple[Source | None, list[Finding]]:
    """Read a UTF-8 file; return None and an error finding if that is not possible.

    A byte order mark is removed (columns on line 1 do not shift) and reported; so is the first control character.
    """

    def error(message: str, hint: str | None = None, line: int = 1, column: int = 1) -> Finding:
        return Finding(Place(name, line, column), "encoding", "error", message, hint, fatal=True)

    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as trouble:  # a name with a null character is a ValueError
        return None, [error(f"cannot be read: {getattr(trouble, 'strerror', None) or trouble}")]
    if len(data) > MAX_BYTES:
        return None, [error(f"is larger than {MAX_BYTES // 2**20} MiB, too large for a card")]
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as trouble:
        before = data[: trouble.start].decode("utf-8", "replace")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        return None, [error(f"byte 0x{data[trouble.start]:02X} is not UTF-8", "save the file as UTF-8", line, column)]
    findings = []
    bom = text.startswith("\ufeff")
    source = Source(name, path, text.removeprefix("\ufeff"), bom)
    if bom:
        hint = "save the file as UTF-8 without a byte order mark"
        message = "file starts with a byte order mark, which many readers take for text"
        fix = Fix(1, BOM_COLUMN, 1, "", safe=True)
        findings.append(Finding(Place(name, 1, 1), "byte-order-mark", "warning", message, hint, fix))
    if control := _CONTROL.search(source.text):
        place = source.place(control.start(), control.end())
        message = f"control character U+{ord(control.group()):04X} in the text"
        hint = "delete it; no YAML reader accepts it and JSON cannot hold it"
        findings.append(Finding(place, "control-character", "error", message, hint, fatal=True))
    return source, findings

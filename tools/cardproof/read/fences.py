"""Fenced code in Markdown, followed line by line (CommonMark 0.31, section 4.5)."""

from __future__ import annotations

import re

from msgspec import Struct

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")


class Fences(Struct):
    """Feed it the lines in order; it knows whether a line belongs to fenced code."""

    _open: str = ""

    @property
    def is_open(self) -> bool:
        """Whether the next line belongs to fenced code."""
        return bool(self._open)

    def feed(self, line: str) -> bool:
        """Return whether the line is code or a fence."""
        match = _FENCE.match(line.rstrip("\r\n"))
        if self._open:
            if match and match[1].startswith(self._open) and not match[2].strip():
                self._open = ""
            return True
        if match and not (match[1][0] == "`" and "`" in match[2]):
            self._open = match[1]
            return True
        return False


def split_at_section(text: str) -> tuple[str, str]:
    """Split Markdown before its first second-level heading outside fenced code."""
    fences = Fences()
    position = 0
    for line in text.splitlines(keepends=True):
        if not fences.feed(line) and line.startswith("## "):
            return text[:position], text[position:]
        position += len(line)
    return text, ""

"""The lines of a Markdown text that a reader sees as text: no fenced or indented code, no comments."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cardproof.read.fences import Fences

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cardproof.core.source import Source

_COMMENTS = (("<!--", "-->"), ("{/*", "*/}"))


class Line(NamedTuple):
    """A line with its line end, and where it starts in the file."""

    start: int
    text: str


def text_lines(source: Source, start: int = 0) -> Iterator[Line]:
    """Yield the lines from ``start`` on; where lines are left out, an empty one stands for them."""
    fences, position, closing = Fences(), start, ""
    for text in source.text[start:].splitlines(keepends=True):
        line, position = Line(position, text), position + len(text)
        if closing:
            closing = "" if closing in text else closing
        elif fences.feed(text) or text.startswith(("    ", "\t")):
            pass
        elif opened := next((close for mark, close in _COMMENTS if _stays_open(text, mark, close)), ""):
            closing = opened
        else:
            yield line
            continue
        yield Line(line.start, "")


def _stays_open(text: str, mark: str, close: str) -> bool:
    """Return whether a line begins a comment that it does not end."""
    opened = text.rfind(mark)
    return opened >= 0 and close not in text[opened + len(mark) :]

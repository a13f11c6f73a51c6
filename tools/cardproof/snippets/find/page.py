"""A converted page: its code, comments with options, and the prose between them, as its HTML shows them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from html.parser import HTMLParser
from typing import Literal

from msgspec import Struct

from cardproof.snippets.find.include import Origin

PYTHON = frozenset({"python", "py", "python3", "py3"})
CONSOLE = frozenset({"pycon", "pycon3", "python-console"})

_FENCE, _END, _COMMENT = "data-cardproof-fence", "data-cardproof-end", "<!-- snippet:"
_FLOW = {"h1", "h2", "h3", "h4", "h5", "h6", "li", "tr", "hr", "img", "pre", "blockquote", "dt", "dd", "summary"}
"""Elements that end the neighbourhood of a code block and its output."""

Fate = Literal["shown", "commented", "lost"]
"""What the page makes of a fence: code, a part of an HTML comment, or neither (its back-ticks show)."""


class Fence(Struct):
    """A closed fence whose header was accepted; code and fate are known after the conversion."""

    start: int
    """Index in the page's lines of the header."""
    end: int
    """Index after the closing line."""
    language: str
    classes: tuple[str, ...]
    """Fence classes after the language."""
    attributes: dict[str, str]
    """Attributes of the header: ``reason="…"``, ``title="…"``, and ``id`` for ``#name``."""
    code: str = ""
    fate: Fate = "lost"


class Comment(Struct, frozen=True):
    """A ``<!-- snippet: … -->`` that is a comment of the page."""

    line: int
    """Index in the page's lines."""
    text: str
    """The text after ``snippet:``."""


class Prose(Struct):
    """The text between two fences or comments."""

    text: str = ""
    paragraphs: int = 0
    others: int = 0
    """Headings, list items, tables, images."""


class ObservedPage(Struct, frozen=True):
    """A converted page, after its snippets (``--8<--``) were included."""

    lines: tuple[str, ...]
    origins: tuple[Origin, ...]
    """For each line: the included file, or None for the page, and its line there, from 1."""
    fences: tuple[Fence, ...]
    """All of them, by line."""
    shown: tuple[Fence | Comment | Prose, ...]
    """The visible parts, in the order of the HTML."""
    comments: tuple[str, ...]
    """Texts of all HTML comments."""
    refused: frozenset[int]
    """Indexes of lines that were refused as headers."""
    missing: tuple[str, ...]
    """Paths of missing snippet files."""
    is_commonmark: bool = False
    """No site converts the page: it has no superfences."""


def indentation(line: str) -> int:
    """Return the number of characters before a fence: blanks and the marks of block quotes."""
    return len(line) - len(line.lstrip("> \t"))


def marked_code(code: str) -> str:
    """Return the HTML of code without colours, which change nothing about what is code and cost a lexer."""
    return f"<pre><code>{escape(code)}</code></pre>"


def marked(html: str, number: int) -> str:
    """Return the HTML of a fence with its number in the first tag, and a mark where it ends."""
    opened = re.sub(r"<([a-zA-Z][\w-]*)", rf'<\1 {_FENCE}="{number}"', html, count=1)
    return f'{opened}<i {_END}="{number}"></i>'


def marked_comment(line: str, index: int) -> str:
    """Return a line whose snippet comment holds the index of the line."""
    return line.replace(_COMMENT, f"{_COMMENT[:-1]}@{index}:")


class _Events(HTMLParser):
    """The HTML as a row of fences, comments and the prose between them."""

    def __init__(self, lines: Sequence[str], fences: int) -> None:
        super().__init__()
        self._lines = lines
        self._fences = fences
        self.row: list[int | Comment | Prose] = []
        """Numbers of fences, comments, and the prose between them."""
        self.comments: list[str] = []
        self._inside: int | None = None

    def fate(self, number: int) -> Fate:
        if number in self.row:
            return "shown"
        mark = f'{_FENCE}="{number}"'
        return "commented" if any(mark in comment for comment in self.comments) else "lost"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            number = _index(value or "", self._fences) if name in (_FENCE, _END) else None
            if name == _FENCE and number is not None and number not in self.row:
                self._inside = number
                self.row.append(number)
            elif name == _END and number is not None and number == self._inside:
                self._inside = None
                return
        if self._inside is None:
            self._prose().paragraphs += tag == "p"
            self._prose().others += tag in _FLOW

    def handle_data(self, data: str) -> None:
        if self._inside is None:
            self._prose().text += data

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)
        match = re.match(r" snippet@(\d+):(.*)", data, re.DOTALL)
        line = _index(match[1], len(self._lines)) if match else None
        if self._inside is None and match and line is not None and _COMMENT in self._lines[line]:
            self.row.append(Comment(line, match[2].strip()))

    def _prose(self) -> Prose:
        last = self.row[-1] if self.row else None
        if not isinstance(last, Prose):
            last = Prose()
            self.row.append(last)
        return last


def _index(text: str, most: int) -> int | None:
    """Return the index in a mark; None if it is not one of ours: a page may hold text that looks like a mark."""
    number = int(text) if re.fullmatch(r"[0-9]{1,9}", text) else most
    return number if number < most else None


def visible_parts(
    html: str, lines: Sequence[str], fences: Sequence[Fence]
) -> tuple[list[Fence | Comment | Prose], list[str]]:
    """Return the visible parts of a page in their order, and the texts of all comments; note the fate of each fence."""
    events = _Events(lines, len(fences))
    events.feed(html)
    events.close()
    for number, fence in enumerate(fences):
        fence.fate = events.fate(number)
    return [fences[item] if isinstance(item, int) else item for item in events.row], events.comments

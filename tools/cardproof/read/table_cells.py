"""Tables as rows of cells, each with its span in the file: of Markdown (GFM), of HTML, and of CSV files.

The blocks of Markdown are found by markdown-it, which is imported only if a card may have a table.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct, field

from cardproof.core.source import Source
from cardproof.read.cell_text import plain

if TYPE_CHECKING:
    from markdown_it.token import Token

MAX_LINES = 60_000
"""Lines of a card whose blocks are looked at: a table takes about as many records as it has cells."""
MOST_COLUMNS = 100
"""Columns of a table; a wider one is data and is not read."""
MOST_CELLS = 400_000
"""Cells of a table; rows behind them are not read."""
MAX_HTML = 1_000_000
"""Characters of a table in HTML."""
MAX_CAPTION = 2000

_BAR = re.compile(r"\\.|\|")
_NESTED = re.compile(r"[\s>]*(?:(?:[-*+]|\d{1,9}[.)])\s+)?[\s>]*")
_TABLE_TAG = re.compile(r"<(?P<close>/?)table\b[^<>]{0,2000}>", re.IGNORECASE)
_HTML_HEADING = re.compile(r"<h(?P<level>[1-6])\b[^<>]{0,500}>(?P<text>[^\n]{1,200}?)</h[1-6]>", re.IGNORECASE)


class Cell(NamedTuple):
    """A cell: the characters ``[start, end)`` of the file, without blanks around them."""

    start: int
    end: int
    shared: bool = False
    """Whether it spans several rows."""


class RawTable(Struct, frozen=True):
    """A table as it is written, with the words around it."""

    heads: list[list[Cell]]
    """The rows of its head, mostly one."""
    rows: list[list[Cell]]
    caption: str = ""
    headings: tuple[str, ...] = ()
    cut: bool = False
    """Whether it has more cells than are read."""


class _Page(Struct):
    """What was seen of a page so far."""

    source: Source
    starts: list[int]
    """Where each line starts, from the first that was parsed on."""
    headings: dict[int, str] = field(default_factory=dict)
    paragraph: tuple[int, str] = (-1, "")
    """The line after the last paragraph or heading, and the paragraph's text."""
    html_end: int = 0
    """End of the last table in HTML."""

    def enter(self, level: int, text: str) -> None:
        """Remember a heading in place of those at its level or below."""
        self.headings = {key: other for key, other in self.headings.items() if key < level} | {level: plain(text)}

    def caption(self, line: int) -> str:
        """Return the paragraph right above a line."""
        end, text = self.paragraph
        between = self.source.text[self.starts[end] : self.starts[line]] if 0 <= end <= line else "x"
        return plain(text[:MAX_CAPTION]) if not between.strip() else ""


def may_have_table(text: str) -> bool:
    """Return whether a text may hold a table."""
    return "|" in text or "<table" in text.lower()


def tables_of(source: Source, start: int = 0) -> Iterator[RawTable]:
    """Yield the tables of a Markdown file from ``start`` on, which is the start of a line."""
    if not may_have_table(source.text) or source.text.count("\n", start) > MAX_LINES:
        return
    from markdown_it import MarkdownIt

    text = source.text[start:]
    if source.path.suffix.lower() == ".mdx":
        text = _without_mdx_comments(text)
    parser = MarkdownIt("commonmark").enable("table")
    parser.core.ruler.enableOnly(["normalize", "block"])
    tokens = parser.parse(text.replace("\r\n", "\n").replace("\r", " "))
    starts = [start, *(start + match.end() for match in re.finditer("\n", source.text[start:])), len(source.text)]
    page = _Page(source, starts)
    pairs = _table_pairs(source.text) if "<table" in source.text.lower() else {}
    for index, token in enumerate(tokens):
        if token.type == "heading_open" and token.map:
            page.enter(int(token.tag[1]), tokens[index + 1].content)
            page.paragraph = (-1, "")
        elif token.type == "paragraph_open" and token.map:
            page.paragraph = (token.map[1], tokens[index + 1].content)
        elif token.type == "table_open" and token.map and starts[token.map[0]] >= page.html_end:
            yield _gfm_table(page, tokens, index)
        elif token.type == "html_block" and token.map:
            yield from _html_block(page, token, pairs)


def _without_mdx_comments(text: str) -> str:
    """Return a text of the same lines without the comments of MDX."""
    parts, position = [], 0
    while (opened := text.find("{/*", position)) >= 0:
        close = text.find("*/}", opened)
        end = close + 3 if close >= 0 else len(text)
        parts += [text[position:opened], "\n" * text.count("\n", opened, end)]
        position = end
    return "".join([*parts, text[position:]])


def _gfm_table(page: _Page, tokens: Sequence[Token], index: int) -> RawTable:
    """Return a table of Markdown: the rows that markdown-it found, cut at their bars."""
    opened = tokens[index]
    assert opened.map
    lines = []
    for at in range(index + 1, len(tokens)):
        token = tokens[at]
        if token.type == "table_close":
            break
        if token.type == "tr_open" and token.map:
            lines.append(token.map[0])
    rows = [cells_of_line(page.source.text, page.starts[n], page.starts[n + 1], opened.level > 0) for n in lines]
    width = len(rows[0]) if rows else 0
    kept = rows[1 : 1 + MOST_CELLS // max(1, width)]
    cut = len(kept) < len(rows) - 1
    headings = tuple(page.headings.values())
    return RawTable(rows[:1], kept, page.caption(opened.map[0]), headings, cut)


def cells_of_line(text: str, start: int, end: int, nested: bool = False) -> list[Cell]:
    """Return the cells of a row; in a list or quotation, without the marks before it."""
    end = start + len(text[start:end].rstrip())
    if nested and (match := _NESTED.match(text, start, end)):
        start = match.end()
    bars = [match.start() for match in _BAR.finditer(text, start, end) if match.group() == "|"]
    cells = [_trimmed(text, first + 1, last) for first, last in pairwise([start - 1, *bars, end])]
    if bars and cells and cells[0].start == cells[0].end:
        cells = cells[1:]
    if bars and cells and cells[-1].start == cells[-1].end:
        cells = cells[:-1]
    return cells


def _trimmed(text: str, first: int, last: int, shared: bool = False) -> Cell:
    part = text[first:last]
    first += len(part) - len(part.lstrip())
    return Cell(first, first + len(part.strip()), shared)


def _table_pairs(text: str) -> dict[int, int]:
    """Return the end of each table in HTML by the start of its tag; a table inside another is part of that."""
    found: dict[int, int] = {}
    opened: list[int] = []
    for match in _TABLE_TAG.finditer(text):
        if not match["close"]:
            opened.append(match.start())
        elif opened:
            found[opened.pop()] = match.end()
    return found


def _html_block(page: _Page, token: Token, pairs: dict[int, int]) -> Iterator[RawTable]:
    """Yield the tables that begin in a block of HTML, and remember its headings."""
    assert token.map
    text = page.source.text
    first, last = page.starts[token.map[0]], page.starts[token.map[1]]
    if text[first:last].lstrip(" \t>").startswith("<!--"):
        return
    position = max(first, page.html_end)
    marks = [*_HTML_HEADING.finditer(text, position, last), *_TABLE_TAG.finditer(text, position, last)]
    for match in sorted(marks, key=lambda match: match.start()):
        if match.start() < page.html_end:
            continue
        if match.re is _HTML_HEADING:
            page.enter(int(match["level"]), match["text"])
        elif not match["close"]:
            page.html_end = pairs.get(match.start(), last)
            if page.html_end - match.start() <= MAX_HTML:
                reader = _HtmlTable(text, match.start(), page.html_end)
                caption = plain(text[slice(*reader.caption)]) or page.caption(token.map[0])
                if reader.rows:
                    yield reader.table(caption, tuple(page.headings.values()))


class _HtmlTable(HTMLParser):
    """Reads one table. It is never closed: what an unfinished tag hides is not looked at again and again."""

    def __init__(self, text: str, start: int, end: int) -> None:
        super().__init__(convert_charrefs=False)
        self._text, self._start = text, start
        self._lines = [0, *(match.end() for match in re.finditer("\n", text[start:end]))]
        self.rows: list[list[Cell]] = []
        self.caption = (0, 0)
        self._head_rows = 0
        self._row: list[Cell] | None = None
        self._only_heads = True
        self._in_head = False
        self._above: dict[int, tuple[int, Cell]] = {}
        """Column -> a cell of an earlier row that spans this one, and how many rows it spans from here on."""
        self._below: dict[int, tuple[int, Cell]] = {}
        """The same for the next row."""
        self._opened: tuple[int, int, int] | None = None
        """Start of the open cell's text, and its spans of rows and columns."""
        self._depth = 0
        self._cells = 0
        self.feed(text[start:end])
        self._end_row(end)

    def table(self, caption: str, headings: tuple[str, ...]) -> RawTable:
        """Return the table; without a row of heads the first row is the head."""
        heads = min(max(1, self._head_rows), 2)
        return RawTable(self.rows[:heads], self.rows[heads:], caption, headings, self._cells > MOST_CELLS)

    def _position(self) -> int:
        line, offset = self.getpos()
        return self._start + self._lines[line - 1] + offset

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        at = self._position()
        behind = at + len(self.get_starttag_text() or "")
        if tag == "table":
            self._depth += 1
        if self._depth != 1:
            return
        if tag == "caption":
            self.caption = (behind, behind)
        elif tag in ("thead", "tbody", "tr"):
            self._end_row(at)
            self._in_head = tag == "thead" or (self._in_head and tag == "tr")
            self._row = [] if tag == "tr" else None
        elif tag in ("td", "th"):
            self._end_cell(at)
            if self._row is None:
                self._row = []
            if tag == "td" and not self._in_head:
                self._only_heads = False
            spans = dict(attrs)
            self._opened = (behind, _span(spans.get("rowspan"), 10_000), _span(spans.get("colspan"), MOST_COLUMNS))

    def handle_endtag(self, tag: str) -> None:
        at = self._position()
        if self._depth == 1 and tag == "caption":
            self.caption = (self.caption[0], at)
        elif self._depth == 1 and tag in ("td", "th"):
            self._end_cell(at)
        elif self._depth == 1 and tag in ("tr", "thead", "tbody", "table"):
            self._end_row(at)
            self._in_head = self._in_head and tag == "tr"
        if tag == "table":
            self._depth -= 1

    def _end_cell(self, at: int) -> None:
        if self._opened is None or self._row is None:
            return
        (start, rows, columns), self._opened = self._opened, None
        self._take_from_above()
        cell = _trimmed(self._text, start, at, rows > 1)
        for _ in range(min(columns, MOST_COLUMNS - len(self._row))):
            if rows > 1:
                self._below[len(self._row)] = (rows - 1, cell)
            self._row.append(cell)

    def _take_from_above(self) -> None:
        """Add the cells that span from rows above into the next columns."""
        assert self._row is not None
        while (found := self._above.pop(len(self._row), None)) is not None:
            left, cell = found
            if left > 1:
                self._below[len(self._row)] = (left - 1, cell)
            self._row.append(cell)

    def _end_row(self, at: int) -> None:
        self._end_cell(at)
        row, self._row = self._row, None
        if not row:
            return
        self._row = row
        for column in sorted(self._above):
            row += [Cell(at, at)] * (column - len(row))
            self._take_from_above()
        self._row, self._above, self._below = None, self._below, {}
        self._cells += len(row)
        if self._cells <= MOST_CELLS:
            self.rows.append(row)
        if self._only_heads and self._head_rows == len(self.rows) - 1:
            self._head_rows += 1
        self._only_heads = True


def _span(text: str | None, most: int) -> int:
    """Return a number of rows or columns that a cell spans."""
    return min(max(1, int(text)), most) if text and re.fullmatch(r"\d{1,6}", text) else 1


def csv_table(source: Source) -> RawTable | None:
    """Return the table of a CSV file; None without a row. A record that spans lines ends the table."""
    text = source.text
    head = text[: text.find("\n") + 1 or len(text)]
    separator = max(",;\t", key=head.count)
    rows: list[list[Cell]] = []
    position, cells = 0, 0
    while position < len(text) and cells <= MOST_CELLS:
        end = text.find("\n", position) + 1 or len(text)
        if text[position:end].strip():
            row = _csv_cells(text, position, end, separator)
            if row is None:
                break
            rows.append(row)
            cells += len(row)
        position = end
    if not rows:
        return None
    return RawTable(rows[:1], rows[1:], "", (source.path.stem,), position < len(text))


def _csv_cells(text: str, start: int, end: int, separator: str) -> list[Cell] | None:
    """Return the fields of a line as the standard library's reader cuts it; None if the record goes on behind it."""
    end = start + len(text[start:end].rstrip("\r\n"))
    line = text[start:end]
    if '"' not in line:
        edges = [start - 1, *(start + match.start() for match in re.finditer(re.escape(separator), line)), end]
        return [_trimmed(text, first + 1, last) for first, last in pairwise(edges)]
    try:
        (fields,) = csv.reader([line], delimiter=separator, strict=True)
    except (csv.Error, ValueError):
        return None
    cells, position = [], start
    for written in fields:
        quoted = text.startswith('"', position) and position < end
        length = len(written) + (written.count('"') if quoted else 0)
        cells.append(_trimmed(text, position + quoted, position + quoted + length))
        position += length + 2 * quoted + 1
    return cells if position == end + 1 else None

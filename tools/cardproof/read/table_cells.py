"""Tables as rows of cells, each with its span in the file: of Markdown (GFM), of HTML, and of CSV files.

The name or value in a cell is without marks of Markdown and HTML, and without footnotes.

The blocks of Markdown are found by markdown-it, which is imported only if a card may have a table.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, pairwise, takewhile
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct, field

from cardproof.core.source import Source

if TYPE_CHECKING:
    from markdown_it.token import Token

MAX_LINES = 60_000
"""Lines of a card whose blocks are looked at: a table takes about as many records as it has cells."""
MOST_COLUMNS = 100
"""Columns of a table; a wider one is data and is not read."""
MOST_CELLS = 400_000
"""Cells of a table; rows behind them are not read."""
MOST_SPANNED = 10_000
"""Rows that a cell spans."""
MAX_HTML = 1_000_000
"""Characters of a table in HTML."""
MAX_CAPTION = 2000

_BAR = re.compile(r"\\.|\|")
_NESTED = re.compile(r"[\s>]*(?:(?:[-*+]|\d{1,9}[.)])\s+)?[\s>]*")
_TABLE_TAG = re.compile(r"<(?P<close>/?)table\b[^<>]{0,2000}>", re.IGNORECASE)
_PART_TAG = re.compile(
    r"<!--.*?(?:-->|\Z)|<(?P<close>/?)(?P<name>table|caption|thead|tbody|tr|t[dh])(?=[\s/>])"
    r"""(?P<attributes>[^>=]*+(?:=\s?(?:"[^"]*+"|'[^']*+')?+[^>=]*+)*+)(?P<end>>?)""",
    re.IGNORECASE | re.DOTALL,
)
"""A comment or a tag, whose values in quotes may hold ``>``. One without an end is passed over as a whole: what it
hides is not looked at again and again."""
_SPAN = re.compile(r"(?<![\w-])(rowspan|colspan)\s?=\s?[\"']?(\d{1,6})\b", re.IGNORECASE)
_MDX_COMMENT = re.compile(r"\{/\*.*?(?:\*/\}|\Z)", re.DOTALL)
_QUOTED = re.compile(r'"(?P<field>[^"]*+(?:""[^"]*+)*+)"')
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
    """The headings and the last paragraph of the part of a page that was read so far."""

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
        self.headings = {key: other for key, other in self.headings.items() if key < level} | {
            level: text_without_marks(text)
        }

    def caption(self, line: int) -> str:
        """Return the paragraph right above a line."""
        end, text = self.paragraph
        between = self.source.text[self.starts[end] : self.starts[line]] if 0 <= end <= line else "x"
        return text_without_marks(text[:MAX_CAPTION]) if not between.strip() else ""


def tables_of(source: Source, start: int = 0) -> Iterator[RawTable]:
    """Yield the tables of a Markdown file from ``start`` on, which is the start of a line."""
    if source.text.count("\n", start) > MAX_LINES:
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
    return _MDX_COMMENT.sub(lambda match: "\n" * match.group().count("\n"), text)


def _gfm_table(page: _Page, tokens: Sequence[Token], index: int) -> RawTable:
    """Return a table of Markdown: the rows that markdown-it found, cut at their bars."""
    opened = tokens[index]
    assert opened.map
    inside = takewhile(lambda token: token.type != "table_close", islice(tokens, index, None))
    lines = [token.map[0] for token in inside if token.type == "tr_open" and token.map]
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
    cells = [_trimmed_cell(text, first + 1, last) for first, last in pairwise([start - 1, *bars, end])]
    if bars and cells and cells[0].start == cells[0].end:
        cells = cells[1:]
    if bars and cells and cells[-1].start == cells[-1].end:
        cells = cells[:-1]
    return cells


def _trimmed_cell(text: str, first: int, last: int, shared: bool = False) -> Cell:
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
                above, headings = page.caption(token.map[0]), tuple(page.headings.values())
                if table := _html_table(text, match.start(), page.html_end, above, headings):
                    yield table


class _HtmlCell(NamedTuple):
    cell: Cell
    is_head: bool
    rows: int
    """How many rows and columns it spans."""
    columns: int


def _html_table(text: str, start: int, end: int, above: str, headings: tuple[str, ...]) -> RawTable | None:
    """Return one table of HTML, None without a cell; without a row of heads its first row is the head."""
    written: list[list[_HtmlCell]] = [[]]
    opened: re.Match[str] | None = None
    caption, depth, in_head = (0, 0), 0, False
    for tag in _PART_TAG.finditer(text, start, end):
        name, opens = tag["name"].lower() if tag["end"] else "", not tag["close"]
        depth += name == "table" and opens
        if depth == 1 and name == "caption":
            caption = (tag.end(), tag.end()) if opens else (caption[0], tag.start())
        elif depth == 1 and name:
            if opened:
                written[-1].append(_html_cell(text, opened, tag.start(), in_head))
            opened = tag if name in ("td", "th") and opens else None
            if name not in ("td", "th"):
                written.append([])
            if name in ("table", "thead", "tbody"):
                in_head = name == "thead" and opens
        depth -= name == "table" and not opens
    if opened:
        written[-1].append(_html_cell(text, opened, end, in_head))
    written = [row for row in written if row]
    rows = _with_spanned_cells(written)
    if not rows:
        return None
    only_heads = list(takewhile(lambda row: all(cell.is_head for cell in row), written))
    heads = min(max(1, len(only_heads)), 2)
    said = text_without_marks(text[slice(*caption)]) or above
    return RawTable(rows[:heads], rows[heads:], said, headings, len(rows) < len(written))


def _html_cell(text: str, tag: re.Match[str], end: int, in_head: bool) -> _HtmlCell:
    spans = {name.lower(): max(1, int(number)) for name, number in _SPAN.findall(tag["attributes"])}
    rows, columns = min(spans.get("rowspan", 1), MOST_SPANNED), min(spans.get("colspan", 1), MOST_COLUMNS)
    is_head = in_head or tag["name"].lower() == "th"
    return _HtmlCell(_trimmed_cell(text, tag.end(), end, rows > 1), is_head, rows, columns)


def _with_spanned_cells(written: Sequence[Sequence[_HtmlCell]]) -> list[list[Cell]]:
    """Return rows with each cell in all rows and columns that it spans."""
    found: list[list[Cell]] = []
    above: dict[int, tuple[Cell, int]] = {}
    left = MOST_CELLS
    for row in written:
        columns = list(islice(_columns(row, above), MOST_COLUMNS))
        above = {column: (cell, rows - 1) for column, (cell, rows) in enumerate(columns) if rows > 1}
        left -= len(columns)
        if left < 0:
            break
        found.append([cell for cell, _ in columns])
    return found


def _columns(row: Sequence[_HtmlCell], above: Mapping[int, tuple[Cell, int]]) -> Iterator[tuple[Cell, int]]:
    """Yield the cell of each column, and how many rows it spans from here on; those ``above`` reach into this row."""
    column = 0
    for one in row:
        while column in above:
            yield above[column]
            column += 1
        yield from [(one.cell, one.rows)] * one.columns
        column += one.columns
    for behind in range(column, max(above, default=-1) + 1):
        yield above.get(behind, (Cell(0, 0), 1))


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
    """Return the fields of a line; None if one is not closed in it, or goes on behind its quotes."""
    end = start + len(text[start:end].rstrip("\r\n"))
    cells = []
    while True:
        if match := _QUOTED.match(text, start, end):
            first, last = match.span("field")
            behind = match.end()
        elif text.startswith('"', start, end):
            return None
        else:
            behind = text.find(separator, start, end)
            behind = end if behind < 0 else behind
            first, last = start, behind
        cells.append(_trimmed_cell(text, first, last))
        if behind == end:
            return cells
        if text[behind] != separator:
            return None
        start = behind + 1


MAX_TEXT = 3000
"""Characters of a cell; in a longer one no marks are looked for."""

_WRAPPED = (
    re.compile(r"(?P<mark>\*\*\*|\*\*|__|~~|\*|_|`|\$)(?P<inner>[^*_`\n~$].{0,500})(?P=mark)", re.DOTALL),
    re.compile(r"\[(?P<inner>[^\[\]\n]{1,500})\](?:\([^()\n]{0,2000}\)|\[[^\[\]\n]{0,200}\])?"),
)
_EMOJI = (
    "\U0001f000-\U0001faff\u2600-\u2715\u2719-\u274b\u274d\u274f-\u2794\u2798-\u27bf\u2b00-\u2bff\ufe0e\ufe0f\u200d"
)
"""Pictures, stars and check marks with what joins them; not crosses and signs, which may change the meaning."""
_PICTURES = re.compile(f"[{_EMOJI}]+")
_TAG = r"<[A-Za-z/][^<>]{0,1000}>"
_LEADING = re.compile(rf"(?:\s|&nbsp;|{_TAG}|[{_EMOJI}])+")
_TRAILING = re.compile(
    rf"(?:\s|&nbsp;|<(?P<small>sup|sub)>[^<>]{{0,40}}</(?P=small)>|{_TAG}|\[\^[^\[\]]{{1,40}}\]|\\?[*†‡§¶^]|[¹²³⁰⁴-⁹{_EMOJI}])\Z"
)
_CITED = re.compile(r"\s?\[(?:\d{1,3}|\[\d{1,3}\]\([^()\s]{1,500}\))\]\Z")
_APPROXIMATE = re.compile(r"(?:\\?[~≈∼]|about\b|approx\.?|circa\b|ca\.)\s?", re.IGNORECASE)
APPROXIMATE = re.compile(r"(?:[~≈∼]|\babout|\bapprox\.?|\bcirca|\bca\.)[\s*_`$]{0,9}\Z", re.IGNORECASE)
"""The same at the end of the text before a value."""
_WORDS = re.compile(r"\s?\((?P<words>[^()]{0,100})\)\Z")
_LINK = re.compile(r"\[(?P<text>[^\[\]\n]{0,500})\]\((?P<link>[^()\s]{1,2000})\)")
_HREF = re.compile(r"<a\s[^<>]{0,500}?href\s?=\s?[\"'](?P<link>[^\"'<>]{1,2000})[\"'][^<>]{0,500}>")


def span_without_marks(text: str, first: int, last: int) -> tuple[int, int]:
    """Return the span of a name or value in a cell: without the marks and pictures around it."""
    for _ in range(20):
        if last - first > MAX_TEXT:
            break
        before = first, last
        if match := _LEADING.match(text, first, last):
            first = match.end()
        match = next((found for mark in _WRAPPED if (found := mark.fullmatch(text, first, last))), None)
        if match is not None:
            first, last = match.span("inner")
        else:
            last = _without_footnote(text, first, last)
        if (first, last) == before:
            break
    return first, last


def _without_footnote(text: str, first: int, last: int) -> int:
    """Return where a cell's text ends without a mark, tag or citation at its end."""
    start = max(first, last - 1100)
    while last > start:
        part = text[start:last]
        match = next((found for found in _trailing_marks(part) if found), None)
        if match is None or start + match.start() < first:
            break
        last = start + match.start()
        if text.endswith(("*", "_", "`"), first, last):
            break  # emphasis may be what remains
    return last


def _trailing_marks(part: str) -> tuple[re.Match[str] | None, ...]:
    at = max(part.rfind("<sup>"), part.rfind("<sub>"))
    small = _TRAILING.match(part, at) if at >= 0 else None
    opened = part.rfind("<")
    tag = _TRAILING.match(part, opened) if opened >= 0 and part.endswith(">") else None
    bracket = part.rfind("[^")
    note = _TRAILING.match(part, bracket) if bracket >= 0 and part.endswith("]") else None
    short = [_TRAILING.match(part, len(part) - size) for size in (2, 1, 6) if len(part) >= size]
    return (small, tag, note, *short, _CITED.search(part) if part.endswith("]") else None)


def span_of_number(text: str, first: int, last: int) -> tuple[int, int]:
    """Return the span of a number in a cell: also without "about" before it and words in brackets behind it."""
    for _ in range(5):
        before = first, last = span_without_marks(text, first, last)
        if match := _APPROXIMATE.match(text, first, last):
            first = match.end()
        start = max(first, last - 120)
        words = _WORDS.search(text[start:last])
        if words and start + words.start() > first and not any(character.isdigit() for character in words["words"]):
            last = start + words.start()
        if (first, last) == before:
            break
    return first, last


def text_without_marks(text: str) -> str:
    """Return a head or caption as plain text: line breaks are spaces; tags, marks and pictures are left out."""
    if len(text) > MAX_TEXT:
        return ""
    text = re.sub(r"<[bB][rR]\s?/?>", " ", text)
    text = html.unescape(re.sub(_TAG, "", text))
    text = _LINK.sub(lambda match: match["text"], text)
    text = re.sub(r"\[\^[^\[\]]{1,40}\]|[*`$\\]", "", text)
    return " ".join(_PICTURES.sub(" ", text).split())


def links_of(text: str, first: int, last: int) -> list[tuple[str, int, int]]:
    """Return the links in a cell with their spans, of Markdown and of HTML."""
    if last - first > MAX_TEXT:
        return []
    found = [match for mark in (_LINK, _HREF) for match in mark.finditer(text, first, last)]
    return [(match["link"], *match.span("link")) for match in found]

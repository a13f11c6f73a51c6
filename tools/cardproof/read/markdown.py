"""Markdown pages as places of models: lines of text and of code, the YAML header, and comments with a model index."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from msgspec import Struct

from cardproof.core.source import Source
from cardproof.core.types import Finding
from cardproof.core.yaml import Mapping, Node, Scalar, Sequence, read_yaml
from cardproof.read.hub_header import as_index, check_closed, check_header, check_results, is_for_hub
from cardproof.read.index_repair import read_index

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
_COMMENT = re.compile(r" {0,3}<!--")
_MDX_COMMENT = re.compile(r" {0,3}(?:<!--|\{/\*)")
_CLOSING = {"<!--": "-->", "{/*": "*/}"}
_INDEX = re.compile(
    r"^[ \t]*type[ \t]*:[ \t]*['\"]?model-?index['\"]?[ \t]*(?:#[^\n]*)?\r?$", re.IGNORECASE | re.MULTILINE
)
_UNDECLARED = re.compile(r"^[ \t]*(?:models|collections)[ \t]*:", re.IGNORECASE | re.MULTILINE)
_HEADER = re.compile(r"(?P<blank>\s*)---[ \t]*\r?\n")
_FIELD = re.compile(r"(?:---[ \t]*\r?\n)?(?:[ \t]*(?:#[^\n]*)?\r?\n)*(?:[A-Za-z_][\w -]*|'[^'\n]*'|\"[^\"\n]*\"):\s")
"""How the text of a header begins."""


class Fences(Struct):
    """Tracks whether a line, fed in order, belongs to fenced code (CommonMark 0.31, section 4.5)."""

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


class Line(NamedTuple):
    """A line with its line end, and where it starts in the file."""

    start: int
    text: str
    is_code: bool = False
    """Whether it belongs to fenced code, or is a fence; in :func:`text_lines` also other code, and comments."""


class Span(Struct, frozen=True):
    """Characters ``[start, end)`` of the file, and in ``yaml_start, yaml_end`` the YAML inside its marks."""

    start: int
    end: int
    yaml_start: int
    yaml_end: int


def split_lines(text: str, start: int = 0) -> Iterator[tuple[int, str]]:
    """Yield the lines of a text from ``start`` on, with their ends, each with its position."""
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        yield start, text[start:end]
        start = end


def lines_of(text: str, start: int = 0) -> Iterator[Line]:
    """Yield the lines of a text from ``start`` on, with those of fenced code marked."""
    fences = Fences()
    return (Line(position, line, fences.feed(line)) for position, line in split_lines(text, start))


def text_lines(source: Source, start: int = 0) -> Iterator[Line]:
    """Yield the lines, with those of code and comments marked as code."""
    fences, closing = Fences(), ""
    for position, line in split_lines(source.text, start):
        is_text = False
        if closing:
            closing = "" if closing in line else closing
        elif not fences.feed(line) and not line.startswith(("    ", "\t")):
            opened = (
                close for mark, close in _CLOSING.items() if mark in line and close not in line.rpartition(mark)[2]
            )
            closing = next(opened, "")
            is_text = not closing
        yield Line(position, line, not is_text)


def split_at_section(text: str) -> tuple[str, str]:
    """Split Markdown before its first second-level heading outside fenced code."""
    for line in lines_of(text):
        if not line.is_code and line.text.startswith("## "):
            return text[: line.start], text[line.start :]
    return text, ""


def find_header(source: Source) -> Span | None:
    """Return the YAML header (``---`` … ``---`` at the start, below blank lines at most), or None.

    If a second fence follows directly and a third one closes it, the YAML starts below the second, as the Hub reads it.
    Below a blank line a fence may also be a rule across the page: there a field has to follow.
    """
    match = _HEADER.match(source.text)
    if not match or (match["blank"] and not _FIELD.match(source.text, match.end())):
        return None
    fence = re.compile(r"^---[ \t]*(?:\r?\n|\Z)", re.MULTILINE)
    close = fence.search(source.text, match.end())
    if close and close.start() == match.end():
        close = fence.search(source.text, close.end()) or close
    return Span(0, close.end(), match.end(), close.start()) if close else None


def opens_header(text: str) -> bool:
    """Return whether a text begins as a header does: a fence with a field below it, closed or not."""
    match = _HEADER.match(text)
    return bool(match and _FIELD.match(text, match.end()))


def header_notes(source: Source, header: Span) -> Iterator[Finding]:
    """Report a header that begins with two fences, or below a blank line: only some readers find it."""
    if re.match(r"---[ \t]*\r?\n", source.text[header.yaml_start : header.end]):
        place = source.place(header.yaml_start, header.yaml_start + 3)
        message = "a second --- right below the first: some readers take the header for empty"
        yield Finding(place, "hub-header", "note", message, "delete one of the two")
    if source.text[:1] != "-":
        message = "the header begins below a blank line: the Hub reads it, and other readers take it for text"
        yield Finding(source.place(0), "hub-header", "note", message, "delete the lines above it")


def find_index_comments(source: Source, start: int = 0) -> tuple[list[Span], list[Finding]]:
    """Return the comments that hold a model index, in order.

    In MDX, ``{/* … */}`` is a comment, too. Comments inside fenced or indented code are examples and are skipped.
    A comment that starts an index and is never closed is an error: the rest of the page would be hidden. One that has
    models without ``Type: model-index`` is an index too, with a note.
    """
    spans: list[Span] = []
    findings: list[Finding] = []
    text, end = source.text, start
    comments = _MDX_COMMENT if source.path.suffix.lower() == ".mdx" else _COMMENT
    fences = Fences()
    while (position := end) < len(text):
        end = text.find("\n", position) + 1 or len(text)
        line = text[position:end]
        if fences.feed(line) or not (comment := comments.match(line)):
            continue
        mark, inside = comment.group().lstrip(), position + comment.end()
        opening, close = inside - len(mark), text.find(_CLOSING[mark], inside)
        body = text[inside : close if close >= 0 else len(text)]
        if close < 0:
            message, hint = "the comment with the model index is never closed", f"end it with {_CLOSING[mark]}"
            found = Finding(source.place(opening), "open-comment", "error", message, hint, fatal=True)
            return spans, [*findings, found] if _INDEX.search(body) else findings
        yaml_start = inside + len(body) - len(body.lstrip(" \t"))
        declared = bool(_INDEX.search(body))
        if declared or _has_models(source, yaml_start, close):
            spans.append(Span(opening, close + len(_CLOSING[mark]), yaml_start, close))
            if not declared:
                message = "the comment has models and does not say that it is a model index: other readers may skip it"
                findings.append(
                    Finding(source.place(opening), "model-index", "note", message, "add 'Type: model-index'")
                )
        end = text.find("\n", close) + 1 or len(text)
    return spans, findings


def _has_models(source: Source, start: int, end: int) -> bool:
    """Return whether a comment is YAML with a list of models or collections, or the files of such."""
    if not _UNDECLARED.search(source.text, start, end):
        return False
    tree, _ = read_yaml(source, start, end)
    nodes = [tree.get("Models"), tree.get("Collections")] if isinstance(tree, Mapping) else []
    return any(isinstance(node, Mapping) or (isinstance(node, Sequence) and node.items) for node in nodes)


class Page(Struct, frozen=True, eq=False):
    """What a Markdown page says of models outside of its text."""

    source: Source
    header: Mapping | None
    header_end: int
    """Where its text begins."""
    indexes: tuple[Span, ...]
    """Its comments with a model index."""
    roots: tuple[Node, ...]
    """The indexes in them."""
    hub: Mapping | None
    """The ``model-index`` of its header, as a model index."""
    findings: tuple[Finding, ...]

    @property
    def every(self) -> tuple[Node, ...]:
        """The indexes of its comments and of its header."""
        return (*self.roots, *([self.hub] if self.hub else []))


def read_page(source: Source) -> Page:
    """Read the header and the model indexes of a page, with the findings about them."""
    findings: list[Finding] = []
    header: Node | None = None
    span = find_header(source)
    if span:
        header, more = read_yaml(source, span.yaml_start, span.yaml_end)
        findings += [*more, *header_notes(source, span)]
        if header is not None and is_for_hub(header, source):
            findings += check_header(header)
    else:
        findings += check_closed(source)
    end = span.end if span else 0
    indexes, more = find_index_comments(source, end)
    findings += more
    roots = []
    for comment in indexes:
        tree, more = read_index(source, comment.yaml_start, comment.yaml_end, declared=True)
        findings += more
        roots += [tree] if tree is not None else []
    fields = header if isinstance(header, Mapping) else None
    index = fields.get("model-index") if fields else None
    hub = None
    if index is not None and not (isinstance(index, Scalar) and index.value is None):
        findings += check_results(index)
        hub = as_index(index)
    return Page(source, fields, end, tuple(indexes), tuple(roots), hub, tuple(findings))

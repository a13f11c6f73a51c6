"""Where a Markdown file keeps its metadata: the YAML header, and the comment that holds a model index."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec import Struct

from cardproof.core.types import Finding
from cardproof.read.fences import Fences

if TYPE_CHECKING:
    from cardproof.core.source import Source

_COMMENT = re.compile(r" {0,3}<!--")
_MDX_COMMENT = re.compile(r" {0,3}(?:<!--|\{/\*)")
_CLOSING = {"<!--": "-->", "{/*": "*/}"}
_INDEX = re.compile(
    r"^[ \t]*type[ \t]*:[ \t]*['\"]?model-index['\"]?[ \t]*(?:#[^\n]*)?\r?$", re.IGNORECASE | re.MULTILINE
)


class Span(Struct, frozen=True):
    """Characters ``[start, end)`` of the file, and in ``yaml_start, yaml_end`` the YAML inside its marks."""

    start: int
    end: int
    yaml_start: int
    yaml_end: int


def find_header(source: Source) -> Span | None:
    """Return the YAML header (``---`` … ``---`` at the very start), or None.

    A second fence right below the first one starts the YAML document where a third one ends it: so the Hub reads it.
    """
    match = re.match(r"---[ \t]*\r?\n", source.text)
    if not match:
        return None
    fence = re.compile(r"^---[ \t]*(?:\r?\n|\Z)", re.MULTILINE)
    close = fence.search(source.text, match.end())
    if close and close.start() == match.end():
        close = fence.search(source.text, close.end()) or close
    if not close:
        return None
    return Span(0, close.end(), match.end(), close.start())


def doubled_fence(source: Source, header: Span) -> Finding | None:
    """Return a note where a header begins with two fences."""
    if not re.match(r"---[ \t]*\r?\n", source.text[header.yaml_start : header.end]):
        return None
    place = source.place(header.yaml_start, header.yaml_start + 3)
    message = "a second --- right below the first: some readers take the header for empty"
    return Finding(place, "hub-header", "note", message, "delete one of the two")


def find_index_comments(source: Source, start: int = 0) -> tuple[list[Span], list[Finding]]:
    """Return the comments that hold a model index, in order.

    In MDX, ``{/* … */}`` is a comment, too. Comments inside fenced or indented code are examples and are left alone.
    A comment that starts an index and is never closed is an error: the page would end there.
    """
    spans: list[Span] = []
    findings: list[Finding] = []
    text = source.text
    fences = Fences()
    position = start
    comments = _MDX_COMMENT if source.path.suffix.lower() == ".mdx" else _COMMENT
    while position < len(text):
        end = text.find("\n", position)
        end = len(text) if end < 0 else end + 1
        line = text[position:end].rstrip("\r\n")
        if not fences.feed(line) and (comment := comments.match(line)):
            mark = comment.group().lstrip()
            opening, closing = position + comment.end() - len(mark), _CLOSING[mark]
            close = text.find(closing, position + comment.end())
            body = text[position + comment.end() : close if close >= 0 else len(text)]
            if close < 0:
                if _INDEX.search(body):
                    message = "the comment with the model index is never closed"
                    findings.append(
                        Finding(
                            source.place(opening),
                            "open-comment",
                            "error",
                            message,
                            f"end it with {closing}",
                            fatal=True,
                        )
                    )
                break
            if _INDEX.search(body):
                yaml_start = position + comment.end() + len(body) - len(body.lstrip(" \t"))
                spans.append(Span(opening, close + len(closing), yaml_start, close))
            after = text.find("\n", close)
            end = len(text) if after < 0 else after + 1
        position = end
    return spans, findings

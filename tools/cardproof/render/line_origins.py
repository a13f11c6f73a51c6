"""Origin: renders a Jinja template and traces every line of the result to its template, through includes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream
from msgspec import Struct, field

from cardproof.core.paths import show_path
from cardproof.snippets.find.converted_page import align_lines, fill_gaps

if TYPE_CHECKING:
    from cardproof.render.templates import Templates

Origin = dict[int, tuple[str, int]]
"""Line of a rendered text, from 1 -> path of the template as in reports, and its line."""

FIRST, LAST = 0xF0000, 0x10FFFD
"""Private-use characters (Unicode 16, section 23.5): each marks one line of one template while it is rendered."""

_MARKS = re.compile(f"[{chr(FIRST)}-{chr(LAST)}]")


def trace(templates: Templates, text: str, file: str, variables: Mapping[str, Any]) -> tuple[str, Origin]:
    """Return the result of ``Templates.render_text`` and the origin of each of its lines.

    The template is rendered a second time with a mark at the start of each line of its text. If the marks change the
    result (a filter or a condition used them), lines are traced by similarity to those of the marked rendering.
    Raises TemplatesError.
    """
    rendered = templates.render_text(text, file, variables)
    marked, places = _render_template_with_marks(templates, text, file, variables)
    lines = rendered.split("\n")
    found = list(_lines_with_origin(marked, places, (file, 1)))
    if _MARKS.sub("", marked) == rendered:
        known = [place for _, place in found]
    else:
        known = fill_gaps(align_lines([line for line, _ in found], [place for _, place in found], lines), (file, 1))
    shown = {name: show_path(Path(name)) for name in {name for name, _ in known}}
    return rendered, {number: (shown[name], line) for number, (name, line) in enumerate(known, 1)}


class _MarkedLines(Struct):
    """The line of a template for each mark."""

    lines: list[tuple[str, int]] = field(default_factory=list)

    def mark(self, file: str, line: int) -> str:
        """Return a new mark for a line; empty if all are used, so that the mark before it counts."""
        if FIRST + len(self.lines) > LAST:
            return ""
        self.lines.append((file, line))
        return chr(FIRST + len(self.lines) - 1)

    def last_of(self, text: str, before: tuple[str, int]) -> tuple[str, int]:
        """Return the line of the last mark in a text; ``before`` if it has none."""
        known = [number for mark in _MARKS.findall(text) if (number := ord(mark) - FIRST) < len(self.lines)]
        return self.lines[known[-1]] if known else before


class _MarkExtension(Extension):
    """Inserts a mark before each line of a template's text, after the lexer has applied ``-``."""

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        places: _MarkedLines = self.environment.globals[_PLACES]  # type: ignore[assignment]
        file = stream.filename or stream.name or ""
        for token in stream:
            if token.type != "data":
                yield token
                continue
            parts = token.value.split("\n")
            marked = [places.mark(file, token.lineno + number) + part for number, part in enumerate(parts)]
            yield Token(token.lineno, "data", "\n".join(marked))


_PLACES = "cardproof places"
"""A global that templates cannot name, because of its blank."""


def _render_template_with_marks(
    templates: Templates, text: str, file: str, variables: Mapping[str, Any]
) -> tuple[str, _MarkedLines]:
    """Return the rendering with marks; if it fails, the template itself, marked line by line."""
    places = _MarkedLines()
    try:
        return templates.render_with(_MarkExtension, {_PLACES: places}, text, file, variables), places
    except Exception:  # the text was rendered without marks, so they are the cause
        lines = text.split("\n")
        return "\n".join(places.mark(file, number) + line for number, line in enumerate(lines, 1)), places


def _lines_with_origin(
    marked: str, places: _MarkedLines, last: tuple[str, int]
) -> Iterator[tuple[str, tuple[str, int]]]:
    """Yield each line without marks, and the place of the last mark before its first visible character."""
    for line in marked.split("\n"):
        visible = re.search(f"[^\\s{chr(FIRST)}-{chr(LAST)}]", line)
        last = places.last_of(line[: visible.start()] if visible else line, last)
        yield _MARKS.sub("", line), last
        last = places.last_of(line, last)

"""Observe: convert a page as its site does, and record which fences reach the HTML, in which order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from html import escape
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import markdown  # type: ignore[import-untyped]
from markdown.extensions.attr_list import get_attrs  # type: ignore[import-untyped]
from msgspec import Struct
from pymdownx.superfences import (  # type: ignore[import-untyped]
    RE_NESTED_FENCE_START,
    RE_OPTIONS,
    SuperFencesBlockPreprocessor,
)

from cardproof.snippets.find.include import Includes, Origin, aligned, filled, include_config

SUPERFENCES, SNIPPETS = "pymdownx.superfences", "pymdownx.snippets"
_FENCE, _END, _COMMENT = "data-cardproof-fence", "data-cardproof-end", "<!-- snippet:"
_OWN = frozenset({"admonition", "attr_list", "md_in_html", "tables", "toc"})
"""Extensions of Markdown itself that most sites have."""
_FLOW = {"h1", "h2", "h3", "h4", "h5", "h6", "li", "tr", "hr", "img", "pre", "blockquote", "dt", "dd", "summary"}
"""Elements that end the neighbourhood of a code block and its output."""

Fate = Literal["shown", "commented", "lost"]
"""What the page makes of a fence: code, a part of an HTML comment, or neither (its back-ticks show)."""


class Fence(Struct):
    """A closed fence whose header superfences accepted; code and fate are known after the conversion."""

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
    """Indexes of lines that superfences refused as headers."""
    missing: tuple[str, ...]
    """Paths of missing snippet files."""


def observe(
    text: str, extensions: Sequence[Any], extension_configs: Mapping[str, Any], base_path: str | Path
) -> ObservedPage:
    """Convert Markdown without front matter, with ``\\n`` as line ends. Nothing is downloaded.

    Raises the error of Markdown for an extension that cannot be loaded.
    """
    configs = deepcopy(dict(extension_configs))
    if SNIPPETS in extensions:
        configs[SNIPPETS] = include_config(configs.get(SNIPPETS) or {}, base_path)
    converter = _Converter(extensions=list(extensions), extension_configs=configs)
    if "strip-html" in converter.postprocessors:
        converter.postprocessors.deregister("strip-html")  # it would remove the comments
    includes = Includes(converter, base_path)
    recorder = _Recorder(converter)
    events = _Events()
    events.feed(converter.convert(text))
    events.close()
    source = includes.lines or [(line, (None, number)) for number, line in enumerate(text.split("\n"), 1)]
    for number, fence in enumerate(recorder.fences):
        fence.fate = events.fate(number)
    return ObservedPage(
        tuple(recorder.lines),
        _origins(source, recorder.lines),
        tuple(recorder.fences),
        tuple(_shown(events, recorder.fences)),
        tuple(events.comments),
        frozenset(recorder.refused),
        tuple(includes.missing),
    )


def indentation(line: str) -> int:
    """Return the number of characters before a fence: blanks and the marks of block quotes."""
    return len(line) - len(line.lstrip("> \t"))


def _origins(source: Sequence[tuple[str, Origin]], lines: Sequence[str]) -> tuple[Origin, ...]:
    """Return the origin of each line that superfences saw; other preprocessors may have added or removed some."""
    known = [origin for _, origin in source]
    if len(source) <= len(lines) <= len(source) + 2:  # Markdown itself adds two empty lines
        found: list[Origin | None] = [*known, None, None]
        return tuple(filled(found[: len(lines)], (None, 1)))
    return tuple(filled(aligned([line for line, _ in source], known, lines), (None, 1)))


class _Converter(markdown.Markdown):  # type: ignore[misc]
    """Finds the extensions of pymdown and Markdown itself without reading the metadata of all that is installed."""

    def build_extension(self, ext_name: str, configs: Mapping[str, Any]) -> Any:
        name = f"markdown.extensions.{ext_name}" if ext_name in _OWN else ext_name
        if ext_name in _OWN or ext_name.startswith("pymdownx."):
            with suppress(ImportError):
                return import_module(name).makeExtension(**configs)
        return super().build_extension(ext_name, configs)


class _Recorder:
    """Watches superfences: each block that it formats gets a mark in the HTML."""

    def __init__(self, converter: markdown.Markdown) -> None:
        self.lines: list[str] = []
        self.fences: list[Fence] = []
        self.refused: set[int] = set()
        names = converter.preprocessors
        self._site_has_superfences = "fenced_code_block" in names and isinstance(
            names["fenced_code_block"], SuperFencesBlockPreprocessor
        )
        if not self._site_has_superfences:
            converter.registerExtensions([SUPERFENCES], {})
        self._watch_lines(names["fenced_code_block"])
        self._watch_blocks(names["fenced_code_block"])

    def _watch_lines(self, processor: Any) -> None:
        search, refused = processor.search_nested, set()

        def observed_search(lines: list[str]) -> list[str]:
            self.lines = [str(line) for line in lines]
            found = search(lines)
            covered = {index for fence in self.fences for index in range(fence.start, fence.end)}
            self.refused = {i for i, line in enumerate(self.lines) if line in refused and i not in covered}
            return self._with_marked_comments(found)

        def observed_header(parse: Any) -> Any:
            def parsed(match: re.Match[str]) -> Any:
                okay = parse(match)
                if not okay:
                    refused.add(match.string)
                return okay

            return parsed

        processor.search_nested = observed_search
        for name in ("handle_attrs", "parse_options", "handle_unrecognized"):
            setattr(processor, name, observed_header(getattr(processor, name)))

    def _watch_blocks(self, processor: Any) -> None:
        process = processor.process_nested_block

        def observed_block(ws: str, content: str, start: int, end: int) -> None:
            header = self.lines[start]
            if not self._site_has_superfences and indentation(header):
                processor.clear()  # Markdown's own fences begin at the start of a line
                return
            number, stored = len(self.fences), len(processor.stack)
            fence = Fence(start, end, processor.lang or "", tuple(processor.classes), _attributes(header))
            plain = getattr(processor.formatter, "__func__", None) is SuperFencesBlockPreprocessor.highlight
            processor.formatter = _marking(_unhighlighted if plain else processor.formatter, fence, number)
            process(ws, content, start, end)
            if len(processor.stack) > stored:
                self.fences.append(fence)

        processor.process_nested_block = observed_block

    def _with_marked_comments(self, lines: list[str]) -> list[str]:
        """Write each snippet comment's line into it; fences are placeholders by now, so these are not inside code."""
        ends, index, marked = {fence.start: fence.end for fence in self.fences}, 0, []
        for line in lines:
            marked.append(line.replace(_COMMENT, f"{_COMMENT[:-1]}@{index}:"))
            index = ends.get(index, index + 1)
        return marked


def _marking(formatter: Any, fence: Fence, number: int) -> Any:
    def marked(**arguments: Any) -> Any:
        fence.code = arguments["src"]
        html = formatter(**arguments)
        if not isinstance(html, str):
            return html
        opened = re.sub(r"<([a-zA-Z][\w-]*)", rf'<\1 {_FENCE}="{number}"', str(html), count=1)
        return f'{opened}<i {_END}="{number}"></i>'

    return marked if formatter else None


def _unhighlighted(**arguments: Any) -> str:
    """Stand for superfences' own formatter: colours change nothing about what is code, and cost a lexer."""
    return f"<pre><code>{escape(arguments['src'])}</code></pre>"


def _attributes(header: str) -> dict[str, str]:
    match = RE_NESTED_FENCE_START.match(header, indentation(header))
    if not match:
        return {}
    if match["attrs"]:
        return {key: value for key, value in get_attrs(match["attrs"]) if key != "."}
    return {option["key"]: option["value"] or "" for option in RE_OPTIONS.finditer(match["options"] or "")}


class _Events(HTMLParser):
    """The HTML as a row of fences, comments and the prose between them."""

    def __init__(self) -> None:
        super().__init__()
        self.row: list[int | str | Prose] = []
        """Numbers of fences, texts of comments, and the prose between them."""
        self.comments: list[str] = []
        self._inside: int | None = None

    def fate(self, number: int) -> Fate:
        if number in self.row:
            return "shown"
        mark = f'{_FENCE}="{number}"'
        return "commented" if any(mark in comment for comment in self.comments) else "lost"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == _FENCE and value and int(value) not in self.row:
                self._inside = int(value)
                self.row.append(self._inside)
            elif name == _END and value and int(value) == self._inside:
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
        if self._inside is None and data.startswith(" snippet@"):
            self.row.append(data)

    def _prose(self) -> Prose:
        last = self.row[-1] if self.row else None
        if not isinstance(last, Prose):
            last = Prose()
            self.row.append(last)
        return last


def _shown(events: _Events, fences: Sequence[Fence]) -> list[Fence | Comment | Prose]:
    shown: list[Fence | Comment | Prose] = []
    for item in events.row:
        if isinstance(item, int):
            shown.append(fences[item])
        elif isinstance(item, Prose):
            shown.append(Prose(item.text.strip(), item.paragraphs, item.others))
        elif match := re.match(r" snippet@(\d+):(.*)", item, re.DOTALL):
            shown.append(Comment(int(match[1]), match[2].strip()))
    return shown

"""Observe: convert a page as its site does, and record which fences reach the HTML, in which order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import markdown  # type: ignore[import-untyped]
from markdown.extensions.attr_list import get_attrs  # type: ignore[import-untyped]
from pymdownx.superfences import (  # type: ignore[import-untyped]
    RE_NESTED_FENCE_START,
    RE_OPTIONS,
    SuperFencesBlockPreprocessor,
)

from cardproof.snippets.find.include import Includes, Origin, aligned, filled, include_config
from cardproof.snippets.find.page import (
    Fence,
    ObservedPage,
    indentation,
    marked,
    marked_code,
    marked_comment,
    visible_parts,
)

SUPERFENCES, SNIPPETS = "pymdownx.superfences", "pymdownx.snippets"


def observe(
    text: str, extensions: Sequence[Any], extension_configs: Mapping[str, Any], base_path: str | Path
) -> ObservedPage:
    """Convert Markdown without front matter, with ``\\n`` as line ends. Nothing is downloaded.

    Raises the error of Markdown for an extension that cannot be loaded.
    """
    configs = deepcopy(dict(extension_configs))
    if SNIPPETS in extensions:
        configs[SNIPPETS] = include_config(configs.get(SNIPPETS) or {}, base_path)
    converter = markdown.Markdown(extensions=list(extensions), extension_configs=configs)
    if "strip-html" in converter.postprocessors:
        converter.postprocessors.deregister("strip-html")  # it would remove the comments
    includes = Includes(converter, base_path)
    recorder = _Recorder(converter)
    html = converter.convert(text)  # fills what the recorder and the includes have
    shown, comments = visible_parts(html, recorder.lines, recorder.fences)
    source = includes.lines or [(line, (None, number)) for number, line in enumerate(text.split("\n"), 1)]
    return ObservedPage(
        tuple(recorder.lines),
        _origins(source, recorder.lines),
        tuple(recorder.fences),
        tuple(shown),
        tuple(comments),
        frozenset(recorder.refused),
        tuple(includes.missing),
    )


def _origins(source: Sequence[tuple[str, Origin]], lines: Sequence[str]) -> tuple[Origin, ...]:
    """Return the origin of each line that superfences saw; other preprocessors may have added or removed some."""
    known = [origin for _, origin in source]
    if len(source) <= len(lines) <= len(source) + 2:  # Markdown itself adds two empty lines
        found: list[Origin | None] = [*known, None, None]
        return tuple(filled(found[: len(lines)], (None, 1)))
    return tuple(filled(aligned([line for line, _ in source], known, lines), (None, 1)))


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
        ends, index, lines_marked = {fence.start: fence.end for fence in self.fences}, 0, []
        for line in lines:
            lines_marked.append(marked_comment(line, index))
            index = ends.get(index, index + 1)
        return lines_marked


def _marking(formatter: Any, fence: Fence, number: int) -> Any:
    def marking(**arguments: Any) -> Any:
        fence.code = arguments["src"]
        html = formatter(**arguments)
        if not isinstance(html, str):
            return html
        return marked(str(html), number)

    return marking if formatter else None


def _unhighlighted(**arguments: Any) -> str:
    return marked_code(arguments["src"])


def _attributes(header: str) -> dict[str, str]:
    match = RE_NESTED_FENCE_START.match(header, indentation(header))
    if not match:
        return {}
    if match["attrs"]:
        return {key: value for key, value in get_attrs(match["attrs"]) if key != "."}
    return {option["key"]: option["value"] or "" for option in RE_OPTIONS.finditer(match["options"] or "")}

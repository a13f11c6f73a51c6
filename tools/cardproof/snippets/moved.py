"""Moved blocks: an edit of the text around them changes where they stand, and nothing that a run depends on.

Two ways tell that blocks are the same. Their code is compared once they were found, which means converting the page as
the site does. And where only words before the first block or after the last one differ, the page has the same
:class:`Outline`, which is told by its lines alone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cardproof.core.types import Finding
    from cardproof.snippets.results import BlockResult, PageRun
    from cardproof.snippets.types import Block

_LINE = re.compile(r"\bline \d|:\d")
_MARKUP = re.compile(r"```|~~~|<|8<")
"""What begins a fence, a comment or an element, or includes a file."""
_WORDS = re.compile(r"(?![A-Za-z]{1,5}[.)]\s)[A-Za-z][^`~<>{}|]*")
"""A line that is text and nothing else, wherever it stands: no mark of Markdown at its start, not even that of a list
with letters, and none of code within."""

_HEADING = re.compile(r"(#{1,6}) +[^`~<>{}|#]+")
"""A heading of text and nothing else."""


class Outline(Struct, frozen=True):
    """A page's lines without the words around its blocks."""

    kept: tuple[str, ...]
    """From the first line with markup to the last one, everything; before and after, words are marks."""
    first: int
    """Line of the page of the first one with markup, from 1; 0 where there is none."""


def outline_of(text: str) -> Outline:
    """Return the outline of a page."""
    lines = text.splitlines()
    marked = [number for number, line in enumerate(lines) if _MARKUP.search(line)]
    if not marked:
        return Outline(tuple(lines), 0)
    start, end = marked[0], marked[-1] + 1
    kept = (*_without_words(lines[:start]), *lines[start:end], *_without_words(lines[end:]))
    return Outline(kept, start + 1)


def _without_words(lines: Sequence[str]) -> list[str]:
    """Return lines with paragraphs as marks: one mark for one, another for several, and empty lines around them."""
    kept: list[str] = []
    apart = False
    for line in lines:
        in_text = bool(kept) and kept[-1] in (_TEXT, _TEXTS)
        if in_text and not line.strip():
            apart = True
        elif _WORDS.fullmatch(line):
            if in_text and apart:
                kept[-1] = _TEXTS
            kept += [] if in_text else [_TEXT]
            apart = False
        else:
            heading = _HEADING.fullmatch(line)
            kept += [""] if apart else []
            kept.append(f"{heading[1]} {_TEXT}" if heading else line)
            apart = False
    return [*kept, ""] if apart else kept


_TEXT, _TEXTS = "\0", "\0\0"
"""Stand for a paragraph and for several; no line of a page is this. What follows a line that is indented, or an item of
a list, goes on with it up to the next empty line."""


def starts_of(blocks: Sequence[Block], text: str, page: str, origin: Mapping[int, tuple[str, int]]) -> tuple[int, ...]:
    """Return the line of the page's own text on which the code of each block begins; 0 where that cannot be told."""
    first: dict[tuple[str, int], int] = {}
    again: set[tuple[str, int]] = set()
    for number in range(1, text.count("\n") + 2):
        source = origin.get(number, (page, number))
        if first.setdefault(source, number) != number:
            again.add(source)
    found = []
    for block in blocks:
        source = (block.file, block.line)
        start = first.get(source, 0)
        found.append(start if source not in again and (start <= block.end or not block.end) else 0)
    return tuple(found)


def facts_of(blocks: Sequence[Block]) -> list[list[object]]:
    """Return what a run of blocks depends on of them, as plain data: all but where they stand."""
    return [
        [block.code, repr(block.options), block.console, block.stated_output and block.stated_output[0]]
        for block in blocks
    ]


def moved(run: PageRun, key: str, blocks: Sequence[Block], findings: tuple[Finding, ...]) -> PageRun | None:
    """Return a run of the same blocks as one of where they stand now; None where what it says names lines.

    ``key`` is that of the page as it is now, and ``findings`` are the finder's.
    """
    if len(run.blocks) != len(blocks) or not all(_names_no_line(result, run.page) for result in run.blocks):
        return None
    pairs = zip(run.blocks, blocks, strict=True)
    results = tuple(
        replace(result, file=block.file, line=block.line, end=block.end, indent=block.indent) for result, block in pairs
    )
    return replace(run, key=key, blocks=results, findings=findings)


def shifted(run: PageRun, key: str, first: int, origin: Mapping[int, tuple[str, int]]) -> PageRun | None:
    """Return a run of a page with the same outline as one of where its blocks stand now; None where that is not known.

    ``first`` is that of the page's outline, and ``origin`` the page's, as they are now.
    """
    by = first - run.first
    if run.findings or not run.first:
        return None
    results = []
    for result, start in zip(run.blocks, run.starts, strict=True):
        file, line = origin.get(start + by, (run.page, start + by))
        if not start or file != result.file or not _names_no_line(result, run.page):
            return None
        results.append(replace(result, line=line, end=result.end and result.end + by))
    return replace(run, key=key, blocks=tuple(results), first=first, starts=tuple(start + by for start in run.starts))


def _names_no_line(result: BlockResult, page: str) -> bool:
    """Return whether nothing that is said of a block could be about a line; of failures there is always one."""
    fails = result.status == "fail" or result.hint or result.traceback or result.warnings
    return not fails and not _LINE.search(result.message) and page not in result.output

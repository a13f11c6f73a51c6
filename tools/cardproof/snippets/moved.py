"""Moved blocks: an edit of the text around them changes where they stand, and nothing that a run depends on."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cardproof.snippets.results import BlockResult, PageRun
    from cardproof.snippets.words import Block
    from cardproof.words import Finding

_LINE = re.compile(r"\bline \d|:\d")


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


def _names_no_line(result: BlockResult, page: str) -> bool:
    """Return whether nothing that is said of a block could be about a line; of failures there is always one."""
    fails = result.status == "fail" or result.hint or result.traceback or result.warnings
    return not fails and not _LINE.search(result.message) and page not in result.output

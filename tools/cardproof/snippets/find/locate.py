"""Locate: the source line of a line of a block's code, or of its stated output."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cardproof.snippets.types import Block


def located(block: Block, line: int) -> tuple[str, int]:
    """Return file and line of line ``line`` (from 1) of a block's code."""
    if 0 < line <= len(block.lines):
        return block.lines[line - 1]
    return block.file, block.line + line - 1


def located_output(block: Block, line: int) -> tuple[str, int]:
    """Return file and line of line ``line`` (from 1) of the output that a block states."""
    if 0 < line <= len(block.stated_lines):
        return block.stated_lines[line - 1]
    first = block.stated_output[1] if block.stated_output else block.line
    return block.file, first + line - 1

"""Align: carry what is known about each line of one text over to the lines of another that was made from it."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")


def aligned(old: Sequence[str], known: Sequence[T], new: Sequence[str]) -> list[T | None]:
    """Return what is known about each new line: of the equal old line, or of the old line at its place in a change.

    Lines are compared without their blanks. Lines that were added have None; ``known`` is as long as ``old``.
    """
    before, after = ["".join(line.split()) for line in old], ["".join(line.split()) for line in new]
    found: list[T | None] = [None] * len(new)
    for tag, i, i_end, j, j_end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag in ("equal", "replace"):
            for at in range(j, j_end):
                found[at] = known[min(i + at - j, i_end - 1)]
    return found


def filled(known: Sequence[T | None], first: T) -> list[T]:
    """Return what is known with each gap filled by what is known about the line before it."""
    result: list[T] = []
    for item in known:
        first = first if item is None else item
        result.append(first)
    return result

"""Course: which blocks of a page run, one after another, and why others do not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from cardproof.snippets.run.scope import Scope

if TYPE_CHECKING:
    from cardproof.snippets.run.messages import Code
    from cardproof.snippets.types import Block, BlockRun

CHEAP = 5.0
"""Seconds that the blocks of a page may take together to run again after a block was ended at its limit."""


class Reason(Struct, frozen=True):
    """Why a block does not run."""

    text: str
    needs_block: tuple[str, int] | None = None
    """A name that it needs, and the block that did not give it."""


class Course:
    """The blocks of a page in their order, over one process or several."""

    def __init__(self, blocks: Sequence[Block], codes: Sequence[Code], reasons: Sequence[str | None]) -> None:
        """``reasons`` say of blocks that do not run whatever happens why."""
        self.codes = codes
        self._blocks = blocks
        self._reasons = reasons
        python = [
            replace(code, code="") if block.options.output else code for block, code in zip(blocks, codes, strict=True)
        ]
        self._scope = Scope(python, [code.fresh for code in codes])
        self._exited: int | None = None
        self._begins_anew = False
        self._first = 0
        """The block with which the names began that are there now."""
        self._ends: dict[int, tuple[int, bool]] = {}
        """How blocks ended: after how many statements, and whether they were meant to."""
        self._replayed: frozenset[int] = frozenset()

    def omits(self, index: int) -> Reason | None:
        """Come to a block; return why it does not run."""
        if index in self._replayed:
            return None
        if self.codes[index].fresh:
            self._exited, self._begins_anew, self._first = None, True, index
        needed = self._scope.begin(index)
        text = self._reasons[index]
        if text is None and self._exited is not None:
            text, needed = f"the code ended the program in the block at {self._place(self._exited, index)}", None
        elif text is None and needed:
            text = f"needs '{needed[0]}' of the block at {self._place(needed[1], index)}"
        else:
            needed = None
        if text is None:
            return None
        self._end(index, 0)
        return Reason(text, needed)

    def takes_names(self, index: int) -> tuple[bool, tuple[str, ...]]:
        """Return, before a block runs, whether it begins without names, and the names that are missing."""
        if index in self._replayed:
            return False, ()
        anew, self._begins_anew = self._begins_anew, False
        return anew, self._scope.missing

    def may_exit(self, index: int) -> bool:
        """Return whether an exit ends the program here; a block that expects an exception may expect this one."""
        return self._blocks[index].options.expect_error is None

    def ended(self, index: int, count: int, error: str | None, *, exits: bool = False) -> None:
        """A block ended after ``count`` of its statements; with an exception, or an exit."""
        expected = self._blocks[index].options.expect_error
        stops = exits or (error is not None and expected is not None and is_expected(error, expected))
        if index in self._replayed and self._ends[index] == (count, stops):
            return
        self._end(index, count, stops)
        if exits or (not stops and (error or "").startswith("SystemExit")):
            self._exited = index

    def _end(self, index: int, count: int, stops: bool = False) -> None:
        self._ends[index] = count, stops
        self._scope.end(index, count, stops=stops)

    def begin_again(self, index: int, runs: Sequence[BlockRun | None], *, replay: bool = True) -> list[int]:
        """Begin in another process after this block; return the blocks before it that run again there.

        All that ended, in their order, as they may depend on one another in ways that no name shows.
        """
        again = [number for number in range(self._first, index) if (ran := runs[number]) and ran.ended]
        is_cheap = sum(ran.seconds for number in again if (ran := runs[number])) <= CHEAP
        if not (replay and is_cheap and self._scope.reads_earlier(range(index + 1, len(self.codes)))):
            again = []
        self._replayed = frozenset(again)
        self._scope.forget()
        for number in range(self._first, index + 1):
            count, stops = self._ends[number] if number in self._replayed else (0, False)
            self._scope.end(number, count, stops=stops)
        return again

    def _place(self, index: int, seen_from: int) -> str:
        file, line = self._blocks[index].located(1)
        return f"line {line}" if file == self._blocks[seen_from].located(1)[0] else f"{file}:{line}"


def is_expected(error: str, expected: str) -> bool:
    """Return whether an exception is of the class that a block expects; an empty text stands for any."""
    name = error.split(":")[0].strip()
    return not expected or expected.split(".")[-1] == name.split(".")[-1]

"""Schedule: which blocks of a page run, one after another, and why others do not.

A reader who runs a block has run all blocks before it. If one of them did not run here, the names that it would
have bound or changed do not have the reader's values, whatever an earlier block gave them. They are unbound, and blocks
that read them do not run.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence

from cardproof.snippets.name_uses import Uses, uses_of, uses_of_text
from cardproof.snippets.run.statements import FILTERS, parse_statements
from cardproof.snippets.types import Block, BlockRun

CHEAP = 5.0
"""Seconds that the blocks of a page may take together to run again after a block was ended at its limit."""


class Schedule:
    """The blocks of a page in their order, over one process or several."""

    def __init__(self, blocks: Sequence[Block], reasons: Sequence[str | None], device: str) -> None:
        """``reasons`` are those of blocks that never run."""
        self.blocks = blocks
        self.reasons = reasons
        self._device = device
        self._scope = Scope(blocks)
        self._exited: int | None = None
        self._begins_anew = False
        self._first = 0
        """The block with which the names began that are there now."""
        self._ends: dict[int, tuple[int, bool]] = {}
        """How blocks ended: after how many statements, and whether they were meant to."""
        self._replayed: frozenset[int] = frozenset()

    def omits(self, index: int) -> BlockRun | None:
        """Come to a block; return its run with the reason if it does not run."""
        if index in self._replayed:
            return None
        block, blocks = self.blocks[index], self.blocks
        if block.options.fresh:
            self._exited, self._begins_anew, self._first = None, True, index
        lacks = self._scope.begin(index)
        text, needed = self.reasons[index], None
        if text is None and self._exited is not None:
            text = f"the code ended the program in the block at {blocks[self._exited].seen_from(block)}"
        elif text is None and lacks:
            text, needed = f"needs '{lacks[0]}' of the block at {blocks[lacks[1]].seen_from(block)}", lacks
        if text is None:
            return None
        self._record_end(index, 0)
        return BlockRun(False, (), f"not run: {text}", device=self._device, needs_block=needed)

    def takes_names(self, index: int) -> tuple[bool, tuple[str, ...]]:
        """Return, before a block runs, whether it begins without names, and the names that are missing."""
        if index in self._replayed:
            return False, ()
        anew, self._begins_anew = self._begins_anew, False
        return anew, tuple(self._scope.missing)

    def ended(self, index: int, count: int, error: str | None, *, exits: bool = False) -> None:
        """A block ended after ``count`` of its statements; with an exception, or an exit."""
        expected = self.blocks[index].options.expect_error
        stops = exits or (error is not None and expected is not None and is_expected(error, expected))
        if index in self._replayed and self._ends[index] == (count, stops):
            return
        self._record_end(index, count, stops)
        if exits or (not stops and (error or "").startswith("SystemExit")):
            self._exited = index

    def _record_end(self, index: int, count: int, stops: bool = False) -> None:
        self._ends[index] = count, stops
        self._scope.end(index, count, stops=stops)

    def begin_again(self, index: int, runs: Sequence[BlockRun | None], *, replay: bool = True) -> list[int]:
        """Begin in another process after this block; return the blocks before it that run again there.

        All that ended, in their order, as they may depend on one another in ways that no name shows.
        """
        again = [number for number in range(self._first, index) if (ran := runs[number]) and ran.ended]
        is_cheap = sum(ran.seconds for number in again if (ran := runs[number])) <= CHEAP
        if not (replay and is_cheap and self._scope.reads_earlier(range(index + 1, len(self.blocks)))):
            again = []
        self._replayed = frozenset(again)
        self._scope.forget()
        for number in range(self._first, index + 1):
            count, stops = self._ends[number] if number in self._replayed else (0, False)
            self._scope.end(number, count, stops=stops)
        return again


def is_expected(error: str, expected: str) -> bool:
    """Return whether an exception is of the class that a block expects; an empty text means any class."""
    name = error.split(":")[0].strip()
    return not expected or expected.split(".")[-1] == name.split(".")[-1]


def uses_of_code(block: Block) -> tuple[Uses, ...]:
    """Return how the statements of a block use names; what it would bind, if it does not parse."""
    with FILTERS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return uses_of(parse_statements(block))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return uses_of_text(block.code)


class Scope:
    """The names at one block after another."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self._uses = [uses_of_code(block) for block in blocks]
        self._fresh = [block.options.fresh for block in blocks]
        self.missing: dict[str, int] = {}
        """Names that would have values, with the block that did not give them."""
        self._bound: dict[str, tuple[int, str | None]] = {}
        """Names that have values, with the block that gave them, and what they import."""
        self._later: dict[str, set[str]] = {}

    def begin(self, index: int) -> tuple[str, int] | None:
        """Begin a block; return a missing name that it needs, and the block that did not give it: the first one."""
        if self._fresh[index]:
            self.forget()
        needed = self.reads(index) if self.missing else ()
        found = [(name, self.missing[name]) for name in needed if name in self.missing]
        return min(found, key=lambda item: item[1], default=None)

    def forget(self) -> None:
        """Begin again without names, of which none is missing."""
        self.missing, self._bound, self._later = {}, {}, {}

    def gives(self, index: int) -> set[str]:
        found: set[str] = set()
        return found.union(*(use.binds | use.changes for use in self._uses[index]))

    def end(self, index: int, ran: int | None = None, *, stops: bool = False) -> None:
        """A block ended after ``ran`` of its statements, or all. With ``stops`` it was meant to end there."""
        uses = self._uses[index]
        ran = len(uses) if ran is None else ran
        for use in uses[:ran]:
            for name in use.binds:
                self.missing.pop(name, None)
                self._bound[name] = index, use.imports.get(name)
                self._later.pop(name, None)
            self._later.update(use.later)
        for use in () if stops else uses[ran:]:
            for name in sorted(use.binds | self._changed(use)):
                if name not in use.imports or self._bound.get(name, (0, None))[1] != use.imports[name]:
                    self.missing[name] = index
                    self._bound.pop(name, None)

    def reads_earlier(self, indexes: Iterable[int]) -> bool:
        """Return whether one of these blocks, up to the first without earlier names, reads a name with a value."""
        for index in indexes:
            if self._fresh[index]:
                return False
            if any(name in self._bound for name in self.reads(index)):
                return True
        return False

    def _changed(self, use: Uses) -> set[str]:
        """Return the names whose values a statement changes; modules and what is imported from them do not count."""
        known = {name for name, (_, imported) in self._bound.items() if imported} | use.imports.keys()
        functions = known | self._later.keys()
        changed = use.changes | {name for called, name in use.passed if called in functions}
        return (changed - known) & self._bound.keys()

    def reads(self, index: int) -> list[str]:
        """Return the names that a block needs of the blocks before it, also for the functions that it calls."""
        found: dict[str, None] = {}
        bound: set[str] = set()
        later = dict(self._later)
        for use in self._uses[index]:
            waiting = sorted(use.reads)
            seen: set[str] = set()
            while waiting:
                name = waiting.pop(0)
                if name in seen:
                    continue
                seen.add(name)
                if name not in bound:
                    found[name] = None
                waiting += sorted(later.get(name, ()))
            bound |= use.binds
            for name in use.binds:
                later.pop(name, None)
            later.update(use.later)
        return list(found)

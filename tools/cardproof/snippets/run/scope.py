"""Scope: which names are missing at a block of a page, because a block that would have given them did not run.

A reader who comes to a block has run all blocks before it. Where one of them did not run here, the names that it would
have bound or changed do not have the reader's values, whatever an earlier block gave them. They are unbound, and blocks
that read them do not run.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from cardproof.snippets.names import Uses, uses_of, uses_of_text
from cardproof.snippets.run.statements import FILTERS, parsed

if TYPE_CHECKING:
    from cardproof.snippets.run.messages import Code
    from cardproof.snippets.types import Block


def uses_of_code(code: Code | Block) -> tuple[Uses, ...]:
    """Return how the statements of a block use names; what it would bind, if it does not parse."""
    with FILTERS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return uses_of(parsed(code))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return uses_of_text(code.code)


class Scope:
    """The names at one block after another."""

    def __init__(self, blocks: Sequence[Code | Block], fresh: Sequence[bool]) -> None:
        """``fresh`` says which blocks begin anew."""
        self._uses = [uses_of_code(block) for block in blocks]
        self._fresh = fresh
        self._missing: dict[str, int] = {}
        """Names that would have values, with the block that did not give them."""
        self._bound: dict[str, tuple[int, str | None]] = {}
        """Names that have values, with the block that gave them, and what they import."""
        self._later: dict[str, set[str]] = {}

    @property
    def missing(self) -> tuple[str, ...]:
        return tuple(self._missing)

    def begin(self, index: int) -> tuple[str, int] | None:
        """Begin a block; return a missing name that it needs, and the block that did not give it: the first one."""
        if self._fresh[index]:
            self.forget()
        needed = self.reads(index) if self._missing else ()
        found = [(name, self._missing[name]) for name in needed if name in self._missing]
        return min(found, key=lambda item: item[1], default=None)

    def forget(self) -> None:
        """Begin anew: there are no names, and none is missing."""
        self._missing, self._bound, self._later = {}, {}, {}

    def gives(self, index: int) -> set[str]:
        """Return the names that a block binds or changes."""
        found: set[str] = set()
        return found.union(*(use.binds | use.changes for use in self._uses[index]))

    def end(self, index: int, ran: int | None = None, *, stops: bool = False) -> None:
        """A block ended after ``ran`` of its statements, or all. With ``stops`` it was meant to end there."""
        uses = self._uses[index]
        ran = len(uses) if ran is None else ran
        for use in uses[:ran]:
            for name in use.binds:
                self._missing.pop(name, None)
                self._bound[name] = index, use.imports.get(name)
                self._later.pop(name, None)
            self._later.update(use.later)
        for use in () if stops else uses[ran:]:
            for name in sorted(use.binds | self._changed(use)):
                if name not in use.imports or self._bound.get(name, (0, None))[1] != use.imports[name]:
                    self._missing[name] = index
                    self._bound.pop(name, None)

    def reads_earlier(self, indexes: Iterable[int]) -> bool:
        """Return whether one of these blocks, up to the first that begins anew, reads a name that has a value now."""
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

"""Force: what is to be measured again although valid evidence of it is on record."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from msgspec import Struct

from cardproof.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

COUNTS = ("flops", "parameters")
"""Fields that one measurement gives; naming either forces it."""

RESULTS = "results"
"""Accuracies on data sets."""

EVERYTHING = "all"


class Force(Struct, frozen=True):
    """What ``--force`` names: fields, models, or everything."""

    words: frozenset[str] = frozenset()

    def counts(self, model: str) -> bool:
        """Return whether the counts of a model are measured again."""
        return bool(self.words & {EVERYTHING, *COUNTS, model})

    def results(self, model: str) -> bool:
        """Return whether the results of a model are measured again."""
        return bool(self.words & {EVERYTHING, RESULTS, model})

    def check(self, models: Iterable[str]) -> None:
        """Raise InputError for a word that is neither a field nor one of these models."""
        known = [*COUNTS, RESULTS, EVERYTHING, *models]
        for word in sorted(self.words - set(known)):
            near = difflib.get_close_matches(word, known, 3, 0.6)
            hint = f"did you mean {' or '.join(near)}?" if near else f"write {', '.join(known[:4])} or a model's name"
            raise InputError(f"--force {word}: no field that is measured and no model of these cards; {hint}")


def force_of(words: Iterable[str]) -> Force:
    """Return what words of the command line name; fields in any case."""
    fields = {*COUNTS, RESULTS, EVERYTHING}
    return Force(frozenset(word.lower() if word.lower() in fields else word for word in words))

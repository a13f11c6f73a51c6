"""Options of measuring: what is measured again although it is on record, where, and with what progress."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec import Struct

from cardproof.core.errors import InputError
from cardproof.core.types import Evidence

COUNTS = ("flops", "parameters")
"""Fields that one measurement gives; naming either forces it."""

RESULTS = "results"
"""Accuracies on data sets."""

EVERYTHING = "all"

FIELDS = (*COUNTS, RESULTS, EVERYTHING)

LOCAL = "local"
"""The engine of this machine's processes."""

Progress = Callable[[int, int, str], None]
"""Called with how much is done, how much there is to do, and what was done last."""


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
        valid = [*FIELDS, *models]
        for word in sorted(self.words - set(valid)):
            import difflib

            near = difflib.get_close_matches(word, valid, 3, 0.6)
            hint = f"did you mean {' or '.join(near)}?" if near else f"write {', '.join(FIELDS)} or a model's name"
            raise InputError(f"--force {word}: no field that is measured and no model of these cards; {hint}")


def force_of(words: Iterable[str]) -> Force:
    """Return what words of the command line name; fields in any case."""
    return Force(frozenset(word.lower() if word.lower() in FIELDS else word for word in words))


class MeasureOptions(Struct, frozen=True):
    """How a run measures, beyond what the settings say."""

    force: Force = Force()
    engine: str = LOCAL
    """``local``, or the address of a Dask scheduler."""
    jobs: int | None = None
    """Worker processes of the local engine; one per core unless given."""
    progress: Progress | None = None
    keep: Callable[[Evidence], None] | None = None
    """Called with a model's evidence as soon as something new was found out about it."""


DEFAULTS = MeasureOptions()

"""Options of measuring: what is measured again, where, and the callbacks for progress and results."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec import Struct

from cardproof.core.errors import InputError, did_you_mean
from cardproof.core.measurements import Evidence

FIELDS = ("flops", "parameters", "results", "all")
"""Words of ``--force`` that are not models; the first two are one measurement, results are accuracies on data sets."""

LOCAL = "local"
"""The engine that measures in processes of this machine."""

Progress = Callable[[int, int, str], None]
"""Called with the number of finished tasks, the number of all tasks, and the name of the last one."""


class Force(Struct, frozen=True):
    """The words of ``--force``: fields, models, or everything."""

    words: frozenset[str] = frozenset()

    def counts(self, model: str) -> bool:
        """Return whether the counts of a model are measured again."""
        return bool(self.words & {"all", "flops", "parameters", model})

    def results(self, model: str) -> bool:
        """Return whether the results of a model are measured again."""
        return bool(self.words & {"all", "results", model})

    def check(self, models: Iterable[str]) -> None:
        """Raise InputError for a word that is neither a field nor one of these models."""
        valid = [*FIELDS, *models]
        for word in sorted(self.words - set(valid)):
            hint = did_you_mean(word, valid) or f"; write {', '.join(FIELDS)} or a model's name"
            raise InputError(f"--force {word}: not a measured field and not a model of these cards{hint}")


def parse_force(words: Iterable[str]) -> Force:
    """Parse the words of the command line; the case of fields is ignored."""
    return Force(frozenset(word.lower() if word.lower() in FIELDS else word for word in words))


class MeasureOptions(Struct, frozen=True):
    """How a run measures, in addition to the settings."""

    force: Force = Force()
    engine: str = LOCAL
    """``local``, or the address of a Dask scheduler."""
    jobs: int | None = None
    """Worker processes of the local engine; None: one per core."""
    progress: Progress | None = None
    keep: Callable[[Evidence], None] | None = None
    """Called with a model's evidence after each new measurement."""
    remember: bool = False
    """Whether measurements are kept in the user's cache and used from there, as audits of the command line do."""


DEFAULTS = MeasureOptions()

"""Engines: where measurements run. Each returns a future for a submitted call."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from msgspec.structs import replace

from cardproof.core.errors import InputError, error_text
from cardproof.core.measurements import Environment, Evidence
from cardproof.plan.options import LOCAL, Progress
from cardproof.zoos import ZooError

if TYPE_CHECKING:
    from concurrent.futures import Future

    from cardproof.core.measurements import Evaluated
    from cardproof.core.types import Need
    from cardproof.plan.needed_evaluations import Job

Submit = Callable[..., "Future[Any]"]
"""``submit(function, *arguments)``; both must be picklable."""


class EngineError(InputError):
    """An engine that cannot be used: no scheduler, different code on its workers, a missing package."""


class Engine(Protocol):
    """Where measurements run."""

    worker_died: tuple[type[BaseException], ...]
    """Exceptions of a future whose worker died."""

    def open(self, zoo: str, calls: int) -> AbstractContextManager[Submit]:
        """Yield a function that submits calls on networks of a zoo, ``calls`` at most. Raises EngineError."""

    def evaluate(self, jobs: list[Job], zoo: str, progress: Progress | None) -> Iterator[tuple[Job, Evaluated | str]]:
        """Evaluate models and yield each result or error when it is finished. Raises EngineError."""


def check_engine(name: str) -> None:
    """Raise EngineError if a text is not the name of an engine."""
    if name != LOCAL and not re.fullmatch(r"(tcp|tls|ws|wss|ucx)://\S+", name):
        raise EngineError(
            f"engine '{name}' is not known: write '{LOCAL}' or the address of a Dask scheduler, such as tcp://host:8786"
        )


def failed_evidence(need: Need, zoo: str, error: str, key: str = "") -> Evidence:
    """Return evidence that has only an error, and no time of measurement: a later run may succeed."""
    nowhere = Environment("", 0.0, "", "", "", "", "")
    return Evidence(need.model, zoo, need.model, key, None, (), None, error, nowhere)


def measure_in_worker(need: Need, zoo: str, key: str) -> Evidence:
    """Build, count and explain one model. Runs in a worker, where this import of torch takes place."""
    from cardproof.measure.model_evidence import measure_evidence

    return measure_evidence(need, zoo, key)


def evaluate_in_worker(job: Job, zoo: str, threads: int, progress: Callable[[int, int], None]) -> Evaluated | str:
    """Evaluate one model; the result or error has what a custom zoo read for it. Runs in a worker."""
    from cardproof.measure.evaluation import evaluate_job
    from cardproof.measure.tracked_files import track_sources

    with track_sources(zoo, [job.weights, *([job.data] if job.data else [])]) as sources:
        try:
            found = evaluate_job(job, zoo, threads, progress)
            return found if isinstance(found, str) else replace(found, sources=sources())
        except (ZooError, MemoryError):
            raise
        except BaseException as error:  # a zoo is foreign code, and may exit
            return error_text(error)

"""Run measurements in workers, on this machine or a cluster: torch is imported there and never here."""

from __future__ import annotations

from concurrent.futures import as_completed
from typing import TYPE_CHECKING

from cardproof.core.types import Environment, Evidence, Need
from cardproof.measure.engines import Engine, EngineError, check_engine
from cardproof.plan.options import DEFAULTS, LOCAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from cardproof.core.types import Evaluated
    from cardproof.plan.evaluations import Job
    from cardproof.plan.options import MeasureOptions


def measure(
    needs: Iterable[Need], zoo: str, keys: Mapping[Need, str], options: MeasureOptions = DEFAULTS
) -> Iterator[tuple[Need, Evidence]]:
    """Measure each need in a worker and yield its evidence as soon as it is there, in any order.

    A network that cannot be built or run gives evidence with an error. A worker that dies takes down only the model
    that it was measuring: the others are measured again in a fresh one. Raises ZooError if the zoo cannot be
    loaded, and EngineError if the engine cannot be used.
    """
    waiting = list(needs)
    chosen = engine_named(options.engine, options.jobs)
    done: set[Need] = set()
    with chosen.open(zoo, len(waiting)) as submit:
        futures = {submit(measure_one, need, zoo, keys[need]): need for need in waiting}
        for future in as_completed(futures):
            try:
                found: Evidence = future.result()
            except chosen.lost:
                continue
            done.add(futures[future])
            yield futures[future], found
    for need in waiting:
        if need not in done:
            yield need, _measure_alone(need, zoo, keys[need], chosen)


def _measure_alone(need: Need, zoo: str, key: str, engine: Engine) -> Evidence:
    """Measure a model where nothing else runs: if a worker dies now, it is for this one."""
    try:
        with engine.open(zoo, 1) as submit:
            found: Evidence = submit(measure_one, need, zoo, key).result()
            return found
    except engine.lost:
        error = "the worker process died while it measured this model (out of memory, or a crash in native code)"
        nowhere = Environment("", 0.0, "", "", "", "", "")
        return Evidence(need.model, zoo, need.model, key, None, (), None, error, nowhere)


def measure_one(need: Need, zoo: str, key: str) -> Evidence:
    """Measure one model; runs in a worker."""
    from cardproof.measure.record import evidence_for

    return evidence_for(need, zoo, key)


def evaluate(jobs: Iterable[Job], zoo: str, options: MeasureOptions) -> Iterator[tuple[Job, Evaluated | str]]:
    """Evaluate models and yield each result, or why there is none; raises as :func:`measure` does.

    On this machine one model after another has the cores of all jobs, and ``options.progress`` is called with images
    done, images of all, and the name of the model; on a cluster with the models that are done.
    """
    yield from engine_named(options.engine, options.jobs).evaluate(list(jobs), zoo, options.progress)


def engine_named(name: str, jobs: int | None) -> Engine:
    """Return the engine of a name; ``jobs`` bounds the processes of the local one. Raises EngineError."""
    if name == LOCAL:
        from cardproof.measure.engines.local import LocalEngine

        return LocalEngine(jobs)
    check_engine(name)
    try:
        from cardproof.measure.engines.cluster import ClusterEngine
    except ImportError as missing:
        raise EngineError(f"engine '{name}' needs Dask ({missing}): pip install 'cardproof[cluster]'") from missing
    return ClusterEngine(name)

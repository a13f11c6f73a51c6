"""Run measurements in workers, on this machine or a cluster; torch is imported in workers only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import as_completed
from typing import TYPE_CHECKING

from cardproof.core.errors import error_text
from cardproof.core.measurements import Evaluated, Evidence
from cardproof.core.types import Need
from cardproof.measure.engines import Engine, EngineError, check_engine, failed_evidence
from cardproof.plan.options import DEFAULTS, LOCAL, MeasureOptions

if TYPE_CHECKING:
    from cardproof.plan.evaluations import Job


def measure(
    needs: Iterable[Need], zoo: str, keys: Mapping[Need, str], options: MeasureOptions = DEFAULTS
) -> Iterator[tuple[Need, Evidence]]:
    """Measure each need in a worker and yield its evidence when it is finished, in any order.

    A network that cannot be built or run, or takes too long, gives evidence with an error. If a worker dies, the model
    that it was measuring is measured again while nothing else runs, since another may have taken the memory. Raises
    ZooError if the zoo cannot be loaded, and EngineError if the engine cannot be used.
    """
    waiting = list(needs)
    chosen = create_engine(options.engine, options.jobs)
    done: set[Need] = set()
    with chosen.open(zoo, len(waiting)) as submit:
        futures = {submit(_measure_in_worker, need, zoo, keys[need]): need for need in waiting}
        for future in as_completed(futures):
            try:
                found: Evidence = future.result()
            except chosen.worker_died:
                continue
            except TimeoutError as limit:
                found = failed_evidence(futures[future], zoo, error_text(limit), keys[futures[future]])
            done.add(futures[future])
            yield futures[future], found
    for need in waiting:
        if need not in done:
            yield need, _measure_alone(need, zoo, keys[need], chosen)


def _measure_alone(need: Need, zoo: str, key: str, engine: Engine) -> Evidence:
    """Measure a model while nothing else runs: if the worker dies now, this model is the cause."""
    try:
        with engine.open(zoo, 1) as submit:
            found: Evidence = submit(_measure_in_worker, need, zoo, key).result()
            return found
    except TimeoutError as limit:
        return failed_evidence(need, zoo, error_text(limit), key)
    except engine.worker_died:
        error = "the worker process died while it measured this model (out of memory, or a crash in native code)"
        return failed_evidence(need, zoo, error, key)


def _measure_in_worker(need: Need, zoo: str, key: str) -> Evidence:
    from cardproof.measure.record import measure_evidence

    return measure_evidence(need, zoo, key)


def evaluate(jobs: Iterable[Job], zoo: str, options: MeasureOptions) -> Iterator[tuple[Job, Evaluated | str]]:
    """Evaluate models and yield each result or error; raises as :func:`measure` does.

    The local engine evaluates one model at a time, with all cores, and calls ``options.progress`` with the number of
    images; a cluster calls it with the number of models.
    """
    yield from create_engine(options.engine, options.jobs).evaluate(list(jobs), zoo, options.progress)


def create_engine(name: str, jobs: int | None) -> Engine:
    """Return an engine; ``jobs`` is the number of processes of the local one. Raises EngineError."""
    if name == LOCAL:
        from cardproof.measure.engines.local import LocalEngine

        return LocalEngine(jobs)
    check_engine(name)
    try:
        from cardproof.measure.engines.cluster import ClusterEngine
    except ImportError as missing:
        raise EngineError(f"engine '{name}' needs Dask ({missing}): pip install 'cardproof[cluster]'") from missing
    return ClusterEngine(name)

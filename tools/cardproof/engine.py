"""Run measurements in worker processes: torch is imported there and never here."""

from __future__ import annotations

import multiprocessing
import os
import signal
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import forkserver
from typing import TYPE_CHECKING

from cardproof.words import Environment, Evidence, Need
from cardproof.zoos import BUILT_IN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


def measure(
    needs: Iterable[Need], zoo: str, keys: Mapping[Need, str], workers: int | None = None
) -> Iterator[tuple[Need, Evidence]]:
    """Measure each need in a worker process and yield its evidence as soon as it is there, in any order.

    A network that cannot be built or run gives evidence with an error. A worker that dies takes down only the model
    that it was measuring: the others are measured again in a fresh one.
    """
    waiting = list(needs)
    count = max(1, min(workers or usable_cores(), len(waiting)))
    done: set[Need] = set()
    with _pool(count, zoo) as pool:
        futures = {pool.submit(_measure, need, zoo, keys[need]): need for need in waiting}
        try:
            for future in as_completed(futures):
                done.add(futures[future])
                yield futures[future], future.result()
        except BrokenProcessPool:
            done.discard(futures[future])
    for need in waiting:
        if need not in done:
            yield need, _measure_alone(need, zoo, keys[need])


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _measure_alone(need: Need, zoo: str, key: str) -> Evidence:
    try:
        with _pool(1, zoo) as pool:
            return pool.submit(_measure, need, zoo, key).result()
    except BrokenProcessPool:
        error = "the worker process died while it measured this model (out of memory, or a crash in native code)"
        environment = Environment("", 0.0, "", "", "", "", "")
        return Evidence(need.model, zoo, need.model, key, None, (), None, error, environment)


@contextmanager
def _pool(workers: int, zoo: str) -> Iterator[ProcessPoolExecutor]:
    """Return a pool whose server process imports torch and the zoo once, and forks workers from there.

    The server runs no operation and starts no thread pool, so that forking is safe.
    """
    context = multiprocessing.get_context("forkserver" if os.name == "posix" else "spawn")
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # one thread a worker: counting on meta tensors computes nothing
    if os.name == "posix":
        context.set_forkserver_preload(["cardproof.measure.record", *_preload(zoo)])
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server inherits it: Ctrl-C is the parent's alone
        try:
            forkserver.ensure_running()
        finally:
            signal.signal(signal.SIGINT, before)
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)
    try:
        yield pool
    except BaseException:
        for process in list((getattr(pool, "_processes", None) or {}).values()):
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _preload(zoo: str) -> list[str]:
    return {"timm": ["timm"], "torchvision": ["torchvision"]}.get(zoo, []) if zoo in BUILT_IN else []


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, which ends the workers, and standard output to its report."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(2, 1)


def _measure(need: Need, zoo: str, key: str) -> Evidence:
    """Measure one model; runs in a worker."""
    from cardproof.measure.record import evidence_for

    return evidence_for(need, zoo, key)

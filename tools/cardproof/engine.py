"""Run measurements in worker processes: torch is imported there and never here."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import forkserver
from typing import TYPE_CHECKING, Any

from cardproof.words import Environment, Evaluated, Evidence, Need
from cardproof.zoos import BUILT_IN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from cardproof.evaluations import Job


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
        paths = os.environ.get("PYTHONPATH")
        # the server imports before it is told our path: it must find this code, and not another that is installed
        os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        try:
            forkserver.ensure_running()
        finally:
            signal.signal(signal.SIGINT, before)
            if paths is None:
                del os.environ["PYTHONPATH"]
            else:
                os.environ["PYTHONPATH"] = paths
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


def evaluate(
    jobs: Iterable[Job], zoo: str, threads: int, progress: Callable[[int, int, str], None] | None = None
) -> Iterator[tuple[Job, Evaluated | str]]:
    """Evaluate one model after another in a process that has all ``threads``; yield each result, or why there is none.

    ``progress`` is called with images done, images of all, and the name of the model.
    """
    waiting = list(jobs)
    context = multiprocessing.get_context("spawn")
    counter = context.Array("q", 2)
    while waiting:
        pool = ProcessPoolExecutor(1, mp_context=context, initializer=_start_evaluation, initargs=(counter,))
        try:
            while waiting:
                job = waiting.pop(0)
                yield job, _await(pool.submit(_evaluate, job, zoo, threads), job, counter, progress)
        except BrokenProcessPool:
            yield job, "the worker process died while it evaluated this model (out of memory, or a crash)"
        except BaseException:
            for process in list((getattr(pool, "_processes", None) or {}).values()):
                process.terminate()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _await(
    future: Future[Evaluated | str], job: Job, counter: Any, progress: Callable[[int, int, str], None] | None
) -> Evaluated | str:
    """Wait for an evaluation and show how far it is."""
    while True:
        try:
            return future.result(timeout=0.2)
        except TimeoutError:
            if progress:
                progress(counter[0], counter[1], f"{job.need.model} on {job.dataset}")


_counter: Any = None
"""In the process that evaluates: images done and images of all, shared with the parent."""


def _start_evaluation(counter: Any) -> None:
    global _counter
    _counter = counter
    _start_worker()


def _evaluate(job: Job, zoo: str, threads: int) -> Evaluated | str:
    """Evaluate one model; runs in a process of its own."""
    from cardproof.measure.evaluation import evaluate_job

    def step(done: int, total: int) -> None:
        _counter[0], _counter[1] = done, total

    return evaluate_job(job, zoo, threads, step)

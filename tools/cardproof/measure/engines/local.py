"""The local engine: worker processes on this machine, as many as its cores and its memory allow."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cardproof.core.types import Evaluated
    from cardproof.measure.engines import Submit
    from cardproof.plan.evaluations import Job
    from cardproof.plan.options import Progress

WORKER_MEMORY = 512 * 1024**2
"""Bytes that a worker needs for itself: networks have no weights while they are counted, and torch and the zoo are in
shared memory. Measured: 230 MB for the largest of timm's 1,300 networks, most of it torch's own tables."""

MEMORY = Path("/proc/meminfo")
LIMIT = Path("/sys/fs/cgroup/memory.max")
USED = Path("/sys/fs/cgroup/memory.current")
"""Limit and use of the container's memory, if there is one (control groups, version 2)."""


class LocalEngine:
    """Worker processes that fork from one that has imported torch."""

    worker_died: tuple[type[BaseException], ...] = (BrokenProcessPool,)

    def __init__(self, workers: int | None) -> None:
        """``workers`` is as many as the machine allows if it is None."""
        self._workers = workers

    @contextmanager
    def open(self, zoo: str, calls: int) -> Iterator[Submit]:
        """Yield a function that submits calls; processes end with the block, at once if it raises.

        Forking is safe: the server process imports torch and the zoo, but runs no operation and starts no threads.
        """
        context = multiprocessing.get_context("forkserver" if os.name == "posix" else "spawn")
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ.setdefault(name, "1")  # one thread a worker: counting on meta tensors computes nothing
        if os.name == "posix":
            preload = [zoo] if zoo in ("timm", "torchvision", "transformers") else []
            context.set_forkserver_preload(["cardproof.measure.preload", "cardproof.measure.record", *preload])
            _start_server()
        count = max(1, min(self._workers or worker_count(), calls))
        with terminating(ProcessPoolExecutor(count, mp_context=context, initializer=start_worker)) as pool:
            yield pool.submit

    def evaluate(self, jobs: list[Job], zoo: str, progress: Progress | None) -> Iterator[tuple[Job, Evaluated | str]]:
        """Evaluate one model at a time, in a process with all cores."""
        threads = self._workers or usable_cores()
        context = multiprocessing.get_context("spawn")
        counter = context.Array("q", 2)
        waiting = list(jobs)
        while waiting:
            try:
                pool = ProcessPoolExecutor(1, mp_context=context, initializer=_start_evaluation, initargs=(counter,))
                with terminating(pool):
                    while waiting:
                        job = waiting.pop(0)
                        yield job, _wait_for(pool.submit(_evaluate, job, zoo, threads), job, counter, progress)
            except BrokenProcessPool:
                yield job, "the worker process died while it evaluated this model (out of memory, or a crash)"


def worker_count() -> int:
    """Return the number of workers that fit into cores and memory, at least one."""
    memory = available_memory()
    return max(1, min(usable_cores(), memory // WORKER_MEMORY) if memory is not None else usable_cores())


@contextmanager
def terminating(pool: ProcessPoolExecutor) -> Iterator[ProcessPoolExecutor]:
    """End the processes of a pool with the block, at once if it raises."""
    try:
        yield pool
    except BaseException:
        for process in list((getattr(pool, "_processes", None) or {}).values()):
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_server() -> None:
    """Start the server process with our search path in its environment: it imports before it receives ``sys.path``."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server inherits it: Ctrl-C is the parent's
    paths = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    try:
        forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGINT, before)
        if paths is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = paths


def start_worker() -> None:
    """Ignore Ctrl-C, since the parent ends the workers, and send prints to standard error."""
    from cardproof.measure.preload import start_collector

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(2, 1)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    start_collector()


def _end_with_parent() -> None:
    """End this process if its parent was killed; otherwise it would wait for calls forever."""
    parent = multiprocessing.parent_process()
    if parent:
        wait([parent.sentinel])
        os._exit(1)


def _wait_for(future: Future[Evaluated | str], job: Job, counter: Any, progress: Progress | None) -> Evaluated | str:
    """Wait for an evaluation and report its progress."""
    while True:
        try:
            return future.result(timeout=0.2)
        except TimeoutError:
            if progress:
                progress(counter[0], counter[1], f"{job.need.model} on {job.dataset}")


_counter: Any = None
"""Finished and total images of an evaluation, shared with the parent."""


def _start_evaluation(counter: Any) -> None:
    global _counter
    _counter = counter
    start_worker()


def _evaluate(job: Job, zoo: str, threads: int) -> Evaluated | str:
    """Evaluate one model; runs in a worker."""
    from cardproof.measure.evaluation import evaluate_job

    def step(done: int, total: int) -> None:
        _counter[0], _counter[1] = done, total

    return evaluate_job(job, zoo, threads, step)


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def available_memory() -> int | None:
    """Return the bytes that are free before the system swaps or ends the container; None if unknown."""
    return min((free for free in (_system_memory(), _container_memory()) if free is not None), default=None)


def _system_memory() -> int | None:
    try:
        lines = MEMORY.read_text().splitlines()
    except OSError:
        return None
    available = next((line for line in lines if line.startswith("MemAvailable:")), "")
    return int(available.split()[1]) * 1024 if available else None


def _container_memory() -> int | None:
    try:
        return max(0, int(LIMIT.read_text()) - int(USED.read_text()))
    except (OSError, ValueError):  # no such files, or the limit is ``max``
        return None

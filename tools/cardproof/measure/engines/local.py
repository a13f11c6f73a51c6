"""The local engine: worker processes on this machine, as many as its cores and its memory allow."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager, suppress
from multiprocessing import forkserver
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cardproof.core.clock import TIME_LIMIT
from cardproof.core.errors import InputError, error_text
from cardproof.measure.engines import evaluate_in_worker
from cardproof.zoos import BUILT_IN, ZooError, source_files

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext
    from multiprocessing.synchronize import Event

    from cardproof.core.measurements import Evaluated
    from cardproof.measure.engines import Submit
    from cardproof.plan.needed_evaluations import Job
    from cardproof.plan.options import Progress

WORKER_MEMORY = 512 * 1024**2
"""Bytes that a worker needs for itself: networks have no weights while they are counted, and torch and the zoo are in
shared memory. Measured: 230 MB for the largest of timm's 1,300 networks, most of it torch's own tables."""

MEMORY = Path("/proc/meminfo")
LIMIT = Path("/sys/fs/cgroup/memory.max")
USED = Path("/sys/fs/cgroup/memory.current")
"""Limit and use of the container's memory, if there is one (control groups, version 2)."""


LIBRARIES = ("timm", "torchvision", "transformers")
"""Packages that take seconds to import: workers inherit those that the zoo uses."""

GRACE = 30
"""Seconds after which a worker that has not kept the limit itself, since its network does not return, is ended."""


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
            preload = [
                name for name in LIBRARIES if name == zoo or (zoo not in BUILT_IN and imports_library(zoo, name))
            ]
            if zoo not in BUILT_IN:  # each process imports the main module, and so what that imports of this package
                preload += sorted(name for name in sys.modules if name.startswith("cardproof."))
            context.set_forkserver_preload(["cardproof.measure.model_evidence", *preload])
            _start_server()
        count = max(1, min(self._workers or worker_count(), calls))
        with _Workers(context, zoo, count) as workers:
            yield workers.submit

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


class _Workers(AbstractContextManager["_Workers"]):
    """Threads with a pool of one process each, which is ended if it takes too long.

    A process measures one model of a custom zoo, since what the zoo read for one would be remembered for
    the next, and any number of a built-in zoo.
    """

    def __init__(self, context: BaseContext, zoo: str, count: int) -> None:
        self._context = context
        self._zoo = zoo
        self._threads = ThreadPoolExecutor(count)
        self._own = threading.local()
        self._pools: list[ProcessPoolExecutor] = []
        self._lock = threading.Lock()
        self._closed = False

    def __exit__(self, *raised: object) -> None:
        with self._lock:
            self._closed = True
            for pool in self._pools if raised[0] else ():
                _kill(pool)
        self._threads.shutdown(wait=True, cancel_futures=True)
        for pool in self._pools:
            _end(pool)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        return self._threads.submit(self._call, function, arguments)

    def _call(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        """Return what a function returns or raises there. Raises BrokenProcessPool, ZooError and TimeoutError."""
        worker: tuple[ProcessPoolExecutor, Event] | None = getattr(self._own, "worker", None)
        self._own.worker = None
        with self._lock:  # starting a process is not thread-safe
            if self._closed:
                raise BrokenProcessPool
            try:
                pool, loaded = worker = worker or self._new_worker()
                future = pool.submit(_answer, function, arguments)
            except (OSError, EOFError) as trouble:  # no memory or files for it, or the server that forks it is gone
                raise BrokenProcessPool from trouble
        try:
            result = self._wait(future, loaded)
            if self._zoo in BUILT_IN or os.name != "posix":  # elsewhere each process imports torch anew
                self._own.worker = worker
        finally:
            if not self._own.worker:
                _end(pool)
        if isinstance(result, BaseException):
            raise result
        return result

    def _new_worker(self) -> tuple[ProcessPoolExecutor, Event]:
        loaded = self._context.Event()
        pool = ProcessPoolExecutor(1, self._context, _start_measuring, (loaded,))
        self._pools.append(pool)
        return pool, loaded

    def _wait(self, future: Future[Any], loaded: Event) -> Any:
        """Return an answer; importing the zoo and measuring may take as long each."""
        measures = loaded.is_set()
        end = time.monotonic() + TIME_LIMIT + GRACE
        while time.monotonic() < end:
            with suppress(TimeoutError):
                return future.result(0.5)
            if not measures and loaded.is_set():
                measures, end = True, time.monotonic() + TIME_LIMIT + GRACE
        if not measures:
            raise ZooError(f"zoo '{self._zoo}' cannot be imported: that took more than {TIME_LIMIT} seconds")
        raise TimeoutError(f"measuring it took more than {TIME_LIMIT} seconds, and it had to be ended")


def _kill(pool: ProcessPoolExecutor) -> None:
    """End the process of a pool at once; who waits for its answer gets BrokenProcessPool."""
    for process in list((getattr(pool, "_processes", None) or {}).values()):
        process.kill()


def _end(pool: ProcessPoolExecutor) -> None:
    _kill(pool)
    pool.shutdown(wait=True)


def _answer(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Return what a function returns or raises; runs in a worker."""
    try:
        result = function(*arguments)
        pickle.dumps(result)  # what foreign code made of it may not be read by the parent
    except (ZooError, InputError) as error:
        return error
    except BaseException as error:  # nor may its exceptions
        return ZooError(error_text(error))
    return result


def imports_library(zoo: str, library: str) -> bool:
    """Return whether the source of a custom zoo imports a library, by a search of its text."""
    pattern = re.compile(rf"^[ \t]*(?:import|from)[ \t]+{library}\b", re.MULTILINE)
    try:
        return any(pattern.search(path.read_text("utf-8", "replace")) for path in source_files(zoo))
    except (OSError, ZooError):
        return False


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
        _kill(pool)
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
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(2, 1)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    gc.freeze()  # what it inherited stays: a million objects


def _start_measuring(loaded: Event) -> None:
    """Begin a worker process."""
    from cardproof.measure import model_evidence

    start_worker()
    model_evidence.zoo_loaded = loaded.set


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

    def step(done: int, total: int) -> None:
        _counter[0], _counter[1] = done, total

    return evaluate_in_worker(job, zoo, threads, step)


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def available_memory() -> int | None:
    """Return the bytes that are free before the system swaps or ends the container; None if unknown."""
    free = []
    with suppress(OSError):
        lines = MEMORY.read_text().splitlines()
        free += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    with suppress(OSError, ValueError):  # no such files, or the limit is ``max``
        free.append(max(0, int(LIMIT.read_text()) - int(USED.read_text())))
    return min(free, default=None)

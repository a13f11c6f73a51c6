"""A Dask cluster on the loopback for tests: a scheduler and workers, each a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import warm

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.process import BaseProcess

PATIENCE = 120
"""Seconds after which a cluster that does not start is a failure; machines are shared."""


class Cluster:
    """A scheduler, and workers that can be started and killed."""

    def __init__(self, folder: Path, working: Path, *, new: bool = False) -> None:
        """Start the scheduler; logs go to ``folder``, and workers work in ``working``.

        Its processes are forked from one that has imported all that a build needs, or are ``new`` interpreters.
        """
        self._folder = folder
        self._working = working
        self._new = new
        self._file = folder / "scheduler.json"
        self._log = folder / "log.txt"
        self._processes: list[subprocess.Popen[bytes] | BaseProcess] = []
        self._start("scheduler", "--host", "127.0.0.1", "--port", "0")
        try:
            self.address = self._read_address()
        except BaseException:
            self.stop()
            raise

    def _read_address(self) -> str:
        """Return the address that the scheduler writes once it listens."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with suppress(OSError, ValueError):  # it is not there yet, or not written to its end
                return json.loads(self._file.read_text())["address"]
            time.sleep(0.05)
        raise AssertionError("the Dask scheduler did not start")

    def add_worker(self, *options: str) -> int:
        """Start a worker of one thread and return its process id once the scheduler knows it."""
        from distributed import Client

        with Client(self.address, timeout=PATIENCE, set_as_default=False) as client:
            known = len(client.scheduler_info(n_workers=-1)["workers"])
            worker = self._start("worker", "--no-nanny", "--nthreads", "1", *options)
            client.wait_for_workers(known + 1, timeout=PATIENCE)
        return worker.pid

    def kill(self, pid: int) -> None:
        """Kill a worker and wait until it is dead."""
        (worker,) = [process for process in self._processes if process.pid == pid]
        _end(worker)

    def stop(self) -> None:
        for process in reversed(self._processes):
            _end(process)

    def _start(self, what: str, *options: str) -> subprocess.Popen[bytes] | BaseProcess:
        words = [what, "--no-dashboard", "--scheduler-file", str(self._file), *options]
        words += ["--local-directory", str(self._folder)] if what == "worker" else []
        if self._new:
            with self._log.open("ab") as log:
                command = [sys.executable, "-m", "dask", *words]
                process = subprocess.Popen(command, cwd=self._working, stdout=log, stderr=log)
        else:
            process = warm.start_dask(self._working, self._log, *words)
        self._processes.append(process)
        return process


def _end(process: subprocess.Popen[bytes] | BaseProcess) -> None:
    process.kill()
    process.wait() if isinstance(process, subprocess.Popen) else process.join()


@contextmanager
def cluster(folder: Path, working: Path, workers: int = 2, *, new: bool = False) -> Iterator[Cluster]:
    """Give a cluster of this many workers."""
    started = Cluster(folder, working, new=new)
    try:
        for _ in range(workers):
            started.add_worker()
        yield started
    finally:
        started.stop()

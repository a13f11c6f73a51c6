"""A Dask cluster on the loopback for tests: a scheduler and workers, each a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 120
"""Seconds after which a cluster that does not start is a failure; machines are shared."""


class Cluster:
    """A scheduler, and workers that can be started and killed."""

    def __init__(self, folder: Path, working: Path) -> None:
        """Start the scheduler; logs go to ``folder``, and workers work in ``working``."""
        self._folder = folder
        self._working = working
        self._file = folder / "scheduler.json"
        self._log = (folder / "log.txt").open("wb")
        self._processes: list[subprocess.Popen[bytes]] = []
        self._start("scheduler", "--host", "127.0.0.1", "--port", "0")
        _wait(self._file.is_file)
        self.address: str = json.loads(self._file.read_text())["address"]

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
        worker.kill()
        worker.wait()

    def stop(self) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait()
        self._log.close()

    def _start(self, what: str, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "dask", what, "--no-dashboard", "--scheduler-file", str(self._file), *options]
        local = ["--local-directory", str(self._folder)] if what == "worker" else []
        process = subprocess.Popen([*command, *local], cwd=self._working, stdout=self._log, stderr=self._log)
        self._processes.append(process)
        return process


@contextmanager
def cluster(folder: Path, working: Path, workers: int = 2) -> Iterator[Cluster]:
    """Give a cluster of this many workers."""
    started = Cluster(folder, working)
    try:
        for _ in range(workers):
            started.add_worker()
        yield started
    finally:
        started.stop()


def _wait(condition) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "the Dask scheduler did not start"
        time.sleep(0.05)

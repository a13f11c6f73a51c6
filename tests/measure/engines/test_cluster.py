"""A cluster of Dask gives the evidence that this machine gives, whatever becomes of its workers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import warm
from sites import CARD, write_site
from warm import start_build

from cardproof.build import render
from cardproof.core.settings import load_settings
from cardproof.measure.engines import EngineError
from cardproof.measure.engines.cluster import differences, local_code
from cardproof.measure.gather import create_engine
from cardproof.plan.options import MeasureOptions
from cardproof.report.finished_run import Run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.process import BaseProcess

pytestmark = pytest.mark.slow

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


WIDTHS = (8, 16, 24, 32, 40, 48)
GATE = '''
import os
import time
from pathlib import Path


def pass_gate(name):
    """Say who builds a network, and let one wait until a file is there."""
    Path("built").mkdir(exist_ok=True)
    (Path("built") / f"{name}.{os.getpid()}").touch()
    while name == "tiny_24" and not Path("open").exists():
        time.sleep(0.01)
'''


def write_cards(folder: Path) -> Path:
    """Write a site of six models, one of which is built only when a file ``open`` is there."""
    site = write_site(folder)
    zoo = (site / "zoo.py").read_text()
    zoo = zoo.replace('name not in ("tiny", "tiny_16")', 'not name.startswith("tiny")')
    zoo = zoo.replace('16 if name == "tiny_16" else 8', 'int(name.partition("_")[2])')
    zoo = zoo.replace("from torch import nn", "import gate\nfrom torch import nn")
    (site / "zoo.py").write_text(zoo.replace("        width =", "        gate.pass_gate(name)\n        width ="))
    (site / "gate.py").write_text(GATE)
    (site / "templates/models/tiny.md").unlink()
    for width in WIDTHS:
        (site / f"templates/models/{width}.md").write_text(CARD.replace("Name: tiny\n", f"Name: tiny_{width}\n"))
    return site


@pytest.fixture
def site(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return write_cards(folder)


@pytest.fixture
def dask(tmp_path):
    """A cluster of two workers, which were not started in the folder of the site."""
    logs, home = tmp_path / "logs", tmp_path / "home"
    logs.mkdir()
    home.mkdir()
    with cluster(logs, home) as started:
        yield started


def build(site: Path, *, engine: str = "local", **options) -> Run:
    return render(load_settings(site / "mkdocs.yml"), MeasureOptions(engine=engine), **options)


def evidence(site: Path) -> dict[str, dict]:
    """Return all records without where and when they were made."""
    records = {path.name: json.loads(path.read_text()) for path in (site / "docs/evidence").glob("*.json")}
    return {
        name: {key: value for key, value in record.items() if key not in ("environment", "seal")}
        for name, record in records.items()
    }


def builders(site: Path, model: str) -> list[int]:
    """Return the processes that have begun to build a model."""
    return [int(path.suffix[1:]) for path in (site / "built").glob(f"{model}.*")]


def wait_for(condition) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_cluster_gives_the_same_evidence_even_when_a_worker_is_killed_in_the_middle(site, tmp_path, dask):
    (site / "open").touch()
    build(site)
    local = evidence(site)
    again = tmp_path / "again"
    again.mkdir()
    write_cards(again)
    os.chdir(again)
    client = start_build(again, tmp_path / "cache", "--engine", dask.address)
    wait_for(lambda: (again / "built").is_dir() and builders(again, "tiny_24") and len(evidence(again)) > 1)
    (victim,) = builders(again, "tiny_24")
    dask.kill(victim)
    (again / "open").touch()
    client.join(PATIENCE)
    assert client.exitcode == 1  # most cards state other numbers than their networks have
    assert len(builders(again, "tiny_24")) == 2
    assert evidence(again) == local


def test_a_client_that_is_killed_loses_nothing_that_was_finished(site, dask):
    command = [sys.executable, "-m", "cardproof", "render", "--quiet", "--engine", dask.address]
    with subprocess.Popen(command, cwd=site, stdout=subprocess.DEVNULL) as client:
        wait_for(lambda: (site / "docs/evidence").is_dir() and len(evidence(site)) == len(WIDTHS) - 1)
        client.kill()
    (site / "open").touch()
    run = build(site, engine=dask.address)
    assert (run.measured, run.recalled) == (1, len(WIDTHS) - 1)


def test_workers_with_another_zoo_than_the_clients_are_refused(site, dask):
    (site / "open").touch()
    build(site, engine=dask.address, only=("8",))
    (site / "zoo.py").write_text((site / "zoo.py").read_text() + "\n# edited\n")
    local_code.cache_clear()
    with pytest.raises(EngineError, match=r"has other code than this machine: the source of zoo\.py:Zoo; install"):
        build(site, engine=dask.address)


def test_a_worker_without_cardproof_is_refused(site, tmp_path):
    logs = tmp_path / "logs"
    logs.mkdir()
    (tmp_path / "without.py").write_text("import sys\nsys.modules['cardproof'] = None\n")
    with cluster(logs, tmp_path, workers=0, new=True) as started:
        started.add_worker("--preload", str(tmp_path / "without.py"))
        with pytest.raises(EngineError, match="cannot run cardproof"):
            build(site, engine=started.address)


def test_an_address_where_no_scheduler_answers_is_bad_input(site, monkeypatch):
    from cardproof.measure.engines import cluster as module

    monkeypatch.setattr(module, "PATIENCE", 1)
    with pytest.raises(EngineError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        build(site, engine="tcp://127.0.0.1:9")


def test_evaluations_go_to_workers_with_a_gpu_where_any_offers_one(tmp_path, monkeypatch):
    from cardproof.core.types import Need
    from cardproof.plan.needed_evaluations import Job

    monkeypatch.chdir(tmp_path)
    (tmp_path / "logs").mkdir()
    need = Need("no_such_model", None, None, (), ("Digits",))
    job = Job(need, "Digits", None, tmp_path / "none.safetensors", ())
    with cluster(tmp_path / "logs", tmp_path, workers=1) as started:
        started.add_worker("--resources", "GPU=1", "--name", "gpu")
        ((_, result),) = create_engine(started.address, None).evaluate([job], "res2next", None)
        assert "no_such_model" in result
        assert where(started) == {"gpu"}


def where(started: Cluster) -> set[str]:
    """Return the names of the workers that evaluations ran on."""
    from distributed import Client

    def executed(dask_worker) -> tuple[str, int]:
        return str(dask_worker.name), dask_worker.state.executed_count

    with Client(started.address, set_as_default=False) as client:
        return {name for name, count in client.run(executed).values() if count}


def test_differences_are_named_with_both_versions_and_digests_without():
    ours = {"cardproof": "1", "torch": "2.9", "cardproof's source": "sha256:1"}
    theirs = {"cardproof": "1", "cardproof's source": "sha256:2"}
    assert differences(ours, theirs) == "torch (none there, 2.9 here), cardproof's source"
    assert differences(ours, ours) == ""


def test_without_dask_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "cardproof.measure.engines.cluster", raising=False)
    with pytest.raises(EngineError, match=r"pip install 'cardproof\[cluster\]'"):
        create_engine("tcp://127.0.0.1:8786", None)

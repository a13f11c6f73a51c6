"""Time the cold counting of published cards by one local worker, two, and a Dask cluster of two on this machine."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bench.corpus import write_site
from bench.figures import CARDPROOF, CORPUS, Part, Row, installed, parser, run, show, workplace

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT = 60
"""Seconds to wait for a cluster."""


def main() -> None:
    """Measure and print the figures."""
    options = parser(__doc__)
    options.add_argument("--corpus", type=Path, default=CORPUS, help="folder of card templates, of networks in timm")
    options.add_argument("--cards", type=int, default=None, help="how many of its cards; all unless given")
    given = options.parse_args()
    show([measure(given.corpus, given.cards)], given.json)


def measure(corpus: Path, cards: int | None = None, zoo: str = "timm") -> Part:
    """Return the figures of each kind of workers."""
    rows: list[Row] = []
    one = _seconds(corpus, cards, zoo, "--jobs", "1")
    rows.append(_row("one local worker", one, one))
    rows.append(_row("two local workers", _seconds(corpus, cards, zoo, "--jobs", "2"), one))
    missing = _reason_without_dask()
    if missing:
        rows.append(_row(f"Dask, two workers ({missing})", None, one))
    else:
        with cluster() as address:
            rows.append(_row("Dask, two workers", _seconds(corpus, cards, zoo, "--engine", address), one))
    what = (
        "Whole cold builds without snippets, each from an empty store. Local workers import torch within the build; "
        "the cluster's have been started before, and import the zoo when they first need it."
    )
    return Part("Workers", what, rows, "seconds")


def _row(what: str, seconds: float | None, one: float) -> Row:
    ratio = round(seconds / one, 2) if seconds else None
    return {"workers": what, "seconds": round(seconds, 2) if seconds else None, "of one worker's time": ratio}


def _seconds(corpus: Path, cards: int | None, zoo: str, *options: str) -> float:
    with workplace() as site:
        write_site(site, corpus, zoo, snippets=False, cards=cards)
        return run([*CARDPROOF, "render", "--quiet", *options], site, (0, 1)).seconds


def _reason_without_dask() -> str:
    """Return why Dask cannot be measured; empty if it can."""
    if not installed("distributed"):
        return "not run: Dask is not installed"
    shown = subprocess.run([*CARDPROOF, "render", "--help"], capture_output=True, text=True, check=True).stdout
    return "" if "--engine" in shown else "not run: this version has no option --engine"


@contextmanager
def cluster() -> Iterator[str]:
    """Start a scheduler and two workers of one thread on the loopback; give the scheduler's address."""
    with workplace() as folder:
        file = folder / "scheduler.json"
        dask = [sys.executable, "-m", "dask"]
        scheduler = [*dask, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
        worker = [*dask, "worker", "--nworkers", "2", "--nthreads", "1", "--no-dashboard"]
        commands = [[*command, "--scheduler-file", str(file)] for command in (scheduler, worker)]
        processes = []
        try:
            for command in commands:
                quiet = subprocess.DEVNULL
                processes.append(subprocess.Popen(command, cwd=folder, stdout=quiet, stderr=quiet))
                _wait_for(file)
            yield _address(file)
        finally:
            for process in reversed(processes):
                process.terminate()
                process.wait()


def _wait_for(file: Path) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not file.is_file():
        if time.monotonic() > deadline:
            raise TimeoutError("the Dask scheduler did not start")
        time.sleep(0.05)


def _address(file: Path) -> str:
    """Return the scheduler's address when both workers are connected."""
    import json

    from distributed import Client

    address: str = json.loads(file.read_text())["address"]
    with Client(address, timeout=TIMEOUT) as client:
        client.wait_for_workers(2, timeout=TIMEOUT)
    return address


if __name__ == "__main__":
    main()

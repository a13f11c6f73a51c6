"""Shared by the benchmarks: parts of a report, facts about the machine, measured commands.

Each benchmark is a script with ``--help`` and ``--json``; its ``measure`` functions return parts, and :func:`show`
prints them. ``all.py`` runs the scripts, stores their output and draws it.

As a script, ``figures.py COMMAND ARGUMENT...`` runs one command and prints, as JSON, time and memory of it and of all
processes that it started. Those that outlive their parent (the workers' server) are waited for too.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROOT = Path(__file__).parents[2]
CORPUS = ROOT.parent / "shared" / "corpora" / "timm-model-templates"
"""Published cards, which are not part of this repository; ``--corpus`` names another copy."""

CARDPROOF = (sys.executable, "-m", "cardproof")

PR_SET_CHILD_SUBREAPER = 36
"""Of Linux's prctl: orphans among the descendants become this process's children."""

Cell = str | int | float | None
Row = dict[str, Cell]


@dataclass(frozen=True, slots=True)
class Part:
    """One table of the report."""

    title: str
    what: str
    """What was timed and compared, in a sentence or two."""
    rows: list[Row]
    """Each has the same columns; a column's name ends with its unit."""
    bar: str = ""
    """The column that is drawn."""
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that was run."""

    status: int
    seconds: float
    cpu_seconds: float
    """Of the command and of all processes that it started."""
    peak_mb: float
    """The largest resident set of one of these processes, in MiB."""
    own_peak_mb: float
    """That of the command itself."""
    output: str


def run(command: Sequence[str], folder: Path, statuses: Sequence[int] = (0,), **environment: str) -> Ran:
    """Run a command and measure it. Raises RuntimeError if it ends with another status.

    Python may write bytecode, as it does by default: without it, each run would compile changed files of this checkout.
    """
    environment = {"PYTHONDONTWRITEBYTECODE": "", **environment}
    measured = [sys.executable, __file__, *command]
    done = subprocess.run(
        measured, cwd=folder, env=os.environ | environment, capture_output=True, text=True, check=True
    )
    ran = Ran(**json.loads(done.stdout))
    if ran.status not in statuses:
        raise RuntimeError(f"{' '.join(command)} ended with {ran.status}: {ran.output[-2000:]}")
    return ran


def measure_command(command: Sequence[str]) -> Ran:
    """Run a command in this process, which must have no other children, and return its figures."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        _, status, own = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        used = [own, *_orphans()]
        output.seek(0)
        text = output.read().decode(errors="replace")
    return Ran(
        os.waitstatus_to_exitcode(status),
        seconds,
        sum(usage.ru_utime + usage.ru_stime for usage in used),
        max(usage.ru_maxrss for usage in used) / 1024,
        own.ru_maxrss / 1024,
        text,
    )


def _orphans() -> list[Any]:
    """Wait for all processes that the command left, and return what each used."""
    found = []
    while True:
        try:
            found.append(os.wait4(-1, 0)[2])
        except ChildProcessError:
            return found


@contextmanager
def workplace() -> Iterator[Path]:
    """Give an empty folder with a separate cache, so that the first build of a site in it is a cold one."""
    before = os.environ.get("XDG_CACHE_HOME")
    with TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = f"{folder}/cache"
        try:
            yield Path(folder)
        finally:
            os.environ.pop("XDG_CACHE_HOME")
            if before is not None:
                os.environ["XDG_CACHE_HOME"] = before


def interleaved(rounds: int, *calls: Callable[[], float]) -> list[float]:
    """Call each of several measurements in turn, several times; return the median of each."""
    taken = [[call() for call in calls] for _ in range(rounds)]
    return [statistics.median(values) for values in zip(*taken, strict=True)]


def machine() -> dict[str, Cell]:
    """Return facts about the machine: processor, cores, memory, system, versions."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "measured": datetime.now(UTC).strftime("%Y-%m-%d"),
        "processor": _processor(),
        "cores": cores,
        "memory GiB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: installed(name) for name in ("torch", "torchvision", "timm", "mkdocs")},
    }


def installed(distribution: str) -> str | None:
    """Return the version of a distribution; None if it is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    with Path("/proc/cpuinfo").open() as lines:
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options of all benchmarks."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    return options


def show(parts: Sequence[Part], as_json: bool) -> None:
    """Print parts as tables on a terminal, or as one JSON object."""
    if as_json:
        print(json.dumps({"machine": machine(), "parts": [asdict(part) for part in parts]}, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 160)
    for part in parts:
        table = Table(title=part.title, caption="\n".join([part.what, *part.notes]), title_style="bold")
        for name in part.rows[0]:
            table.add_column(name, justify="left" if isinstance(part.rows[0][name], str) else "right")
        for row in part.rows:
            table.add_row(*(cell_text(cell) for cell in row.values()))
        console.print(table)


def cell_text(cell: Cell) -> str:
    """Return a cell as text: thousands separated, three significant digits."""
    if cell is None:
        return "–"
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 1000 else f"{cell:.3g}" if abs(cell) < 100 else f"{cell:.0f}"
    return f"{cell:,}" if isinstance(cell, int) else cell


def copy_site(folder: Path) -> Path:
    """Copy this project's site into a folder; return the folder."""
    for name in ("templates", "docs"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / "mkdocs.yml", folder)
    return folder


def mkdocs_alone(site: Path) -> list[str]:
    """Return the command that builds the pages of a site as they are, so that nothing but mkdocs is timed."""
    config = site / "mkdocs-alone.yml"
    text = (site / "mkdocs.yml").read_text(encoding="utf-8")
    config.write_text(re.sub(r"(\n +)zoo:", r"\1render: false\1zoo:", text), encoding="utf-8")
    return [sys.executable, "-m", "mkdocs", "build", "--quiet", "--no-strict", "-f", config.name]


def child(script: str, *arguments: str) -> list[str]:
    """Return the command that runs one of these scripts by its file name."""
    return [sys.executable, str(Path(__file__).with_name(script)), *arguments]


def result_of(script: str, *arguments: str) -> Any:
    """Return the JSON that one of these scripts prints, run in a process of its own."""
    done = subprocess.run(child(script, *arguments), check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def output_of(ran: Ran) -> Any:
    """Return the JSON that a command printed last."""
    return json.loads(ran.output.strip().splitlines()[-1])


if __name__ == "__main__":
    print(json.dumps(asdict(measure_command(sys.argv[1:]))))

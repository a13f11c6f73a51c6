"""Time a warm page of five blocks that need torch against the same code in a fresh interpreter, in the same run.

The overhead of a page is the wall time of the run minus the time of its blocks. The forking process must end with one
thread and no device in use. A single page, with and without torch, is run by pytest-markdown-docs too, in turns; it is
installed into a temporary folder if it is missing.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.figures import CARDPROOF, Part, Ran, Row, parser, run, show
from cardproof.snippets.run.page_runner import Job, Runner, ServerState
from cardproof.snippets.types import Block, Options

CODES = (
    "import torch",
    "x = torch.linspace(0, 1, 5)\nprint(x.sum())",
    "layer = torch.nn.Linear(5, 3)",
    "y = layer(x)\nprint(y.shape)",
    "y.sum().backward()\nprint(layer.weight.grad.dtype)",
)
PAGES = 20
FRESH = 5
SINGLE = 5

PLAIN = (
    "import math\nprint(math.sqrt(16))",
    "def double(value):\n    return 2 * value\nprint(double(4))",
    "names = sorted({'b': 1, 'a': 2})\nassert names == ['a', 'b']",
)
WITH_TORCH = (
    "import torch\nprint(torch.linspace(0, 1, 5).sum())",
    "import torch\nlayer = torch.nn.Linear(5, 3)",
    "import torch\nprint(torch.zeros(2).shape)",
)
"""Blocks that stand alone: pytest-markdown-docs runs each for itself."""
PEER = "pytest-markdown-docs"
PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
COMMANDS = {
    f"pytest with {PEER}": (*PYTEST, "-p", "pytest_markdown_docs.plugin", "--markdown-docs", "page.md"),
    "pytest with cardproof": (*PYTEST, "-p", "cardproof.plugins.pytest_plugin", "page.md"),
    "cardproof snippets": (*CARDPROOF, "snippets", "page.md"),
}


def main() -> None:
    """Measure and print the figures."""
    given = parser(__doc__).parse_args()
    show([measure(), measure_single()], given.json)


def measure(pages: int = PAGES, fresh: int = FRESH, preload: tuple[str, ...] = ("torch",)) -> Part:
    """Return the figures of pages and of interpreters."""
    job = Job("page.md", tuple(Block("page.md", 4 * n + 2, code, Options()) for n, code in enumerate(CODES)))
    with Runner(preload=preload) as runner:
        runner.run(job)
        walls, costs = zip(*(_page(runner, job) for _ in range(pages)), strict=True)
        state = runner.state("cpu")
    assert state == ServerState(state.pid, threads=1, device_in_use=False), state
    interpreters = [_interpreter("\n".join(CODES)) for _ in range(fresh)]
    named = {
        "a page": walls,
        "of that, beyond its own work": costs,
        "the same code in a fresh interpreter": interpreters,
    }
    peer = statistics.median(interpreters)
    rows: list[Row] = [
        {
            "what": name,
            "milliseconds": round(1000 * statistics.median(seconds), 1),
            "of the interpreter's time": round(statistics.median(seconds) / peer, 3),
        }
        for name, seconds in named.items()
    ]
    what = f"A page of {len(CODES)} blocks that need torch, in a process forked from one that has imported it."
    return Part("Snippets of a page", what, rows, "milliseconds")


def measure_single(runs: int = SINGLE) -> Part:
    """Return the figures of commands that run one page, in processes of their own, with no other plugins of pytest."""
    rows: list[Row] = []
    with TemporaryDirectory() as name:
        folder, peer = Path(name), Path(name, "peer")
        if find_spec("pytest_markdown_docs") is None:
            pip = (sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(peer), PEER)
            subprocess.run(pip, check=True, capture_output=True)
        environment = {"PYTHONPATH": str(peer), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        for kind, codes in {"without torch": PLAIN, "with torch": WITH_TORCH}.items():
            (folder / "page.md").write_text("# Page\n\n" + "".join(f"```python\n{code}\n```\n\n" for code in codes))
            ran: dict[str, list[Ran]] = {name: [] for name in COMMANDS}
            for _ in range(runs + 1):
                for command, words in COMMANDS.items():
                    ran[command].append(run(words, folder, **environment))
            figures = {
                command: [statistics.median(part) for part in zip(*map(_costs, found[1:]), strict=True)]
                for command, found in ran.items()
            }
            cpu, memory = figures[f"pytest with {PEER}"]
            rows += [
                {
                    "what": f"{kind}: {command}",
                    "CPU seconds": round(own_cpu, 2),
                    "of the peer's": round(own_cpu / cpu, 2),
                    "largest process, MiB": round(own_memory),
                    "of the peer's memory": round(own_memory / memory, 2),
                }
                for command, (own_cpu, own_memory) in figures.items()
            ]
    what = f"One page of three blocks, from start to end of the command; the peer is {PEER}."
    return Part("One page alone", what, rows, "CPU seconds")


def _costs(ran: Ran) -> tuple[float, float]:
    return ran.cpu_seconds, ran.peak_mb


def _page(runner: Runner, job: Job) -> tuple[float, float]:
    """Return the wall time of a page, and that without the time of its blocks."""
    started = time.perf_counter()
    results = runner.run(job)
    wall = time.perf_counter() - started
    assert all(result.ended and result.error is None for result in results)
    return wall, wall - sum(result.seconds for result in results)


def _interpreter(code: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()

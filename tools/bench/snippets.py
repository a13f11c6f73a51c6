"""Time a warm page of five blocks that need torch against the same code in a fresh interpreter, in the same run.

The overhead of a page is the wall time of the run minus the time of its blocks. The forking process must end with one
thread and no device in use.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from bench.figures import Part, Row, parser, show
from cardproof.snippets.run.runner import Job, Runner, ServerState
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


def main() -> None:
    """Measure and print the figures."""
    given = parser(__doc__).parse_args()
    show([measure()], given.json)


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

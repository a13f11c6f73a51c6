"""Time a warm page of five blocks that need torch against the same code in a fresh interpreter, in the same run.

Prints one JSON object. What a page costs beyond its own work is the wall time of the run less what its blocks took.
The forking process must come out of it with one thread and no device in use.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time

from cardproof.snippets.run import Job, Runner, ServerState
from cardproof.snippets.words import Block, Options

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
    """Measure pages and interpreters, and print the figures."""
    job = Job("page.md", tuple(Block("page.md", 4 * n + 2, code, Options()) for n, code in enumerate(CODES)))
    with Runner(preload=("torch",)) as runner:
        runner.run(job)
        walls, costs = zip(*(_page(runner, job) for _ in range(PAGES)), strict=True)
        state = runner.state("cpu")
    assert state == ServerState(state.pid, threads=1, device_in_use=False), state
    fresh = [_interpreter("\n".join(CODES)) for _ in range(FRESH)]
    figures = {"warm page": walls, "beyond its own work": costs, "fresh interpreter": fresh}
    medians = {name: statistics.median(seconds) for name, seconds in figures.items()}
    print(
        json.dumps(
            {
                "milliseconds": {name: round(1000 * seconds, 1) for name, seconds in medians.items()},
                "fresh interpreter / warm page": round(medians["fresh interpreter"] / medians["warm page"], 1),
                "beyond its own work / fresh interpreter": round(
                    medians["beyond its own work"] / medians["fresh interpreter"], 3
                ),
            },
            indent=2,
        )
    )


def _page(runner: Runner, job: Job) -> tuple[float, float]:
    """Return the wall time of a page, and that less the time of its blocks."""
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

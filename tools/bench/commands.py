"""Time whole commands on a copy of this site: a cold render, a warm one, and the build of the site beside them.

Prints one JSON object; the ratios are of figures of one run, so that they hold on a slow machine too.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROUNDS = 5


def main() -> None:
    """Measure the commands and print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder)
        for name in ("templates", "docs"):
            shutil.copytree(ROOT / name, site / name)
        shutil.copy(ROOT / "mkdocs.yml", site)
        render = [sys.executable, "-m", "cardproof", "render", "--quiet"]
        shutil.rmtree(site / "docs" / "evidence", ignore_errors=True)
        figures = {"render, cold": _run(render, site)}
        warm = [_run(render, site) for _ in range(ROUNDS)]
        build = [_run([sys.executable, "-m", "mkdocs", "build", "--quiet"], site) for _ in range(ROUNDS)]
        start = [_run([sys.executable, "-c", "pass"], site) for _ in range(ROUNDS)]
    figures |= {
        "render, warm": statistics.median(warm),
        "mkdocs build": statistics.median(build),
        "python alone": statistics.median(start),
    }
    ratio = figures["render, warm"] / figures["mkdocs build"]
    rounded = {name: round(seconds, 3) for name, seconds in figures.items()}
    print(json.dumps({"seconds": rounded, "warm render / mkdocs build": round(ratio, 2)}, indent=2))


def _run(command: list[str], folder: Path) -> float:
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()

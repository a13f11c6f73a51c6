"""Time from the edit of a template to the served page under ``mkdocs serve``, on a copy of this site."""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError

from bench.figures import CARDPROOF, Part, Row, copy_site, mkdocs_alone, parser, run, show, workplace

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = 5
TIMEOUT = 120
"""Seconds to wait for the site, and for an edit."""

MKDOCS = (sys.executable, "-m", "mkdocs")
EDITS = {
    "a card without snippets, edited: until the browser can show it": ("templates/models/index.md", "models/"),
    "a card with snippets, edited: likewise": ("templates/models/res2next.md", "models/res2next/"),
}
"""Description of an edit -> template and page."""


def main() -> None:
    """Measure and print the figures."""
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=ROUNDS, help="edits, of which the median is taken")
    given = options.parse_args()
    show([measure(given.rounds)], given.json)


def measure(rounds: int = ROUNDS) -> Part:
    """Return the figures."""
    with workplace() as folder:
        site = copy_site(folder)
        render = [*CARDPROOF, "render", "--quiet"]
        run(render, site, (0, 1))
        warm = [run(render, site, (0, 1)).seconds for _ in range(rounds)]
        build = [run(mkdocs_alone(site), site).seconds for _ in range(rounds)]
        with serving(site) as address:
            edits = {
                what: statistics.median(_edit(site / card, address + page, number) for number in range(rounds))
                for what, (card, page) in EDITS.items()
            }
    medians = {
        **edits,
        "cardproof render, nothing changed, as a command": statistics.median(warm),
        "mkdocs build, as a command": statistics.median(build),
    }
    rows: list[Row] = [
        {"what": what, "seconds": round(seconds, 2), "of mkdocs build's time": _ratio(seconds, build)}
        for what, seconds in medians.items()
    ]
    what = (
        "On a copy of this site. An edit waits for the editor to be done (0.05 s), the render, mkdocs's look at its "
        "folders (every 0.5 s, and 0.1 s more), and its build."
    )
    return Part("From the template to the browser", what, rows, "seconds")


def _ratio(seconds: float, build: list[float]) -> float:
    return round(seconds / statistics.median(build), 2)


def _edit(card: Path, url: str, number: int) -> float:
    """Write a sentence into a card and return the seconds until the served page has it."""
    sentence = f"This is sentence number {number} of the bench."
    text = card.read_text(encoding="utf-8")
    title, blank, rest = text.partition("\n\n")
    started = time.perf_counter()
    card.write_text(f"{title}{blank}{sentence}\n\n{rest}", encoding="utf-8")
    _wait_for(url, sentence)
    return time.perf_counter() - started


def _wait_for(url: str, text: str) -> None:
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:  # nosec B310  # loopback
                if text in answer.read().decode():
                    return
        except (URLError, ConnectionError):
            pass
        time.sleep(0.01)
    raise TimeoutError(f"{url} never showed '{text}'")


@contextmanager
def serving(site: Path) -> Iterator[str]:
    """Serve a site on a free port of the loopback; give its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [*MKDOCS, "serve", "--no-strict", "--dev-addr", address]
    quiet = subprocess.DEVNULL
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    with subprocess.Popen(command, cwd=site, stdout=quiet, stderr=quiet, env=environment) as server:
        try:
            _wait_for(f"http://{address}/", "<title>")
            yield f"http://{address}/"
        finally:
            server.terminate()


if __name__ == "__main__":
    main()

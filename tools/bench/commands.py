"""Time whole commands on a copy of this site: a cold and a warm render, and the build of the site."""

from __future__ import annotations

import shutil
import sys

from bench.figures import CARDPROOF, Part, Row, copy_site, interleaved, mkdocs_alone, parser, run, show, workplace

ROUNDS = 5


def main() -> None:
    """Measure and print the figures."""
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=ROUNDS, help="runs of each, of which the median is taken")
    given = options.parse_args()
    show([measure(given.rounds)], given.json)


def measure(rounds: int = ROUNDS) -> Part:
    """Return the figures."""
    with workplace() as folder:
        site = copy_site(folder)
        shutil.rmtree(site / "docs" / "evidence", ignore_errors=True)
        render = [*CARDPROOF, "render", "--quiet"]
        cold = run(render, site, (0, 1)).seconds
        commands = (render, [*render, "--check"], mkdocs_alone(site), [sys.executable, "-c", "pass"])
        medians = interleaved(rounds, *(lambda c=command: run(c, site, (0, 1)).seconds for command in commands))
    warm, check, build, start = medians
    named = {
        "cardproof render, nothing known": cold,
        "cardproof render, nothing changed": warm,
        "cardproof render --check": check,
        "mkdocs build": build,
        "python alone": start,
    }
    rows: list[Row] = [
        {"command": name, "seconds": round(seconds, 3), "of mkdocs build's time": round(seconds / build, 2)}
        for name, seconds in named.items()
    ]
    return Part("Commands on this site", "Whole processes on a copy of this site, snippets and all.", rows, "seconds")


if __name__ == "__main__":
    main()

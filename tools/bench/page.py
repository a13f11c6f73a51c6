"""Draw the figures of docs/data/benchmarks.json as the guide's page: a table of each part, with bars."""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING, Any

from bench.figures import ROOT, Part, cell_text

if TYPE_CHECKING:
    from collections.abc import Mapping

FIGURES = ROOT / "docs" / "data" / "benchmarks.json"
BY_HAND = ROOT / "docs" / "data" / "audit-of-audits.json"
"""What was checked by hand: no command measures it again."""
PAGE = ROOT / "docs" / "guide" / "benchmarks.md"

HEAD = (
    "# Benchmarks\n\n"
    "What Cardproof costs, against tools that do part of the same work. Ratios are of figures of one run on one "
    "machine, so they hold elsewhere better than seconds do. `make bench` prints them for your machine; this page is "
    "drawn from [`benchmarks.json`](../data/benchmarks.json), which one command writes:\n\n"
    "```console\npython tools/bench/all.py --write docs/data/benchmarks.json\n```\n\n"
    "A part alone is `--only PART`, or its own script: `python tools/bench/counting.py --help`. Sites of 10,000 cards "
    "are timed with `--full`. The published cards that some parts time are not in this repository; `--corpus` of their "
    "scripts names a folder of cards.\n"
)


def main() -> None:
    """Write the page."""
    PAGE.write_text(page_text(json.loads(FIGURES.read_text(encoding="utf-8"))), encoding="utf-8")


def page_text(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the page with the figures of all parts."""
    sections = [HEAD]
    for found in (json.loads(BY_HAND.read_text(encoding="utf-8")), *figures.values()):
        for part in found["parts"]:
            sections.append(_section(Part(**part)))
        sections.append(f"*{_machine(found['machine'])}*\n")
    return "\n".join(sections)


def _section(part: Part) -> str:
    lines = [f"## {part.title}", "", part.what, ""]
    if part.bar:
        lines += [_bars(part), ""]
    columns = list(part.rows[0])
    texts = [isinstance(part.rows[0][name], str) for name in columns]
    label = escape(part.title, quote=True)
    lines += [f'<div class="cp-table cp-figures" tabindex="0" role="region" aria-label="{label}" markdown>', ""]
    lines += [_line(columns), _line("---" if text else "---:" for text in texts)]
    lines += [_line(cell_text(cell) for cell in row.values()) for row in part.rows]
    return "\n".join([*lines, "", "</div>", "", *(f"{note}\n" for note in part.notes)])


def _line(cells: Any) -> str:
    return "| " + " | ".join(cells) + " |"


def _bars(part: Part) -> str:
    """Return the drawn column as a list, whose bars the style sheet draws: ``--v`` is the part of the longest one."""
    values = [value for row in part.rows if isinstance(value := row[part.bar], int | float)]
    most = max(values, default=0) or 1
    drawn = ['<figure class="cp-bars">', f"<figcaption>{escape(part.bar)}</figcaption>", "<ul>"]
    for row in part.rows:
        value = row[part.bar]
        length = round(value / most, 4) if isinstance(value, int | float) else 0
        drawn.append(f'<li style="--v:{length}"><span>{escape(_name(row))}</span> <b>{cell_text(value)}</b></li>')
    return "\n".join([*drawn, "</ul>", "</figure>"])


def _name(row: Mapping[str, Any]) -> str:
    """Return what a row is about: its first column."""
    column, value = next(iter(row.items()))
    return value if isinstance(value, str) else f"{cell_text(value)} {column}"


def _machine(machine: Mapping[str, Any]) -> str:
    """Return where and when figures were measured."""
    versions = ("python", "torch", "torchvision", "timm", "mkdocs")
    described = [f"{name} {machine[name]}" for name in versions if machine.get(name)]
    place = f"{machine['processor']}, {machine['cores']} cores, {machine['memory GiB']} GiB, {machine['system']}"
    return f"Measured on {machine['measured']}: {place}; {', '.join(described)}."


if __name__ == "__main__":
    main()

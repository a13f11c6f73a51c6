"""Run the benchmarks, all or some, write their figures to a file, and draw the guide's page: tables with bars.

The file is written after each part, so that an interrupted run can continue with --resume. With nothing left to run,
that draws the page anew.
"""

from __future__ import annotations

import json
import subprocess
import sys
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.figures import ROOT, Part, cell_text, child, parser, show

if TYPE_CHECKING:
    from collections.abc import Mapping

PARTS = {
    "corpus": "corpus.py",
    "counting": "counting.py",
    "scaling": "scaling.py",
    "workers": "workers.py",
    "commands": "commands.py",
    "snippets": "snippets.py",
    "serving": "serving.py",
    "site": "site.py",
    "inference": "inference.py",
    "evaluation": "evaluation.py",
    "training": "training.py",
}
"""Names of the parts and the scripts that measure them, in the order of the page."""

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

Figures = dict[str, dict[str, Any]]
"""Part -> output of its script with ``--json``."""


def main() -> None:
    """Run the chosen parts."""
    options = parser(__doc__)
    options.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help=f"of {', '.join(PARTS)}")
    options.add_argument("--full", action="store_true", help="the long version of scaling: 10,000 cards")
    options.add_argument("--write", type=Path, metavar="FILE", help="write the figures here, and the guide's page")
    options.add_argument("--resume", action="store_true", help="leave out the parts that the file has already")
    given = options.parse_args()
    figures = read_figures(given.write) if given.write else {}
    names = given.only or [name for name in PARTS if Path(child(PARTS[name])[1]).is_file()]
    for name in names:
        if given.resume and name in figures:
            continue
        found = run_part(name, [*(["--full"] if given.full and name == "scaling" else [])], given.json)
        if found:
            figures[name] = found
            if given.write:
                write_figures(given.write, figures)
    if given.write and figures:
        write_figures(given.write, figures)
    if given.json:
        print(json.dumps({name: figures[name] for name in names if name in figures}, indent=2))


def run_part(name: str, options: list[str], quiet: bool) -> dict[str, Any]:
    """Run one part and return its figures; print an error and return none if it failed."""
    print(f"{name} …", file=sys.stderr)
    done = subprocess.run(child(PARTS[name], "--json", *options), capture_output=True, text=True)
    if done.returncode:
        print(done.stderr[-4000:], file=sys.stderr)
        print(f"{name} failed; its figures are left as they were", file=sys.stderr)
        return {}
    found: dict[str, Any] = json.loads(done.stdout)
    if not quiet:
        show([Part(**part) for part in found["parts"]], as_json=False)
    return found


def read_figures(file: Path) -> Figures:
    """Return the figures of a file; none if it is missing."""
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def write_figures(file: Path, figures: Figures) -> None:
    """Write the figures in the order of the parts, and the guide's page if the file is the project's."""
    ordered = {name: figures[name] for name in PARTS if name in figures}
    file.write_text(json.dumps(ordered, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if file.resolve() == FIGURES.resolve():
        PAGE.write_text(page_text(ordered), encoding="utf-8")


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

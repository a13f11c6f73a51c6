"""Run the benchmarks, all or some, and write their figures to a file and to the guide's page.

The file is written after each part, so that an interrupted run can continue with --resume.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.figures import ROOT, child, parser
from bench.page import PAGE, page_text

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
        from bench.figures import Part, show

        show([Part(**part) for part in found["parts"]], as_json=False)
    return found


def read_figures(file: Path) -> Figures:
    """Return the figures of a file; none if it is missing."""
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def write_figures(file: Path, figures: Figures) -> None:
    """Write the figures in the order of the parts, and the guide's page if the file is the project's."""
    ordered = {name: figures[name] for name in PARTS if name in figures}
    file.write_text(json.dumps(ordered, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if file.resolve() == (ROOT / "docs" / "data" / "benchmarks.json").resolve():
        PAGE.write_text(page_text(ordered), encoding="utf-8")


if __name__ == "__main__":
    main()

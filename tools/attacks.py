"""Draw the table of attacks in docs/security.md from the tests that make them: ``python tools/attacks.py [--check]``.

A test that makes an attack has the marker ``attack`` with three texts: who makes it, what is tried, and the outcome.
They are read from the source, so that no test has to be run or imported.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "security.md"
START, END = "<!-- attacks: made by tools/attacks.py -->\n", "<!-- /attacks -->"
WHO = ("card", "template", "snippet", "zoo", "weights", "record", "server", "machine")
"""Who makes an attack, in the order of the table; ``machine`` is bad luck: signals, full disks, closed outputs."""


def attacks_of(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield who, attempt and outcome of each attack that a file of tests makes. Raises ValueError for a wrong marker."""
    text = path.read_text(encoding="utf-8")
    if "mark.attack(" not in text:
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.attack":
            try:
                who, attempt, outcome = (ast.literal_eval(argument) for argument in node.args)
            except ValueError:
                raise ValueError(f"{path}:{node.lineno}: an attack has three literal texts") from None
            if who not in WHO:
                raise ValueError(f"{path}:{node.lineno}: {who!r} is not one of {', '.join(WHO)}")
            yield who, attempt, outcome


def table() -> str:
    """Return the table of all attacks, by who makes them."""
    found = {attack for path in sorted((ROOT / "tests").rglob("test_*.py")) for attack in attacks_of(path)}
    rows = sorted(found, key=lambda attack: (WHO.index(attack[0]), attack[1:]))
    cells = [[re.sub(r"([|<])", r"\\\1", text) for text in row] for row in rows]
    return "\n".join(["| By | Attempt | Outcome |", "| --- | --- | --- |", *(f"| {' | '.join(row)} |" for row in cells)])


def main() -> int:
    """Write the table into the page, or with ``--check`` say whether it is the one there."""
    old = PAGE.read_text(encoding="utf-8")
    before, rest = old.split(START)
    new = f"{before}{START}\n{table()}\n\n{END}{rest.split(END)[1]}"
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(new, encoding="utf-8")
    elif new != old:
        print("docs/security.md is stale: run tools/attacks.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

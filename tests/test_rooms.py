"""The rooms of cardproof, in the order of the flow: imports point down this list only, and no circle leads back."""

from __future__ import annotations

import ast
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "tools" / "cardproof"

ROOMS = (
    ("commands",),
    ("plugins",),
    ("build",),
    ("report",),
    ("render",),
    ("judge",),
    ("snippets",),
    ("measure",),
    ("plan",),
    ("evidence",),
    ("read",),
    ("zoos",),
    ("core",),
)
"""From the top: a room may import those below it, and itself."""

FLOOR = {room: floor for floor, rooms in enumerate(ROOMS) for room in rooms}


def modules() -> dict[str, Path]:
    """Return the path of each module by its dotted name below ``cardproof``."""
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(path: Path, known: dict[str, Path]) -> set[str]:
    """Return the modules of cardproof that a file imports anywhere, for types too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "cardproof":
            base = (node.module or "").removeprefix("cardproof").removeprefix(".")
            for alias in node.names:
                full = f"{base}.{alias.name}".removeprefix(".")
                found.add(full if full in known else base)
        elif isinstance(node, ast.Import):
            found |= {alias.name.removeprefix("cardproof").removeprefix(".") for alias in node.names} & set(known)
    return found - {""}


@cache
def graph() -> dict[str, set[str]]:
    """Return what each module imports."""
    known = modules()
    return {name: imports_of(path, known) for name, path in known.items()}


def test_every_module_lies_in_a_room():
    roots = {name.partition(".")[0] for name in graph()} - {"", "__main__"}
    assert roots == set(FLOOR)
    assert len(list(ROOT.glob("*.py"))) <= 6


@pytest.mark.parametrize("room", [room for rooms in ROOMS for room in rooms])
def test_imports_between_rooms_point_down(room):
    upward = [
        f"{name} imports {target}"
        for name, targets in graph().items()
        if name.partition(".")[0] == room
        for target in sorted(targets)
        if (other := target.partition(".")[0]) != room and FLOOR[other] <= FLOOR[room]
    ]
    assert upward == []


def test_no_circle_leads_back():
    tuple(TopologicalSorter({name: targets - {name} for name, targets in graph().items()}).static_order())

"""Pictures of the blocks, as data: boxes and arrows with the numbers of a variant. Imports no torch.

The tables of variants stand in modules that import torch. They are literals, so that they are read from the source here
instead of being copied.
"""

from __future__ import annotations

import ast
from functools import cache
from importlib.resources import files
from typing import Any

TABLES = {"model.py": ("VARIANTS", "SMALL_VARIANTS"), "dla.py": ("DLA_VARIANTS",)}


def block_diagram(architecture: str) -> dict[str, Any]:
    """The first block of a stage beside the others, with the numbers of the first stage that has both.

    Raises:
        KeyError: no table of variants has the architecture.
    """
    variant = _variants()[architecture]
    if "channels" in variant:  # DLA: blocks are half as wide inside, and level 2 is the first with them
        entering, leaving = variant["channels"][1:3]
        width = leaving * variant["base_width"] // 64 * variant["cardinality"] // 2
        where = "level 2"
    else:
        stage = next(stage for stage, blocks in enumerate(variant["depths"]) if blocks > 1)
        planes = variant["widths"][stage]
        entering, leaving = 4 * variant["widths"][stage - 1] if stage else planes, 4 * planes
        width = planes * variant["base_width"] // 64 * variant["cardinality"]
        where = f"stage {stage + 1}"
    scale, groups = variant["scale"], variant["cardinality"]
    grouped = f" in {groups} groups" if groups > 1 else ""
    return {
        "caption": f"{scale} splits of {width} channels; each 3×3 convolution works on one split{grouped}. "
        f"Numbers of {where}.",
        "panels": [
            _panel("First block of a stage", scale, width, entering, leaving, is_first=True),
            _panel("Every other block", scale, width, leaving, leaving, is_first=False),
        ],
    }


def _panel(title: str, scale: int, width: int, entering: int, leaving: int, *, is_first: bool) -> dict[str, Any]:
    boxes: list[dict[str, Any]] = [
        {"text": f"{entering} channels", "y": 0, "width": scale, "kind": "text"},
        {"text": f"1×1: {scale} × {width} channels", "y": 1, "width": scale},
        {"text": f"1×1: {leaving} channels", "y": 4, "width": scale},
        {"text": "+ shortcut", "y": 5, "width": scale, "kind": "text"},
    ]
    arrows = [(0, 1), (2, 3)]
    above = None
    for split in range(scale - 1):
        top = 1
        if above is not None and not is_first:
            boxes.append({"text": "+", "x": split, "y": 2, "kind": "sum"})
            top = len(boxes) - 1
            arrows += [(1, top), (above, top)]
        boxes.append({"text": "3×3", "x": split, "y": 3})
        above = len(boxes) - 1
        arrows += [(top, above), (above, 2)]
    last = (
        {"text": "pool", "x": scale - 1, "y": 3}
        if is_first
        else {"text": "as is", "x": scale - 1, "y": 3, "kind": "text"}
    )
    boxes.append(last)
    arrows += [(1, len(boxes) - 1), (len(boxes) - 1, 2)]
    said = (
        "The splits are convolved one by one, and the last is average-pooled."
        if is_first
        else "Each split but the first gets the result of the one before it added; the last passes as it is."
    )
    return {"title": title, "description": said, "columns": scale, "boxes": boxes, "arrows": arrows}


@cache
def _variants() -> dict[str, dict[str, Any]]:
    """The fields of each variant, by its name."""
    found = {}
    for module, tables in TABLES.items():
        tree = ast.parse(files("res2next").joinpath(module).read_text(encoding="utf-8"))
        classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
        for node in tree.body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in tables:
                for call in getattr(node.value, "elts", ()):
                    fields = _fields(classes[call.func.id], call)
                    found[fields["name"]] = fields
    return found


def _fields(kind: ast.ClassDef, call: ast.Call) -> dict[str, Any]:
    """The values of a dataclass's fields in one call of it."""
    lines = [line for line in kind.body if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)]
    names = [ast.unparse(line.target) for line in lines]
    given = {name: line.value for name, line in zip(names, lines, strict=True) if line.value is not None}
    given.update(zip(names, call.args, strict=False))
    given.update({word.arg: word.value for word in call.keywords if word.arg})
    return {name: ast.literal_eval(value) for name, value in given.items()}

"""Diagrams of blocks that a zoo describes as data: boxes in rows and columns, and arrows between them."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, convert

from cardproof.zoos import BUILT_IN, load_zoo


class Box(Struct, frozen=True):
    """A part of a block."""

    text: str
    y: int
    """Row, from the top."""
    x: int = 0
    """First column."""
    width: int = 1
    """Columns."""
    kind: Literal["layer", "sum", "text"] = "layer"


class Panel(Struct, frozen=True):
    """One picture of a diagram."""

    title: str
    description: str
    columns: int
    boxes: tuple[Box, ...]
    arrows: tuple[tuple[int, int], ...]
    """Positions of boxes: from, to."""


class Diagram(Struct, frozen=True):
    """How the blocks of a network are built."""

    caption: str
    """What the pictures show, with the numbers of the model."""
    panels: tuple[Panel, ...]


def diagram_of(spec: str | None, name: str) -> Diagram | None:
    """Return the diagram that a built-in zoo has of a model, without torch; None if it has none."""
    describe = getattr(load_zoo(spec), "diagram", None) if spec in BUILT_IN else None
    try:
        return convert(describe(name), Diagram) if describe else None
    except (LookupError, ValueError):  # the zoo does not know the model
        return None

"""Diagrams of blocks as inline SVG, one for each panel: coloured by the style sheet, with title and description."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from cardproof.render.templates import render_layout

if TYPE_CHECKING:
    from cardproof.zoos.metadata import Box, Diagram, Panel

WIDTH = 340
"""Of a panel, in pixels of a narrow screen."""
ROW, HEIGHT, TOP = 46, 26, 18
"""Distance of rows, height of a box, and middle of the first row."""
GAP = 8
"""Between boxes of one row."""
RADIUS = 9
"""Of a sum."""


class DiagramView(Struct, frozen=True):
    """A diagram for templates."""

    caption: str
    panels: tuple[tuple[str, str], ...]
    """Title and SVG of each picture."""


class Drawn(Struct, frozen=True):
    """A box at its place: its middle, and half of its width and height."""

    box: Box
    x: float
    y: float
    half_width: float
    half_height: float


def diagram_view(diagram: Diagram | None) -> DiagramView | None:
    """Return a diagram as SVG; None for None."""
    if diagram is None:
        return None
    panels = tuple((panel.title, _svg(panel, f"block-{n}")) for n, panel in enumerate(diagram.panels, 1))
    return DiagramView(diagram.caption, panels)


def _svg(panel: Panel, name: str) -> str:
    drawn = [_drawn(box, panel.columns) for box in panel.boxes]
    arrows = [_arrow(drawn[start], drawn[end]) for start, end in panel.arrows]
    height = TOP + max(box.y for box in panel.boxes) * ROW + HEIGHT // 2 + 2
    svg = render_layout(
        "diagram.svg",
        panel=panel,
        prefix=name,
        drawn=drawn,
        arrows=arrows,
        width=WIDTH,
        height=height,
        unit="{:.0f}".format,
    )
    return svg.replace("\n", "")


def _drawn(box: Box, columns: int) -> Drawn:
    column = WIDTH / columns
    x, y = (box.x + box.width / 2) * column, TOP + box.y * ROW
    if box.kind == "sum":
        return Drawn(box, x, y, RADIUS, RADIUS)
    return Drawn(box, x, y, (box.width * column - GAP) / 2, HEIGHT / 2)


def _arrow(start: Drawn, end: Drawn) -> str:
    """Return the path of an arrow: down, or from the side of a box to the side of one that is not below it."""
    if end.y > start.y:
        x = min(start, end, key=lambda drawn: drawn.half_width).x
        return f"M{x:.0f} {start.y + start.half_height:.0f}V{end.y - end.half_height:.0f}"
    sign = 1 if end.x > start.x else -1
    left, right = start.x + sign * start.half_width, end.x - sign * end.half_width
    return f"M{left:.0f} {start.y:.0f}H{left + sign * GAP / 2:.0f}V{end.y:.0f}H{right:.0f}"

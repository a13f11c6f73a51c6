"""Plots, and diagrams of blocks, as inline SVG: coloured by the style sheet, with title and description."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from cardproof.core.types import Verdict
from cardproof.render.templates import render_layout

if TYPE_CHECKING:
    from cardproof.zoos.metadata import Box, Diagram, Panel

WIDTH, HEIGHT = 720, 380
PANEL_GAP = 40
"""Between two panels, one above the other."""
MOST_POINTS = 300
"""Of a line: neighbours would be less than three units apart."""
LEFT, RIGHT, TOP, BOTTOM = 70, 16, 16, 56
LETTER_WIDTH = 7.6
"""Mean width of a letter of a bold label, in the units of the plot."""
LABEL_OFFSETS = (
    (10, 4, "start"),
    (-10, 4, "end"),
    (0, -11, "middle"),
    (0, 20, "middle"),
    (5, -10, "start"),
    (-5, -10, "end"),
    (5, 19, "start"),
    (-5, 19, "end"),
)
"""Possible positions of a label, in order: offset from the centre of its mark, and text anchor."""
LINE_HEIGHT = 13
SHAPES = {
    "measured": ("●", "measured here"),
    "cited": ("○", "agrees with a published source"),
    "disputed": ("◇", "sources differ"),
    "unchecked": ("□", "as stated, not checked"),
}
"""Marks of plots, which no colour tells apart: a letter like it, and what it means."""


class Mark(Struct, frozen=True):
    """One model in a plot."""

    x: float
    y: float
    label: str
    description: str
    """The model and its values, in one line."""
    link: str
    """Anchor of its row on the page."""
    own: bool
    """Whether it is a model of the page."""
    verdict: Verdict
    """On the accuracy; it decides the shape of the mark."""

    @property
    def shape(self) -> str:
        return shape_of(self.verdict)


def shape_of(verdict: Verdict) -> str:
    """Return the key of the mark for an accuracy with this verdict."""
    return "measured" if verdict in ("confirmed", "refuted") else verdict


class PlotText(Struct, frozen=True):
    """The texts of a plot."""

    name: str
    """Prefix of the ids of title and description, which are unique on the page."""
    title: str
    description: str
    x: str
    y: tuple[str, ...]
    """Of the panels, from the top."""


class Axis(Struct, frozen=True):
    """A linear axis: values from ``low`` to ``high``, drawn from ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float
    step: float

    def at(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        first, last = math.ceil(self.low / self.step - 1e-9), math.floor(self.high / self.step + 1e-9)
        return [tick * self.step for tick in range(first, last + 1)]

    def text(self, tick: float) -> str:
        """Return the label of a value, with the decimals of the step."""
        return f"{tick:.{max(0, -math.floor(math.log10(self.step) + 1e-9))}f}"


class PlotPanel(Struct, frozen=True):
    """A vertical axis with its label, and the line that it measures."""

    label: str
    axis: Axis
    line: Sequence[tuple[float, float]]


def axis(values: Iterable[float], start: float, end: float, most: int = 6) -> Axis:
    """Return an axis for the values, with at most ``most`` steps of 1, 2 or 5 times a power of ten."""
    values = list(values)
    low, high = min(values), max(values)
    span = (high - low) or abs(high) or 1.0
    low, high = low - span * 0.06, high + span * 0.06
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(power * factor for factor in (1, 2, 5, 10) if (high - low) / (power * factor) <= most)
    return Axis(low, high, start, end, step)


def scatter(marks: Sequence[Mark], words: PlotText) -> str:
    """Return a scatter plot: less of x and more of y is better; a line joins the Pareto front."""
    xs = axis((mark.x for mark in marks), LEFT, WIDTH - RIGHT)
    ys = axis((mark.y for mark in marks), HEIGHT - BOTTOM, TOP)
    best = pareto_front([(mark.x, mark.y) for mark in marks])
    centres = [(xs.at(mark.x), ys.at(mark.y)) for mark in marks]
    places = place_labels(centres, [mark.label for mark in marks])
    own_last = sorted(zip(marks, centres, places, strict=True), key=lambda drawn: drawn[0].own)
    panel = PlotPanel(words.y[0], ys, best if len(best) > 1 else ())
    return _plot(words=words, xs=xs, panels=(panel,), marks=own_last)


def curves(lines: Sequence[Sequence[tuple[float, float]]], words: PlotText) -> str:
    """Return a plot of lines with the same x, such as a loss and an accuracy over epochs, one above the other.

    Long lines are drawn with every nth point, the last included.
    """
    xs = axis((x for line in lines for x, _ in line), LEFT, WIDTH - RIGHT, 8)
    height = HEIGHT - TOP - BOTTOM if len(lines) == 1 else 200
    panels = []
    for number, (label, line) in enumerate(zip(words.y, lines, strict=True)):
        top = TOP + number * (height + PANEL_GAP)
        drawn = line[:: -math.ceil(len(line) / MOST_POINTS)][::-1]
        panels.append(PlotPanel(label, axis((y for _, y in line), top + height, top), drawn))
    return _plot(words=words, xs=xs, panels=panels, marks=())


def _plot(panels: Sequence[PlotPanel], **parts: Any) -> str:
    """Return SVG on one line; coordinates are whole units, smaller than a pixel on most screens."""
    bottom = int(panels[-1].axis.start)
    parts |= {"width": WIDTH, "height": bottom + BOTTOM, "bottom": bottom, "unit": "{:.0f}".format}
    return render_layout("plot.svg", panels=panels, **parts).replace("\n", "")


def pareto_front(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the Pareto front, by rising x: the points for which no other has less x and at least as much y."""
    best: list[tuple[float, float]] = []
    for x, y in sorted(set(points), key=lambda point: (point[0], -point[1])):
        if not best or y > best[-1][1]:
            best.append((x, y))
    return best


def place_labels(
    centres: Sequence[tuple[float, float]], labels: Sequence[str]
) -> list[tuple[float, float, str] | None]:
    """Return position and anchor of each label; None for one that would cover a mark or another label.

    Labels are placed in order: next to their mark, above or below it, or at one of its corners.
    """
    occupied = [(x - 7, y - 7, x + 7, y + 7) for x, y in centres]
    places: list[tuple[float, float, str] | None] = []
    for (x, y), label in zip(centres, labels, strict=True):
        width = len(label) * LETTER_WIDTH
        place = None
        for dx, dy, anchor in LABEL_OFFSETS:
            left = x + dx - {"start": 0, "end": width, "middle": width / 2}[anchor]
            box = (left, y + dy - LINE_HEIGHT + 3, left + width, y + dy + 3)
            inside = box[0] > LEFT and box[1] > 0 and box[2] < WIDTH and box[3] < HEIGHT - BOTTOM
            if inside and not any(_overlap(box, other) for other in occupied):
                occupied.append(box)
                place = (x + dx, y + dy, anchor)
                break
        places.append(place)
    return places


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


DIAGRAM_WIDTH = 340
"""Of a panel of a diagram, in pixels of a narrow screen."""
ROW, BOX_HEIGHT, FIRST_ROW = 46, 26, 18
"""Distance of rows, height of a box, and middle of the first row."""
BOX_GAP = 8
"""Between boxes of one row."""
SUM_RADIUS = 9
"""Of a sum."""


class DiagramView(Struct, frozen=True):
    """A diagram for templates."""

    caption: str
    panels: tuple[tuple[str, str], ...]
    """Title and SVG of each picture."""


class PlacedBox(Struct, frozen=True):
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
    panels = tuple((panel.title, _draw_panel(panel, f"block-{n}")) for n, panel in enumerate(diagram.panels, 1))
    return DiagramView(diagram.caption, panels)


def _draw_panel(panel: Panel, name: str) -> str:
    drawn = [_place_box(box, panel.columns) for box in panel.boxes]
    arrows = [_arrow(drawn[start], drawn[end]) for start, end in panel.arrows]
    height = FIRST_ROW + max(box.y for box in panel.boxes) * ROW + BOX_HEIGHT // 2 + 2
    svg = render_layout(
        "diagram.svg",
        panel=panel,
        prefix=name,
        drawn=drawn,
        arrows=arrows,
        width=DIAGRAM_WIDTH,
        height=height,
        unit="{:.0f}".format,
    )
    return svg.replace("\n", "")


def _place_box(box: Box, columns: int) -> PlacedBox:
    column = DIAGRAM_WIDTH / columns
    x, y = (box.x + box.width / 2) * column, FIRST_ROW + box.y * ROW
    if box.kind == "sum":
        return PlacedBox(box, x, y, SUM_RADIUS, SUM_RADIUS)
    return PlacedBox(box, x, y, (box.width * column - BOX_GAP) / 2, BOX_HEIGHT / 2)


def _arrow(start: PlacedBox, end: PlacedBox) -> str:
    """Return the path of an arrow: down, or from the side of a box to the side of one that is not below it."""
    if end.y > start.y:
        x = min(start, end, key=lambda drawn: drawn.half_width).x
        return f"M{x:.0f} {start.y + start.half_height:.0f}V{end.y - end.half_height:.0f}"
    sign = 1 if end.x > start.x else -1
    left, right = start.x + sign * start.half_width, end.x - sign * end.half_width
    return f"M{left:.0f} {start.y:.0f}H{left + sign * BOX_GAP / 2:.0f}V{end.y:.0f}H{right:.0f}"

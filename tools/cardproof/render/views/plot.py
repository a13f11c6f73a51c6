"""Plots as inline SVG: drawn from numbers at render time, coloured by the style sheet, with title and description."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cardproof.core.frozen import dataclass
from cardproof.render.output.text import html_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

WIDTH, HEIGHT = 720, 380
LEFT, RIGHT, TOP, BOTTOM = 54, 16, 16, 46
LETTER = 7.6
"""Mean width of a letter of a bold label, in the units of the plot."""
CHOICES = (
    (10, 4, "start"),
    (-10, 4, "end"),
    (0, -11, "middle"),
    (0, 20, "middle"),
    (5, -10, "start"),
    (-5, -10, "end"),
    (5, 19, "start"),
    (-5, 19, "end"),
)
"""Where a label may stand: its offset from the centre of its mark, and which of its ends is there."""
LINE = 13


@dataclass(frozen=True, slots=True)
class Mark:
    """One model in a plot."""

    x: float
    y: float
    label: str
    says: str
    """What it stands for, in one line."""
    link: str
    """Anchor of its row on the page."""
    own: bool
    """Of the page's own models."""
    measured: bool
    """Filled; values that were taken from others are hollow."""


@dataclass(frozen=True, slots=True)
class Words:
    """What a plot says around its marks."""

    name: str
    """Prefix of the ids of title and description, which are unique on the page."""
    title: str
    description: str
    x: str
    y: str


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear axis: values from ``low`` to ``high``, drawn from ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float
    step: float

    def at(self, value: float) -> float:
        """Return where a value is drawn."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Return the values that are written at the axis."""
        first, last = math.ceil(self.low / self.step - 1e-9), math.floor(self.high / self.step + 1e-9)
        return [tick * self.step for tick in range(first, last + 1)]

    def text(self, tick: float) -> str:
        """Write a value with the decimals that the steps need."""
        return f"{tick:.{max(0, -math.floor(math.log10(self.step) + 1e-9))}f}"


def axis(values: Iterable[float], start: float, end: float, most: int = 6) -> Axis:
    """Return an axis that shows all values, with at most so many steps of 1, 2 or 5 times a power of ten."""
    values = list(values)
    low, high = min(values), max(values)
    span = (high - low) or abs(high) or 1.0
    low, high = low - span * 0.06, high + span * 0.06
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(power * factor for factor in (1, 2, 5, 10) if (high - low) / (power * factor) <= most)
    return Axis(low, high, start, end, step)


def scatter(marks: Sequence[Mark], words: Words) -> str:
    """Return models by two numbers: less of x and more of y is better; a line joins those that no other beats."""
    xs = axis((mark.x for mark in marks), LEFT, WIDTH - RIGHT)
    ys = axis((mark.y for mark in marks), HEIGHT - BOTTOM, TOP)
    parts = [_open(words), *_grid(xs, ys, words)]
    best = front([(mark.x, mark.y) for mark in marks])
    if len(best) > 1:
        parts.append(f'<path class="cp-front" d="{_path((xs.at(x), ys.at(y)) for x, y in best)}"/>')
    centres = [(xs.at(mark.x), ys.at(mark.y)) for mark in marks]
    places = place_labels(centres, [mark.label for mark in marks])
    drawn = sorted(zip(marks, centres, places, strict=True), key=lambda one: one[0].own)
    parts += [_mark(mark, centre, place) for mark, centre, place in drawn]
    return "".join([*parts, "</svg>"])


def curve(series: Sequence[tuple[float, float]], words: Words) -> str:
    """Return one number over another as a line, such as a loss over epochs."""
    xs = axis((x for x, _ in series), LEFT, WIDTH - RIGHT, 8)
    ys = axis((y for _, y in series), HEIGHT - BOTTOM, TOP)
    line = _path((xs.at(x), ys.at(y)) for x, y in series)
    return "".join([_open(words), *_grid(xs, ys, words), f'<path class="cp-line" d="{line}"/></svg>'])


def front(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points that no other beats, by rising x: none has less of x and as much of y, or more of y for it."""
    best: list[tuple[float, float]] = []
    for x, y in sorted(set(points), key=lambda point: (point[0], -point[1])):
        if not best or y > best[-1][1]:
            best.append((x, y))
    return best


def place_labels(
    centres: Sequence[tuple[float, float]], labels: Sequence[str]
) -> list[tuple[float, float, str] | None]:
    """Return where each label starts and how it is anchored; None for one that would cover a mark or another label.

    The first labels have the choice: beside their mark, above or below it, or at one of its corners.
    """
    taken = [(x - 7, y - 7, x + 7, y + 7) for x, y in centres]
    places: list[tuple[float, float, str] | None] = []
    for (x, y), label in zip(centres, labels, strict=True):
        width = len(label) * LETTER
        place = None
        for dx, dy, anchor in CHOICES:
            left = x + dx - {"start": 0, "end": width, "middle": width / 2}[anchor]
            box = (left, y + dy - LINE + 3, left + width, y + dy + 3)
            inside = box[0] > LEFT and box[1] > 0 and box[2] < WIDTH and box[3] < HEIGHT - BOTTOM
            if inside and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                place = (x + dx, y + dy, anchor)
                break
        places.append(place)
    return places


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _open(words: Words) -> str:
    ids = html_text(words.name)
    return (
        f'<svg class="cp-plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="group" aria-labelledby="{ids}-t"'
        f' aria-describedby="{ids}-d"><title id="{ids}-t">{html_text(words.title)}</title>'
        f'<desc id="{ids}-d">{html_text(words.description)}</desc>'
    )


def _grid(xs: Axis, ys: Axis, words: Words) -> Iterator[str]:
    middle_x, middle_y = _number((LEFT + WIDTH - RIGHT) / 2), _number((TOP + HEIGHT - BOTTOM) / 2)
    yield '<g class="cp-grid" aria-hidden="true">'
    for tick in ys.ticks():
        y = ys.at(tick)
        yield f'<path d="M{LEFT} {_number(y)}H{WIDTH - RIGHT}"/>'
        yield f'<text class="cp-y" x="{LEFT - 8}" y="{_number(y + 4)}">{ys.text(tick)}</text>'
    for tick in xs.ticks():
        yield f'<text x="{_number(xs.at(tick))}" y="{HEIGHT - BOTTOM + 18}">{xs.text(tick)}</text>'
    yield f'<text x="{middle_x}" y="{HEIGHT - 6}">{html_text(words.x)}</text>'
    yield f'<text transform="translate(13 {middle_y}) rotate(-90)">{html_text(words.y)}</text></g>'


def _mark(mark: Mark, centre: tuple[float, float], place: tuple[float, float, str] | None) -> str:
    x, y = (_number(value) for value in centre)
    kind = f"{'own' if mark.own else 'other'} cp-{'filled' if mark.measured else 'hollow'}"
    text = ""
    if place:
        anchor = "" if place[2] == "start" else f' text-anchor="{place[2]}"'
        dx, dy = place[0] - centre[0], place[1] - centre[1]  # as everywhere: pages are sent compressed
        text = f'<text x="{_number(dx)}" y="{_number(dy)}"{anchor}>{html_text(mark.label)}</text>'
    return (
        f'<a class="cp-mark cp-{kind}" href="#{html_text(mark.link)}" transform="translate({x} {y})">'
        f'<title>{html_text(mark.says)}</title><circle r="{6 if mark.own else 5}"/>{text}</a>'
    )


def _path(points: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{_number(x)} {_number(y)}" for x, y in points)


def _number(value: float) -> str:
    """Write a coordinate to the nearest unit, which is less than a pixel on most screens."""
    return f"{value:.0f}"

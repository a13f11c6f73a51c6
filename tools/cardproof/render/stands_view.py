"""What templates see of a comparison: its plots, and the rows of its table."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from cardproof.frozen import dataclass
from cardproof.render.plot import Mark, Words, front, scatter
from cardproof.render.slugs import slug
from cardproof.render.views import UNITS, short_count

if TYPE_CHECKING:
    from cardproof.card_report import Row
    from cardproof.render.standing import Stands
    from cardproof.words import Verdict


@dataclass(frozen=True, slots=True)
class StandsRow:
    """One model of a comparison."""

    name: str
    anchor: str
    """Of the row."""
    link: str
    """From the page to the model, as Markdown has it."""
    own: bool
    multiply_adds: str
    parameters: str
    score: str
    verdict: Verdict
    """On the accuracy."""


@dataclass(frozen=True, slots=True)
class StandsView:
    """A comparison in words and pictures."""

    dataset: str
    by_multiply_adds: str
    """SVG."""
    by_parameters: str
    """SVG."""
    rows: tuple[StandsRow, ...]
    """Best accuracy first."""
    measured: int
    """How many of the accuracies were measured here."""


def stands_view(stands: Stands, page: Path) -> StandsView:
    """Put a comparison into the words of a page."""
    rows = sorted(stands.rows, key=lambda row: (-stands.score(row).value, row.name))
    return StandsView(
        stands.dataset,
        _plot(stands, "multiply-adds"),
        _plot(stands, "parameters"),
        tuple(_row(row, stands, page) for row in rows),
        sum(_is_measured(stands.score(row).verdict) for row in rows),
    )


def _row(row: Row, stands: Stands, page: Path) -> StandsRow:
    own = row in stands.own
    link = "" if own else Path(os.path.relpath(row.page, page.parent)).as_posix()
    score = stands.score(row)
    return StandsRow(
        row.name,
        _anchor(row),
        f"{link}#{row.anchor}",
        own,
        " ".join(short_count(row.multiply_adds or 0)),
        " ".join(short_count(row.parameters or 0)),
        f"{score.value:.2f}",
        score.verdict,
    )


def _anchor(row: Row) -> str:
    return f"stands-{slug(row.name)}"


def _is_measured(verdict: Verdict) -> bool:
    return verdict in ("confirmed", "refuted")


def _plot(stands: Stands, count: str) -> str:
    """Draw accuracy against one of the two counts."""
    numbers = [(row.multiply_adds if count == "multiply-adds" else row.parameters) or 0 for row in stands.rows]
    scale, unit = next(((10**power, unit) for power, unit in UNITS if max(numbers) >= 10**power), (1, ""))
    marks = []
    for row, number in zip(stands.rows, numbers, strict=True):
        score = stands.score(row)
        x = number / scale
        says = f"{row.name}: {score.value:.2f}% ({score.verdict}) with {' '.join(short_count(number))} {count}"
        own, measured = row in stands.own, _is_measured(score.verdict)
        marks.append(Mark(x, score.value, row.name, says, _anchor(row), own, measured))
    best = front([(mark.x, mark.y) for mark in marks])
    names = [mark.label for point in best for mark in marks if (mark.x, mark.y) == point]
    words = Words(
        f"stands-{count}",
        f"Top-1 accuracy on {stands.dataset} against {count}",
        f"{len(marks)} models. No other model shown beats, in both numbers: {', '.join(names)}. "
        "The table below has all values.",
        f"{count.capitalize()}{f', {unit}' if unit else ''} (less is better)",
        "Top-1, %",
    )
    return scatter(marks, words)

"""What templates see of a comparison: its plots, and the rows of its table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from cardproof.render.output.paths import relative
from cardproof.render.output.text import slug
from cardproof.render.views.claims import UNITS, short_count
from cardproof.render.views.comparison import LEAST
from cardproof.render.views.plot import Mark, Words, front, scatter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cardproof.core.types import Verdict
    from cardproof.judge.card_report import ModelRow
    from cardproof.measure.speeds import Conditions
    from cardproof.render.views.comparison import Comparison

TIME = "milliseconds per image"


class ComparisonRow(Struct, frozen=True):
    """One model of a comparison."""

    name: str
    anchor: str
    """Of the row."""
    link: str
    """From the page to the model, as Markdown has it."""
    own: bool
    multiply_adds: str
    parameters: str
    milliseconds: str
    """For one image; empty if that was not measured."""
    score: str
    verdict: Verdict
    """On the accuracy."""


class ComparisonView(Struct, frozen=True):
    """A comparison in words and pictures."""

    dataset: str
    by_multiply_adds: str
    """SVG."""
    by_parameters: str
    """SVG."""
    by_time: str
    """SVG; empty if too few models were timed."""
    timed: str
    """How the times were measured; empty if there are none."""
    rows: tuple[ComparisonRow, ...]
    """Best accuracy first."""
    measured: int
    """How many of the accuracies were measured here."""


def comparison_view(stands: Comparison, page: Path, conditions: Conditions | None = None) -> ComparisonView:
    """Put a comparison into the words of a page; ``conditions`` are those of the speeds."""
    timed = [row for row in stands.rows if row.milliseconds]
    rows = sorted(stands.rows, key=lambda row: (-stands.score(row).value, row.name))
    return ComparisonView(
        stands.dataset,
        _plot(stands, stands.rows, "multiply-adds"),
        _plot(stands, stands.rows, "parameters"),
        _plot(stands, timed, TIME) if len(timed) >= LEAST else "",
        _conditions_text(conditions) if conditions and timed else "",
        tuple(_row(row, stands, page) for row in rows),
        sum(_is_measured(stands.score(row).verdict) for row in rows),
    )


def _row(row: ModelRow, stands: Comparison, page: Path) -> ComparisonRow:
    own = row in stands.own
    link = "" if own else relative(row.page, page.parent)
    score = stands.score(row)
    return ComparisonRow(
        row.name,
        _anchor(row),
        f"{link}#{row.anchor}",
        own,
        " ".join(short_count(row.multiply_adds or 0)),
        " ".join(short_count(row.parameters or 0)),
        f"{row.milliseconds:.3g}" if row.milliseconds else "",
        f"{score.value:.2f}",
        score.verdict,
    )


def _anchor(row: ModelRow) -> str:
    return f"stands-{slug(row.name)}"


def _is_measured(verdict: Verdict) -> bool:
    return verdict in ("confirmed", "refuted")


def _conditions_text(conditions: Conditions) -> str:
    """Say how times were measured."""
    threads = f"{conditions.threads} thread{'s' if conditions.threads != 1 else ''}"
    where = (
        f"on one {conditions.processor}" if conditions.device == "cuda" else f"with {threads} of {conditions.processor}"
    )
    return f"{where}, torch {conditions.torch} in {conditions.precision}, {conditions.batch} images at a time"


def _plot(stands: Comparison, rows: Sequence[ModelRow], what: str) -> str:
    """Draw accuracy against one of the two counts, or against time."""
    numbers = [_number(row, what) for row in rows]
    units = () if what == TIME else UNITS
    scale, unit = next(((10**power, unit) for power, unit in units if max(numbers) >= 10**power), (1, ""))
    marks = []
    for row, number in zip(rows, numbers, strict=True):
        score = stands.score(row)
        amount = f"in {number:.3g} {what}" if what == TIME else f"with {' '.join(short_count(int(number)))} {what}"
        says = f"{row.name}: {score.value:.2f}% ({score.verdict}) {amount}"
        own, measured = row in stands.own, _is_measured(score.verdict)
        marks.append(Mark(number / scale, score.value, row.name, says, _anchor(row), own, measured))
    best = front([(mark.x, mark.y) for mark in marks])
    names = [mark.label for point in best for mark in marks if (mark.x, mark.y) == point]
    words = Words(
        f"stands-{what.partition(' ')[0]}",
        f"Top-1 accuracy on {stands.dataset} against {what}",
        f"{len(marks)} models. No other model shown beats, in both numbers: {', '.join(names)}. "
        "The table below has all values.",
        f"{what.capitalize()}{f', {unit}' if unit else ''} (less is better)",
        "Top-1, %",
    )
    return scatter(marks, words)


def _number(row: ModelRow, what: str) -> float:
    found = {"multiply-adds": row.multiply_adds, "parameters": row.parameters, TIME: row.milliseconds}[what]
    return found or 0

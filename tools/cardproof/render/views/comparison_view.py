"""A comparison for templates: its plots, and the rows of its table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from cardproof.core.numbers import UNITS, short_text
from cardproof.core.types import SHOWN_VERDICTS
from cardproof.render.output.paths import relative
from cardproof.render.output.text import page_link, slug
from cardproof.render.views.comparison import LEAST_MODELS, Comparison, count_verdict
from cardproof.render.views.evidence import dataset_name
from cardproof.render.views.svg import SHAPES, Mark, PlotText, pareto_front, scatter, shape_of

if TYPE_CHECKING:
    from cardproof.core.types import ShownVerdict
    from cardproof.judge.card_report import ModelRow
    from cardproof.measure.speeds import Conditions

TIME = "milliseconds per image"


class ComparisonRow(Struct, frozen=True):
    """One model of a comparison."""

    name: str
    anchor: str
    """Of the row."""
    link: str
    """From the page to the model, relative."""
    own: bool
    multiply_adds: str
    parameters: str
    milliseconds: str
    """For one image; empty if not measured."""
    score: str
    verdict: ShownVerdict
    """Of the claim about the accuracy."""
    marks: tuple[ShownVerdict | None, ShownVerdict | None]
    """Of the claims about multiply-adds and parameters; None if the card has none."""


class ComparisonView(Struct, frozen=True):
    """A comparison as texts and plots."""

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
    """Number of accuracies that were measured here."""
    marks: tuple[ShownVerdict, ...]
    """All verdicts in the table."""
    is_unmarked: bool
    """Whether the table has numbers without a verdict, which no card states."""
    legend: tuple[tuple[str, str], ...]
    """The marks that occur in the plots, and what they mean."""


def comparison_view(comparison: Comparison, page: Path, conditions: Conditions | None = None) -> ComparisonView:
    """Return the view of a comparison; ``conditions`` are those of the measured times."""
    timed = [row for row in comparison.rows if row.milliseconds]
    rows = sorted(comparison.rows, key=lambda row: (-comparison.score(row).value, row.name))
    table = tuple(_row(row, comparison, page) for row in rows)
    marks = {verdict for row in table for verdict in (row.verdict, *row.marks)}
    shapes = {shape_of(comparison.score(row).verdict) for row in rows}
    return ComparisonView(
        comparison.dataset,
        _plot(comparison, comparison.rows, "multiply-adds"),
        _plot(comparison, comparison.rows, "parameters"),
        _plot(comparison, timed, TIME) if len(timed) >= LEAST_MODELS else "",
        conditions_text(conditions) if conditions and timed else "",
        table,
        sum(comparison.score(row).verdict in ("confirmed", "refuted") for row in rows),
        tuple(verdict for verdict in SHOWN_VERDICTS if verdict in marks),
        bool(timed) or None in marks,
        tuple(SHAPES[shape] for shape in SHAPES if shape in shapes),
    )


def _row(row: ModelRow, comparison: Comparison, page: Path) -> ComparisonRow:
    own = row in comparison.own
    link = "" if own else relative(row.page, page.parent)
    score = comparison.score(row)
    return ComparisonRow(
        row.name,
        _anchor(row),
        page_link(link, row.anchor),
        own,
        short_text(row.multiply_adds or 0),
        short_text(row.parameters or 0),
        f"{row.milliseconds:.3g}" if row.milliseconds else "",
        f"{score.value:.2f}",
        score.verdict,
        (count_verdict(row, "flops"), count_verdict(row, "parameters")),
    )


def _anchor(row: ModelRow) -> str:
    return f"stands-{slug(row.name)}"


def conditions_text(conditions: Conditions) -> str:
    """Return where and how speeds were measured, in words."""
    threads = f"{conditions.threads} thread{'s' if conditions.threads != 1 else ''}"
    where = (
        f"on one {conditions.processor}" if conditions.device == "cuda" else f"with {threads} of {conditions.processor}"
    )
    return f"{where}, {conditions.computed_by} in {conditions.precision}, {conditions.batch} images at a time"


def _plot(comparison: Comparison, rows: Sequence[ModelRow], quantity: str) -> str:
    """Plot accuracy against one of the two counts, or against time."""
    name = quantity.partition(" ")[0]
    numbers = [getattr(row, name.replace("-", "_")) or 0 for row in rows]
    units = () if quantity == TIME else UNITS
    scale, unit = next(((10**power, unit) for power, unit in units if max(numbers) >= 10**power), (1, ""))
    marks = []
    for row, number in zip(rows, numbers, strict=True):
        score = comparison.score(row)
        amount = f"in {number:.3g}" if quantity == TIME else f"with {short_text(int(number))}"
        description = f"{row.name}: {score.value:.2f}% ({score.verdict}) {amount} {quantity}"
        own = row in comparison.own
        marks.append(Mark(number / scale, score.value, row.name, description, _anchor(row), own, score.verdict))
    best = pareto_front([(mark.x, mark.y) for mark in marks])
    leaders = [mark.label for point in best for mark in marks if (mark.x, mark.y) == point]
    words = PlotText(
        f"stands-{name}",
        f"Top-1 accuracy on {dataset_name(comparison.dataset)} against {quantity}",
        f"{len(marks)} models. No other model shown beats, in both numbers: {', '.join(leaders)}. "
        "The table below has all values.",
        f"{quantity.capitalize()}{f', {unit}' if unit else ''} (less is better)",
        ("Top-1, %",),
    )
    return scatter(marks, words)

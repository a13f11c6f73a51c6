"""Functions for templates that list models of the site: a Markdown table, the compare page, and cards of families."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup
from msgspec import Struct

from cardproof.core.field_names import kind_of
from cardproof.core.types import Verdict
from cardproof.render.catalog.model_summary import (
    ModelSummary,
    Quantity,
    SummarizedRow,
    read_model_summary,
    sorted_models,
)
from cardproof.render.output.paths import Urls, relative
from cardproof.render.output.text import code_text, html_text, page_link
from cardproof.render.templates import CallError, render_layout

if TYPE_CHECKING:
    from cardproof.judge.card_report import ModelRow

COLUMNS = ("Parameters", "FLOPs", "Image Size", "Top 1 Accuracy", "Top 5 Accuracy")
"""Default columns of a table, and of the variants of a page if a model has them."""

HEADS = {
    "image size": "Image size",
    "training data": "Training data",
    "top 1 accuracy": "Top-1 accuracy",
    "top 5 accuracy": "Top-5 accuracy",
}
"""Kind of a field -> head of its column, as the compare page has it."""

MOST_ROWS = 1000
"""Models in the table; the page reads more from models.json. A page of a thousand has 1 MB."""

MOST_COLUMNS = 24
"""Columns of the compare page, those that most models have first."""


MOST_TABLE_COLUMNS = 100
"""Columns that a template may ask for."""


class Family(Struct, frozen=True):
    """The card of a collection of models."""

    name: str
    address: str
    rows: tuple[ModelRow, ...]
    tasks: tuple[str, ...]
    facts: tuple[tuple[str, tuple[Quantity, ...]], ...]
    """Label, and the ends of the range of a count, or the best result."""
    verdicts: Counter[str]
    first: dict[Verdict, str]
    """Refuted or disputed -> address of the first claim with this verdict."""


def model_table(all_models: Callable[[], Sequence[ModelRow]], here: Path) -> Callable[..., str]:
    """Return the function ``model_table`` of templates for a page at ``here``."""

    def table(collection: str | None = None, columns: Sequence[str] = COLUMNS) -> str:
        """Return a table of the models of a collection, or of all. Raises CallError if it would be empty."""
        models, columns = all_models(), tuple(map(str, columns if isinstance(columns, list | tuple) else [columns]))
        if not 0 < len(columns) <= MOST_TABLE_COLUMNS:
            raise CallError(f"a table has 1 to {MOST_TABLE_COLUMNS} columns, not {len(columns):,}")
        rows = [row for row in models if collection is None or collection in row.collections]
        if not rows:
            names = sorted({name for row in models for name in row.collections})
            raise CallError(f"no model is in collection '{collection}'{_suggestion(str(collection or ''), names)}")
        for column in columns:
            if not any(column in row.values for row in rows):
                names = sorted({name for row in models for name in row.values})
                raise CallError(f"column '{column}' exists in no model{_suggestion(column, names)}")
        return render_layout(
            "models.md",
            rows=rows,
            columns=columns,
            head=partial(_column_head, rows),
            code=code_text,
            link=lambda row: page_link(relative(row.page, here.parent), row.anchor),
            marked=_is_marked,
            shown={row.marks[column] for row in rows for column in columns if _is_marked(row, column)},
        )

    return table


def _column_head(rows: Sequence[ModelRow], column: str) -> str:
    """Return the head of a column: the name of the field, in the same words on all pages."""
    kind = kind_of(column)
    if kind != "flops":
        return HEADS.get(kind, column)
    listing = next((row.listing for row in rows if row.listing), "")
    found = read_model_summary(listing).quantity("operations") if listing else None
    return found.label if found else "Multiply-adds"


def _is_marked(row: ModelRow, column: str) -> bool:
    """Return whether a cell has a number with a verdict."""
    return column in row.marks and row.values.get(column, "")[:1].isdigit()


def _suggestion(name: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, names, 3)
    if close:
        return f" (did you mean {' or '.join(repr(other) for other in sorted(close))}?)"
    return f"; there is {', '.join(names)}" if names else ""


def compare_table(
    all_models: Callable[[], Sequence[ModelRow]], here: Path, urls: Urls, catalog: Path | None
) -> Callable[[], str]:
    """Return the function ``compare_table`` of templates, for a page at ``here``."""

    def table() -> str:
        """Return a table of all models and numbers, which the page's script sorts, filters and plots."""
        rows = sorted_models(all_models())
        columns = _columns(summary for _, summary in rows)
        results = [column.key for column in columns if column.better == "more"][:2]
        return render_layout(
            "compare.html",
            rows=rows[:MOST_ROWS],
            total=len(rows),
            columns=columns,
            shown={"multiply-adds", "operations", "parameters", "image-size", *results},
            verdicts={quantity.shown for _, summary in rows for quantity in summary.quantities},
            breakable=_breakable_name,
            models=urls.between(catalog / "models.json", here) if catalog else None,
            root=urls.between(urls.root / "index.md", here),
            urls=urls,
            here=here,
        )

    return table


def family_cards(all_models: Callable[[], Sequence[ModelRow]], here: Path, urls: Urls) -> Callable[[], str]:
    """Return the function ``family_cards`` of templates, for a page at ``here``."""

    def cards() -> str:
        """Return a card for each family of models: its size, its best result, and its verdicts."""
        families: dict[str, list[SummarizedRow]] = {}
        for row, summary in sorted_models(all_models()):
            for name in row.collections or ("Other models",):
                families.setdefault(name, []).append((row, summary))
        views = [_family(name, rows, here, urls) for name, rows in families.items()]
        return render_layout("families.html", families=views, urls=urls, here=here)

    return cards


def _breakable_name(name: str) -> Markup:
    """Return a model's name as HTML that may be broken behind an underscore, and nowhere else."""
    return Markup(html_text(name).replace("_", "_<wbr>"))  # nosec B704  # escaped


def _columns(summaries: Iterable[ModelSummary]) -> list[Quantity]:
    """Return an example of each kind of quantity, those that most models have first."""
    count: Counter[str] = Counter()
    first: dict[str, Quantity] = {}
    for summary in summaries:
        for quantity in summary.quantities:
            count[quantity.key] += 1
            first.setdefault(quantity.key, quantity)
    return sorted(first.values(), key=lambda quantity: -count[quantity.key])[:MOST_COLUMNS]


def _family(name: str, models: Sequence[SummarizedRow], here: Path, urls: Urls) -> Family:
    rows = tuple(row for row, _ in models)
    is_one_page = len(rows) > 1 and len({row.page for row in rows}) == 1
    verdicts: Counter[str] = Counter()
    first: dict[Verdict, str] = {}
    for row, summary in models:
        verdicts.update(summary.shown)
        for verdict, anchor in row.first.items():
            first.setdefault(verdict, urls.between(row.page, here, anchor))
    return Family(
        name,
        urls.between(rows[0].page, here, "" if is_one_page else rows[0].anchor),
        rows,
        tuple(dict.fromkeys(task for _, summary in models for task in summary.tasks)),
        tuple(_family_facts([summary for _, summary in models])),
        verdicts,
        first,
    )


def _family_facts(summaries: Sequence[ModelSummary]) -> Iterable[tuple[str, tuple[Quantity, ...]]]:
    """Yield the range of the counts, and the best value of the result that most models have."""
    columns = _columns(summaries)
    for key in ("parameters", "multiply-adds"):
        found = [quantity for summary in summaries if (quantity := summary.quantity(key))]
        if found:
            ends = [choose(found, key=lambda quantity: quantity.value) for choose in (min, max)]
            yield found[0].label, tuple({quantity.text: quantity for quantity in ends}.values())
    result = next((column for column in columns if column.better == "more"), None)
    if result:
        best = max((q for summary in summaries if (q := summary.quantity(result.key))), key=lambda q: q.value)
        yield result.label if len(summaries) == 1 else f"Best {result.label[0].lower()}{result.label[1:]}", (best,)

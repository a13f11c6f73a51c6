"""Lists of all models as HTML: the table of the compare page, and the families of an index.

Both are whole without JavaScript. What cards say is escaped; no line begins with text of theirs, so that Markdown
finds nothing to convert.
"""

from __future__ import annotations

from collections import Counter
from html import escape
from typing import TYPE_CHECKING

from cardproof.core.types import VERDICTS
from cardproof.render.catalog.model_summary import ModelSummary, Quantity, short, summary_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from cardproof.judge.card_report import ModelRow
    from cardproof.render.output.paths import Urls

MOST_ROWS = 1000
"""Models in the table itself; of more, the page reads the rest from models.json. A page of a thousand has 1 MB."""

MOST_COLUMNS = 24
"""Numbers that get a column; those that most models have come first."""

LEGEND = (
    '<p class="cp-compare__legend">✓ confirmed: measured, and as stated · ” cited: equal to a named source · '
    "≠ disputed: sources differ · ✗ refuted: measured, and not as stated · – unchecked · "
    "no mark: measured, and not claimed</p>"
)

Listed = tuple["ModelRow", ModelSummary]


def compare_table(
    rows: Callable[[], Sequence[ModelRow]], here: Path, urls: Urls, catalog: Path | None
) -> Callable[..., str]:
    """Return the function ``compare_table`` of templates, for a page at ``here``."""

    def table() -> str:
        """Return a table of all models with all their numbers, which the page's script sorts, filters and plots."""
        listed = _listed(rows())
        columns = _columns(listing for _, listing in listed)
        shown = _shown(columns)
        head = "".join(_head(quantity, quantity.key in shown) for quantity in columns)
        body = [_row(row, listing, columns, here, urls) for row, listing in listed[:MOST_ROWS]]
        data = f' data-models="{escape(urls.between(catalog / "models.json", here))}"' if catalog else ""
        root = f' data-root="{escape(urls.between(urls.root / "index.md", here))}"'
        more = len(listed) - len(body)
        note = (
            f'<p class="cp-compare__more">{more} more models are in models.json and models.csv.</p>\n' if more else ""
        )
        return (
            f'<div class="cp-compare" data-total="{len(listed)}"{data}{root}>\n'
            '<div class="cp-compare__scroll" tabindex="0" role="region" aria-label="All models">\n'
            f'<table class="cp-list">\n<thead><tr><th data-key="name" data-shown scope="col">Model</th>'
            f'<th data-key="families" data-shown scope="col">Family</th>{head}'
            '<th data-key="datasets" scope="col">Data sets</th><th data-key="tasks" scope="col">Task</th>'
            '<th data-key="licence" scope="col">Licence</th><th data-key="verdicts" data-shown scope="col">Claims</th>'
            "</tr></thead>\n<tbody>\n" + "\n".join(body) + f"\n</tbody>\n</table>\n</div>\n{LEGEND}\n{note}</div>"
        )

    return table


def family_cards(rows: Callable[[], Sequence[ModelRow]], here: Path, urls: Urls) -> Callable[..., str]:
    """Return the function ``family_cards`` of templates, for a page at ``here``."""

    def cards() -> str:
        """Return a card for each family of models: its size, its best result, and what became of its claims."""
        families: dict[str, list[Listed]] = {}
        for row, listing in _listed(rows()):
            for name in row.collections or ("Other models",):
                families.setdefault(name, []).append((row, listing))
        found = [_family(name, listed, here, urls) for name, listed in families.items()]
        return '<div class="cp-families">\n' + "\n".join(found) + "\n</div>"

    return cards


def verdict_bar(verdicts: Counter[str]) -> str:
    """Return a bar of verdicts with its words: the parts are told by text, not by colour alone."""
    present = [(verdict, verdicts[verdict]) for verdict in VERDICTS if verdicts[verdict]]
    words = ", ".join(f"{number} {verdict}" for verdict, number in present)
    parts = "".join(f'<i class="cp-{verdict}" style="flex:{number}"></i>' for verdict, number in present)
    return f'<span class="cp-bar" role="img" aria-label="{words}">{parts}</span>'


def _listed(rows: Iterable[ModelRow]) -> list[Listed]:
    return [(row, summary_of(row.listing)) for row in sorted(rows, key=_by_family) if row.listing]


def _by_family(row: ModelRow) -> tuple[list[str], str]:
    return [name.casefold() for name in row.collections], row.name


def _columns(listings: Iterable[ModelSummary]) -> list[Quantity]:
    """Return one number of each kind that models have, those of most models first."""
    count: Counter[str] = Counter()
    first: dict[str, Quantity] = {}
    for listing in listings:
        for quantity in listing.quantities:
            count[quantity.key] += 1
            first.setdefault(quantity.key, quantity)
    order = list(first)
    keys = sorted(first, key=lambda key: (-count[key], order.index(key)))[:MOST_COLUMNS]
    return [first[key] for key in keys]


def _shown(columns: Sequence[Quantity]) -> set[str]:
    """Return the numbers that are shown unless a reader chooses others: the counts, and the two usual results."""
    results = [column.key for column in columns if column.better == "more"][:2]
    return {"multiply-adds", "operations", "parameters", "image-size", *results}


def _head(quantity: Quantity, shown: bool) -> str:
    shows = " data-shown" if shown else ""
    better = f' data-better="{quantity.better}"' if quantity.better else ""
    return f'<th data-key="{escape(quantity.key)}"{better}{shows} data-number scope="col">{_text(quantity.label)}</th>'


def _row(row: ModelRow, listing: ModelSummary, columns: Sequence[Quantity], here: Path, urls: Urls) -> str:
    cells = "".join(_number(listing.quantity(column.key)) for column in columns)
    texts = "".join(f"<td>{_text('; '.join(texts))}</td>" for texts in (listing.datasets, listing.tasks))
    verdicts = " ".join(
        f'<span class="cp-pill cp-{verdict}" data-verdict="{verdict}" data-count="{number}">{number} {verdict}</span>'
        for verdict, number in listing.verdicts.items()
    )
    return (
        f'<tr><th scope="row">{_link(row, here, urls)}</th>'
        f"<td>{_text('; '.join(row.collections))}</td>{cells}{texts}<td>{_text(listing.licence)}</td>"
        f"<td>{verdicts}</td></tr>"
    )


def _link(row: ModelRow, here: Path, urls: Urls) -> str:
    return f'<a href="{escape(urls.between(row.page, here, row.anchor))}"><code>{_text(row.name)}</code></a>'


def _number(quantity: Quantity | None) -> str:
    if quantity is None:
        return "<td></td>"
    verdict = f' data-verdict="{quantity.verdict}" title="{quantity.verdict}"' if quantity.verdict else ""
    stated = f'<small class="cp-refuted">card says {_text(quantity.stated)}</small>' if quantity.stated else ""
    return f'<td data-value="{quantity.value}"{verdict}>{_text(quantity.text)}{stated}</td>'


def _family(name: str, listed: Sequence[Listed], here: Path, urls: Urls) -> str:
    row = listed[0][0]
    pages = {other.page for other, _ in listed}
    link = escape(urls.between(row.page, here, "" if len(pages) == 1 and len(listed) > 1 else row.anchor))
    verdicts: Counter[str] = Counter()
    for _, listing in listed:
        verdicts.update(listing.verdicts)
    tasks = "; ".join(dict.fromkeys(task for _, listing in listed for task in listing.tasks))
    facts = "".join(
        f"<div><dt>{_text(label)}</dt><dd>{_text(value)}</dd></div>" for label, value in _family_facts(listed)
    )
    words = " ".join(
        f'<span class="cp-pill cp-{verdict}">{verdicts[verdict]} {verdict}</span>'
        for verdict in VERDICTS
        if verdicts[verdict]
    )
    names = "".join(f"<li>{_link(other, here, urls)}</li>" for other, _ in listed[:12])
    more = f"<li>and {len(listed) - 12} more</li>" if len(listed) > 12 else ""
    models = f"{len(listed)} model{'' if len(listed) == 1 else 's'}"
    return (
        f'<section class="cp-family"><h3 class="cp-family__name"><a href="{link}">{_text(name)}</a></h3>'
        f'<p class="cp-family__what">{models}{f" · {_text(tasks)}" if tasks else ""}</p>'
        f'<dl class="cp-family__facts">{facts}</dl>{verdict_bar(verdicts)}'
        f'<p class="cp-family__verdicts">{words}</p><ul class="cp-family__models">{names}{more}</ul></section>'
    )


def _family_facts(listed: Sequence[Listed]) -> list[tuple[str, str]]:
    """Return the ranges of the counts and the best of each result that the most models have."""
    columns = _columns(listing for _, listing in listed)
    facts = []
    for key in ("parameters", "multiply-adds"):
        values = sorted(found.value for _, listing in listed if (found := listing.quantity(key)))
        if values:
            label = next(column.label for column in columns if column.key == key)
            ends = dict.fromkeys(short(value) for value in (values[0], values[-1]))
            facts.append((label, " to ".join(ends)))
    result = next((column for column in columns if column.better == "more"), None)
    if result:
        best = max((q for _, listing in listed if (q := listing.quantity(result.key))), key=lambda q: q.value)
        facts.append((result.label, best.text if len(listed) == 1 else f"up to {best.text}"))
    return facts


def _text(text: str) -> str:
    """Return a text as HTML on one line."""
    return escape(" ".join(text.split()))

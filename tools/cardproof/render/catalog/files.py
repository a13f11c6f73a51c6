"""The catalog: files about all models of a site, for other programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import to_builtins

from cardproof.core.json import strict_json
from cardproof.core.types import VERDICTS
from cardproof.judge.card_report import CardReport, ModelRow
from cardproof.render.catalog.badges import MARK
from cardproof.render.catalog.model_files import is_model_record, model_folder, model_schema
from cardproof.render.catalog.model_summary import ModelSummary, Quantity, SummarizedRow, index_text, sorted_models
from cardproof.render.templates import render_layout

if TYPE_CHECKING:
    from cardproof.core.settings import Settings
    from cardproof.render.output.paths import Folders, Urls

SCHEMA = "cardproof-models/1"
MADE = "# Made by cardproof from the cards of this site; edit those."
CSV_HEAD = ("model", "page", "families", "tasks", "datasets", "licence", "claims", *VERDICTS)
"""The first columns, before the numbers."""
LLMS_MARK = "<!-- cardproof: made from the cards of this site -->"

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""Spreadsheets run a cell with such a start as a formula."""


def site_files(settings: Settings, folders: Folders, urls: Urls, reports: Mapping[str, CardReport]) -> dict[Path, str]:
    """Return the files about all models of a site, by path; ``reports`` are those of all its cards."""
    assert settings.catalog
    catalog = settings.path(settings.catalog)
    models = sorted_models(row for report in reports.values() for row in report.rows)
    return {
        catalog / "models.json": _json(settings, folders, urls, models),
        catalog / "models.csv": _csv(urls, models),
        catalog / "model-index.yml": _index(models),
        catalog / "model.schema.json": strict_json(model_schema(), indent=2) + "\n",
        urls.root / "llms.txt": _llms(settings, urls, models),
    }


def is_catalog_file(text: str) -> bool:
    """Return whether a text is a generated file of a catalog, which may be overwritten or removed."""
    return (
        is_model_record(text)
        or MARK in text[:200]
        or text.startswith((f'{{"schema": "{SCHEMA.rpartition("/")[0]}/', MADE, ",".join(CSV_HEAD)))
        or LLMS_MARK in text
        or '"const": "cardproof-model/' in text
    )


def _json(settings: Settings, folders: Folders, urls: Urls, models: Sequence[SummarizedRow]) -> str:
    """Return models.json, with one line per model for short diffs."""
    lines = [strict_json(_entry(settings, folders, urls, row, summary)) for row, summary in models]
    head = {"schema": SCHEMA, "site": settings.site.name, "url": settings.site.url or None}
    return strict_json(head)[:-1] + ', "models": [\n' + ",\n".join(lines) + "\n]}\n"


def _entry(settings: Settings, folders: Folders, urls: Urls, row: ModelRow, summary: ModelSummary) -> dict[str, Any]:
    assert settings.catalog
    folder = settings.path(settings.catalog) / "models" / model_folder(row.name)
    return {
        "name": row.name,
        "page": urls.of(row.page, row.anchor),
        "record": urls.of(folder / "model.json"),
        "evidence": urls.of(folders.evidence / summary.evidence) if summary.evidence else None,
        "families": list(row.collections),
        "tasks": list(summary.tasks),
        "datasets": list(summary.datasets),
        "licence": summary.licence,
        "verdicts": summary.verdicts,
        **({"generated": summary.generated} if summary.generated else {}),
        "quantities": {quantity.key: _quantity(quantity) for quantity in summary.quantities},
    }


def _quantity(quantity: Quantity) -> dict[str, Any]:
    found: dict[str, Any] = to_builtins(quantity)
    del found["key"]
    return {name: value for name, value in found.items() if value or name != "stated"}


def _csv(urls: Urls, models: Sequence[SummarizedRow]) -> str:
    keys = list(dict.fromkeys(quantity.key for _, summary in models for quantity in summary.quantities))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*CSV_HEAD, *keys])
    for row, summary in models:
        found = {quantity.key: quantity.value for quantity in summary.quantities}
        writer.writerow(
            [
                *map(_csv_text, (row.name, urls.of(row.page, row.anchor))),
                *(_csv_text("; ".join(texts)) for texts in (row.collections, summary.tasks, summary.datasets)),
                _csv_text(summary.licence),
                summary.claims,
                *(summary.verdicts.get(verdict, 0) for verdict in VERDICTS),
                *(found.get(key, "") for key in keys),
            ]
        )
    return text.getvalue()


def _csv_text(text: str) -> str:
    """Quote a text that spreadsheets would run as a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _index(models: Sequence[SummarizedRow]) -> str:
    """Return the site's model index: the collections, then the entries of all models."""
    names = sorted({name for row, _ in models for name in row.collections})
    collections = index_text([{"Name": name} for name in names])
    entries = "".join(summary.index for _, summary in models)
    return f"{MADE}\nType: model-index\nCollections:\n{collections}Models:\n{entries}"


def _llms(settings: Settings, urls: Urls, models: Sequence[SummarizedRow]) -> str:
    catalog = settings.path(settings.catalog or Path())

    def address(name: str) -> str:
        return urls.full(urls.of(catalog / name))

    text = render_layout(
        "llms.txt",
        site=settings.site,
        models=[(row, _facts(summary)) for row, summary in models],
        plain=_plain,
        address=address,
        page=lambda row: urls.full(urls.of(row.page, row.anchor)),
        record=lambda row: address(f"models/{model_folder(row.name)}/model.json"),
    )
    return text + "\n"


def _facts(summary: ModelSummary) -> list[str]:
    numbers = [f"{quantity.label} {quantity.text}" for quantity in summary.quantities[:6]]
    return numbers + [f"{number} {verdict}" for verdict, number in summary.shown.items()]


def _plain(text: str) -> str:
    """Return a text on one line, without links and HTML of Markdown."""
    return " ".join(text.split()).translate({ord(c): f"\\{c}" for c in "[]<>`\\"})

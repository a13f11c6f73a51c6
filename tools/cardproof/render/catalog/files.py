"""The catalog: files about all models of a site, for other programs. Made only if a listing changed."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cardproof.core.types import VERDICTS
from cardproof.judge.card_report import CardReport, ModelRow
from cardproof.render.catalog.badges import MARK
from cardproof.render.catalog.model_records import is_model_record, model_folder, model_schema
from cardproof.render.catalog.model_summary import ModelSummary, summary_of

if TYPE_CHECKING:
    from cardproof.core.settings import Settings
    from cardproof.render.output.folders import Folders
    from cardproof.render.output.urls import Urls

SCHEMA = "cardproof-models/1"
MADE = "# Made by cardproof from the cards of this site; edit those."
CSV_HEAD = ("model", "page", "families", "tasks", "datasets", "licence", "claims", *VERDICTS)
"""Columns before those of the numbers."""
LLMS_MARK = "<!-- cardproof: made from the cards of this site -->"

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Spreadsheets run a cell that starts so."""


def site_files(settings: Settings, folders: Folders, urls: Urls, reports: Mapping[str, CardReport]) -> dict[Path, str]:
    """Return the files about all models of a site, by path; ``reports`` are those of all its cards."""
    assert settings.catalog
    catalog = settings.path(settings.catalog)
    listed = list(_listed(reports.values()))
    return {
        catalog / "models.json": _json(settings, folders, urls, listed),
        catalog / "models.csv": _csv(urls, listed),
        catalog / "model-index.yml": _index(listed, reports),
        catalog / "model.schema.json": json.dumps(model_schema(), indent=2, ensure_ascii=False) + "\n",
        urls.root / "llms.txt": _llms(settings, urls, listed),
    }


def is_ours(text: str) -> bool:
    """Return whether a file's text looks like a file of a catalog, so that it may be written over or removed."""
    return (
        is_model_record(text)
        or MARK in text[:200]
        or text.startswith((f'{{"schema": "{SCHEMA.rpartition("/")[0]}/', MADE, ",".join(CSV_HEAD)))
        or LLMS_MARK in text
        or '"const": "cardproof-model/' in text
    )


def _listed(reports: Iterable[CardReport]) -> Iterator[tuple[ModelRow, ModelSummary]]:
    """Yield all models by family and name, which is no one's order but that of a reader."""
    rows = [row for report in reports for row in report.rows]
    for row in sorted(rows, key=lambda row: ([name.casefold() for name in row.collections], row.name)):
        yield row, summary_of(row.listing)


def _json(settings: Settings, folders: Folders, urls: Urls, listed: Sequence[tuple[ModelRow, ModelSummary]]) -> str:
    """Return models.json: one line for each model, so that a change is one line of a diff."""
    lines = [json.dumps(_entry(settings, folders, urls, row, listing), ensure_ascii=False) for row, listing in listed]
    head = {"schema": SCHEMA, "site": settings.site.name, "url": settings.site.url or None}
    return json.dumps(head, ensure_ascii=False)[:-1] + ', "models": [\n' + ",\n".join(lines) + "\n]}\n"


def _entry(settings: Settings, folders: Folders, urls: Urls, row: ModelRow, listing: ModelSummary) -> dict[str, Any]:
    assert settings.catalog
    folder = settings.path(settings.catalog) / "models" / model_folder(row.name)
    return {
        "name": row.name,
        "page": urls.of(row.page, row.anchor),
        "record": urls.of(folder / "model.json"),
        "evidence": urls.of(folders.evidence / listing.evidence) if listing.evidence else None,
        "families": list(row.collections),
        "tasks": list(listing.tasks),
        "datasets": list(listing.datasets),
        "licence": listing.licence,
        "verdicts": listing.verdicts,
        "quantities": {
            quantity.key: {
                "label": quantity.label,
                "value": quantity.value,
                "text": quantity.text,
                "better": quantity.better,
                "verdict": quantity.verdict,
                **({"stated": quantity.stated} if quantity.stated else {}),
            }
            for quantity in listing.quantities
        },
    }


def _csv(urls: Urls, listed: Sequence[tuple[ModelRow, ModelSummary]]) -> str:
    keys = list(dict.fromkeys(quantity.key for _, listing in listed for quantity in listing.quantities))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*CSV_HEAD, *keys])
    for row, listing in listed:
        found = {quantity.key: quantity.value for quantity in listing.quantities}
        writer.writerow(
            [
                *map(csv_text, (row.name, urls.of(row.page, row.anchor))),
                *(csv_text("; ".join(texts)) for texts in (row.collections, listing.tasks, listing.datasets)),
                csv_text(listing.licence),
                listing.claims,
                *(listing.verdicts.get(verdict, 0) for verdict in VERDICTS),
                *(found.get(key, "") for key in keys),
            ]
        )
    return text.getvalue()


def csv_text(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _index(listed: Sequence[tuple[ModelRow, ModelSummary]], reports: Mapping[str, CardReport]) -> str:
    """Return the site's model index: collections, then the entries of all models, which are YAML already."""
    entries: dict[str, str] = {}
    for report in reports.values():
        entries |= report.full().index
    names = sorted({name for row, _ in listed for name in row.collections})
    collections = index_text([{"Name": name} for name in names])
    models = "".join(entries.get(row.name, "") for row, _ in listed)
    return f"{MADE}\nType: model-index\nCollections:\n{collections}Models:\n{models}"


def index_text(entries: list[dict[str, Any]]) -> str:
    """Return entries of a model index as YAML."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    found: str = yaml.dump(entries, Dumper=dumper, sort_keys=False, allow_unicode=True, width=1000)
    return found


def _llms(settings: Settings, urls: Urls, listed: Sequence[tuple[ModelRow, ModelSummary]]) -> str:
    """Return llms.txt: what the site is and where each model is described, for readers with little room."""
    catalog = settings.path(settings.catalog or Path())
    lines = [f"# {_plain(settings.site.name)}", ""]
    if settings.site.description:
        lines += [f"> {_plain(settings.site.description)}", ""]
    lines += [
        "Numbers of a model are measured in the build of this site where its claims are confirmed or refuted; cited "
        "means equal to a named source, disputed that sources differ, unchecked that there was nothing to check with.",
        "",
        "## Data",
        "",
        *(
            f"- [{name}]({urls.full(urls.of(catalog / name))}): {what}"
            for name, what in (
                ("models.json", "all models with their numbers and verdicts"),
                ("models.csv", "the same as a table"),
                ("model-index.yml", "the same as a model index"),
                ("model.schema.json", "JSON Schema of each model's own record"),
            )
        ),
    ]
    family: str | None = None
    for row, listing in listed:
        name = ", ".join(row.collections) or "Other models"
        if name != family:
            family = name
            lines += ["", f"## {_plain(name)}", ""]
        record = urls.full(urls.of(catalog / "models" / model_folder(row.name) / "model.json"))
        facts = [*(f"{q.label} {q.text}" for q in listing.quantities[:6])]
        facts += [f"{number} {verdict}" for verdict, number in listing.verdicts.items()]
        page = urls.full(urls.of(row.page, row.anchor))
        lines.append(f"- [{_plain(row.name)}]({page}): {_plain(', '.join(facts))} ([record]({record}))")
    return "\n".join([*lines, "", LLMS_MARK, ""])


def _plain(text: str) -> str:
    """Return a text on one line in which Markdown finds neither a link nor HTML."""
    return " ".join(text.split()).translate({ord(c): f"\\{c}" for c in "[]<>`\\"})

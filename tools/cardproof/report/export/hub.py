"""A README for the Hugging Face Hub: its YAML header with the results that hold, and what was found as text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from cardproof.core.field_names import TASKS, normal_field
from cardproof.core.numbers import parse_number
from cardproof.core.yaml import Scalar, Sequence
from cardproof.judge.checks.data_sets import TRAINING_DATA, common_name
from cardproof.judge.checks.results import points
from cardproof.read.cited_results import metric_key
from cardproof.render.output.text import code_text, markdown_text
from cardproof.render.views.about import read_paper
from cardproof.render.views.cite import bibtex

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from cardproof.core.types import Verdict
    from cardproof.read import Model
    from cardproof.read.cited_results import CitedSource

HELD: tuple[Verdict, ...] = ("confirmed", "cited")
"""Verdicts of results that are written unless others are asked for."""
TASK = "image-classification"
METRIC_TYPES = {"top 1 accuracy": "accuracy", "top 5 accuracy": "accuracy"}
LICENCES = frozenset(
    {
        "apache-2.0", "mit", "bsd", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0",
        "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0", "gpl-3.0", "lgpl-3.0", "agpl-3.0", "mpl-2.0", "unknown",
        "other",
    }
)  # fmt: skip
"""What the Hub takes for a licence; another one is ``other``, with its name."""
LIBRARIES = ("timm", "transformers")
"""Zoos that the Hub knows as libraries."""


def readme(
    model: Model,
    rows: Iterable[Mapping[str, Any]],
    zoo: str | None,
    cited: tuple[CitedSource, ...],
    verdicts: Collection[Verdict] = HELD,
) -> str:
    """Return the README of one model; ``rows`` are its claims as a report has them.

    Results are written with the verdicts that are asked for; of a refuted one what was measured is written.
    """
    rows = list(rows)
    header = _header(model, rows, zoo, cited, verdicts)
    text = yaml.dump(header, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000) if header else ""
    parts = [f"---\n{text}---\n", f"# {markdown_text(model.name)}\n"]
    if rows:
        parts.append(_table(rows))
    paper = read_paper(model)
    if paper and paper.title:
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", bibtex(paper))), default=0))
        parts.append(f"## Citation\n\n{fence}bibtex\n{bibtex(paper)}\n{fence}\n")
    return "\n".join(parts)


class _Dumper(yaml.SafeDumper):
    """Writes what stands twice twice: the Hub's reader knows no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        """Return whether a value is written out where it occurs again."""
        return True


def _header(
    model: Model,
    rows: list[Mapping[str, Any]],
    zoo: str | None,
    cited: tuple[CitedSource, ...],
    verdicts: Collection[Verdict],
) -> dict[str, Any]:
    """Return the header; a field of which nothing is known is left out, and no value is null."""
    found: dict[str, Any] = _licence(model)
    if zoo in LIBRARIES:
        found["library_name"] = zoo
    tasks = {_slug(str(row["stated"])) for row in rows if not row["metric"] and normal_field(row["field"]) in TASKS}
    if TASK in tasks:
        found["pipeline_tag"] = TASK
    if data := _texts(rows, TRAINING_DATA):
        found["datasets"] = [_dataset(name) for name in data]
    if results := _results(rows, cited, verdicts):
        found["model-index"] = [{"name": model.name, "results": results}]
    return found


def _results(
    rows: Iterable[Mapping[str, Any]], cited: tuple[CitedSource, ...], verdicts: Collection[Verdict]
) -> list[dict[str, Any]]:
    """Return results by task, data set and source; a metric of no data set is none for the Hub."""
    groups: dict[tuple[str, str, str, str], list[dict[str, Any]]] = {}
    for row in rows:
        if not row["metric"] or not row["dataset"] or row["verdict"] not in verdicts:
            continue
        value = _value(row)
        if value is None:
            continue
        title, url = _source(row, cited)
        key = (str(row["task"] or "Image Classification"), str(row["dataset"]), title, url)
        kind = METRIC_TYPES.get(metric_key(str(row["field"])), _slug(str(row["field"])))
        groups.setdefault(key, []).append({"type": kind, "name": str(row["field"]), "value": value})
    results = []
    for (task, dataset, title, url), metrics in groups.items():
        result: dict[str, Any] = {
            "task": {"type": _slug(task), "name": task},
            "dataset": {"type": _dataset(dataset), "name": dataset},
            "metrics": metrics,
        }
        if url:
            result["source"] = {"name": title, "url": url}
        results.append(result)
    return results


def _value(row: Mapping[str, Any]) -> float | str | None:
    """Return a metric's value: a number where it is one, an accuracy in percent; measured where the claim is wrong."""
    if row["verdict"] == "refuted":
        found: float | str | None = row["found"]
        return found
    stated = str(row["stated"]).strip()
    number = points(stated) if "accuracy" in metric_key(str(row["field"])) else parse_number(stated)
    if number is None:
        return stated or None
    value = float(number.value)
    return value if number.unit in ("", "%") and abs(value) < 1e15 else stated


def _source(row: Mapping[str, Any], cited: tuple[CitedSource, ...]) -> tuple[str, str]:
    """Return title and address of the source of a cited value."""
    if row["verdict"] != "cited":
        return "", ""
    for source in cited:
        value = source.value(str(row["model"]), str(row["dataset"]), str(row["field"]))
        if value is not None and float(value.value) == row["found"] and source.url.startswith(("http://", "https://")):
            return source.title, source.url
    return "", ""


def _licence(model: Model) -> dict[str, Any]:
    for fields in (model.fields, model.metadata):
        for key in ("License", "Licence"):
            node = fields.get(key) if fields else None
            first = node.items[0] if isinstance(node, Sequence) and node.items else node
            if isinstance(first, Scalar) and isinstance(first.value, str) and first.text.strip():
                return _as_hub_licence(first.text.strip())
    return {}


def _as_hub_licence(text: str) -> dict[str, Any]:
    if text.lower() in LICENCES:
        return {"license": text.lower()}
    link = {"license_link": text} if re.fullmatch(r"https?://\S+", text) else {}
    return {"license": "other", "license_name": _slug(text)[:80] or "other", **link}


def _texts(rows: Iterable[Mapping[str, Any]], fields: Collection[str]) -> list[str]:
    found = (str(row["stated"]) for row in rows if not row["metric"] and normal_field(row["field"]) in fields)
    return list(dict.fromkeys(found))


def _dataset(name: str) -> str:
    """Return a data set as the Hub's addresses have it."""
    return _slug(common_name(name) or name) or "other"


def _slug(text: str) -> str:
    return re.sub(r"[^\w.]+", "-", text.lower()).strip("-.")


def _table(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the claims with their verdicts as a table of Markdown."""
    lines = ["## What the card states\n", "| Claim | Stated | Found | Verdict |", "| :--- | :--- | :--- | :--- |"]
    for row in rows:
        field = str(row["field"]) + (f" on {row['dataset']}" if row["dataset"] else "")
        found = row["found"]
        shown = "" if found is None else f"{found:,}" if isinstance(found, int) else str(found)
        cells = (markdown_text(field), code_text(row["stated"]), markdown_text(shown), row["verdict"])
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])

"""A README for the Hugging Face Hub: a YAML header with the results that hold, and a table of all claims."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any

import yaml

from cardproof.core.names import ACCURACIES
from cardproof.core.types import Judgement, Verdict
from cardproof.core.yaml import Scalar, Sequence
from cardproof.judge.checks.data_sets import common_name
from cardproof.judge.checks.results import points
from cardproof.read import Model
from cardproof.read.cited_results import CitedSource
from cardproof.render.output.text import code_text, markdown_text
from cardproof.render.views.about import read_paper
from cardproof.render.views.cite import bibtex
from cardproof.report.export.model_index import Dumper

HELD: tuple[Verdict, ...] = ("confirmed", "cited")
"""Verdicts of results in the header by default."""
TASK = "image-classification"
LICENCES = frozenset(
    {
        "apache-2.0", "mit", "bsd", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0",
        "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0", "gpl-3.0", "lgpl-3.0", "agpl-3.0", "mpl-2.0", "unknown",
        "other",
    }
)  # fmt: skip
"""Licences that the Hub accepts; another one is ``other``, with its name."""
LIBRARIES = ("timm", "transformers")
"""Zoos that are libraries for the Hub."""


def readme(
    model: Model,
    judgements: Collection[Judgement],
    zoo: str | None,
    cited: tuple[CitedSource, ...],
    verdicts: Collection[Verdict] = HELD,
) -> str:
    """Return the README of one model, with its results of some verdicts; a refuted one has the measured value."""
    header = _header(model, judgements, zoo, cited, verdicts)
    text = yaml.dump(header, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=1000) if header else ""
    parts = [f"---\n{text}---\n", f"# {markdown_text(model.name)}\n"]
    if judgements:
        parts.append(_table(judgements))
    paper = read_paper(model)
    if paper and paper.title:
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", bibtex(paper))), default=0))
        parts.append(f"## Citation\n\n{fence}bibtex\n{bibtex(paper)}\n{fence}\n")
    return "\n".join(parts)


def _header(
    model: Model,
    judgements: Collection[Judgement],
    zoo: str | None,
    cited: tuple[CitedSource, ...],
    verdicts: Collection[Verdict],
) -> dict[str, Any]:
    """Return the header without empty fields."""
    found: dict[str, Any] = _licence(model)
    if zoo in LIBRARIES:
        found["library_name"] = zoo
    if TASK in map(_slug, _texts(judgements, "tasks")):
        found["pipeline_tag"] = TASK
    if data := _texts(judgements, "training data"):
        found["datasets"] = [_dataset(name) for name in data]
    if results := _results(judgements, cited, verdicts):
        found["model-index"] = [{"name": model.name, "results": results}]
    return found


def _results(
    judgements: Iterable[Judgement], cited: tuple[CitedSource, ...], verdicts: Collection[Verdict]
) -> list[dict[str, Any]]:
    """Return results by task, data set and source, without metrics that have no data set."""
    groups: dict[tuple[str, str, str, str], list[dict[str, Any]]] = {}
    for judgement in judgements:
        claim = judgement.claim
        if not claim.metric or not claim.dataset or judgement.verdict not in verdicts:
            continue
        if (value := _value(judgement)) is None:
            continue
        key = (claim.task or "Image Classification", claim.dataset, *_source(judgement, cited))
        kind = "accuracy" if claim.kind in ACCURACIES else _slug(claim.field)
        groups.setdefault(key, []).append({"type": kind, "name": claim.field, "value": value})
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


def _value(judgement: Judgement) -> float | str | None:
    """Return a metric's value: a number if possible, an accuracy in percent; the measured one if it was refuted."""
    if judgement.verdict == "refuted":
        return judgement.found
    stated = judgement.claim.stated.strip()
    number = points(judgement.claim) if "accuracy" in judgement.claim.kind else judgement.claim.number
    if number is None:
        return stated or None
    value = float(number.value)
    return value if number.unit in ("", "%") and abs(value) < 1e15 else stated


def _source(judgement: Judgement, cited: tuple[CitedSource, ...]) -> tuple[str, str]:
    """Return title and address of the source of a cited value."""
    claim = judgement.claim
    for source in cited if judgement.verdict == "cited" else ():
        value = source.value(claim.model, claim.dataset or "", claim.kind)
        if value and float(value.value) == judgement.found and source.url.startswith(("http://", "https://")):
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


def _texts(judgements: Iterable[Judgement], kind: str) -> list[str]:
    """Return the stated texts of fields of a kind."""
    claims = (judgement.claim for judgement in judgements)
    return list(dict.fromkeys(claim.stated for claim in claims if claim.kind == kind and claim.is_field))


def _dataset(name: str) -> str:
    """Return a data set as in the Hub's addresses."""
    return _slug(common_name(name) or name) or "other"


def _slug(text: str) -> str:
    return re.sub(r"[^\w.]+", "-", text.lower()).strip("-.")


def _table(judgements: Iterable[Judgement]) -> str:
    """Return the claims with their verdicts as a table of Markdown."""
    lines = ["## What the card states\n", "| Claim | Stated | Found | Verdict |", "| :--- | :--- | :--- | :--- |"]
    for judgement in judgements:
        claim, found = judgement.claim, judgement.found
        shown = "" if found is None else f"{found:,}" if isinstance(found, int) else str(found)
        cells = (markdown_text(claim.label), code_text(claim.stated), markdown_text(shown), judgement.verdict)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])

"""A README for the Hugging Face Hub: a YAML header with the results that hold, and a table of all claims."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from collections.abc import Mapping as MappingOf
from types import MappingProxyType
from typing import Any

from cardproof.core.field_names import ACCURACIES
from cardproof.core.secrets import masked
from cardproof.core.types import Judgement, Place, Verdict
from cardproof.core.yaml import Mapping, Node, Scalar, Sequence, to_yaml
from cardproof.judge.checks.data_sets import common_name
from cardproof.judge.checks.results import percentage_points
from cardproof.read import Model
from cardproof.read.cited_results import CitedSource
from cardproof.read.hub_header import LISTS, TEXTS, licence_id
from cardproof.render.output.text import code_text, markdown_text
from cardproof.render.views.paper_and_licence import bibtex, read_paper

HELD: tuple[Verdict, ...] = ("confirmed", "cited")
"""Verdicts of results in the header by default."""
TASK = "image-classification"
LIBRARIES = ("timm", "transformers")
"""Zoos that are libraries for the Hub."""


def readme(model: Model, judgements: Collection[Judgement], header: dict[str, Any]) -> str:
    """Return the README of one model: its header, its claims, and what it asks to cite."""
    text = to_yaml(header) if header else ""
    parts = [f"---\n{text}---\n", f"# {markdown_text(model.name)}\n"]
    if judgements:
        parts.append(_table(judgements))
    paper = read_paper(model)
    if paper and paper.title:
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", bibtex(paper))), default=0))
        parts.append(f"## Citation\n\n{fence}bibtex\n{bibtex(paper)}\n{fence}\n")
    return "\n".join(parts)


def hub_header(
    model: Model,
    judgements: Collection[Judgement],
    zoo: str | None,
    cited: tuple[CitedSource, ...],
    verdicts: Collection[Verdict] = HELD,
    card: Mapping | None = None,
) -> dict[str, Any]:
    """Return the header of a README, with the results of some verdicts; a refuted one has the measured value.

    ``card`` is the header of its card if that is for the Hub: its fields are kept, and its results unless refuted.
    """
    found: dict[str, Any] = {key.text: _accepted_value(key.text, node) for key, node in card or ()}
    found = {key: node for key, node in found.items() if node is not None}
    found.pop("model-index", None)
    if isinstance(node := found.get("license"), Scalar):
        found |= _as_hub_licence(node.text.strip(), found)
    elif "license" not in found:
        found |= _licence(model)
    if zoo in LIBRARIES:
        found.setdefault("library_name", zoo)
    if TASK in map(_slug, _texts(judgements, "tasks")):
        found.setdefault("pipeline_tag", TASK)
    if data := _texts(judgements, "training data"):
        found.setdefault("datasets", [_dataset(name) for name in data])
    kept, places = _kept_results(model, judgements, verdicts)
    others = [judgement for judgement in judgements if judgement.claim.place not in places]
    if results := kept + _results(others, cited, verdicts):
        found["model-index"] = [{"name": model.name, "results": results}]
    return found


def _kept_results(
    model: Model, judgements: Iterable[Judgement], verdicts: Collection[Verdict]
) -> tuple[list[dict[str, Any]], set[Place]]:
    """Return the results that the card states in the Hub's own form, and the places of their values.

    They have all their parts, without refuted metrics.
    """
    by_place = {judgement.claim.place: judgement for judgement in judgements if judgement.claim.metric}
    kept: list[dict[str, Any]] = []
    places: set[Place] = set()
    node = model.fields.get("Results")
    for result in node.items if isinstance(node, Sequence) else ():
        if not isinstance(result, Mapping) or not isinstance(result.get("dataset"), Mapping):
            continue
        given = result.get("metrics")
        metrics: list[Node | dict[str, Any]] = []
        for metric in given.items if isinstance(given, Sequence) else ():
            value = metric.get("value") if isinstance(metric, Mapping) else None
            judgement = by_place.get(value.place) if isinstance(value, Scalar) else None
            if judgement is None or not isinstance(metric, Mapping) or not _has_values(metric, "type", "value"):
                continue
            places.add(judgement.claim.place)
            if judgement.verdict != "refuted":
                metrics.append(metric)
            elif "refuted" in verdicts:
                metrics.append({**{key.text: node for key, node in metric}, "value": _measured_value(judgement)})
        if metrics:
            kept.append(_complete_result(result, metrics))
    return kept, places


def _complete_result(result: Mapping, metrics: list[Node | dict[str, Any]]) -> dict[str, Any]:
    """Return a result with the parts that the Hub requires, and without a source that it refuses."""
    parts: dict[str, Any] = {key.text: node for key, node in result if not _is_empty(node)}
    for name, required in (("task", ("type",)), ("dataset", ("type", "name"))):
        node = parts.get(name)
        stated: dict[str, Any] = {}
        if isinstance(node, Mapping):
            stated = {key.text: value for key, value in node if not _is_empty(value)}
        known = next((value.text for value in stated.values() if isinstance(value, Scalar)), TASK)
        for key in required:
            stated.setdefault(key, known if key == "name" else _slug(known) or "other")
        parts[name] = stated
    source = parts.get("source")
    if not isinstance(source, Mapping) or not _has_values(source, "url"):
        parts.pop("source", None)
    return {**parts, "metrics": metrics}


def _measured_value(judgement: Judgement) -> Any:
    """Return the measured value of a refuted metric, as a fraction if the card states one."""
    found, number = judgement.found, judgement.claim.number
    in_percent = percentage_points(judgement.claim) if "accuracy" in judgement.claim.kind else None
    if isinstance(found, int | float) and number and in_percent and number.value < in_percent.value:
        return found / 100
    return found


def _accepted_value(field: str, node: Node) -> Node | list[str] | None:
    """Return the value of a header's field without what the Hub refuses: null, empty entries, numbers for text."""
    items = [item for item in (node.items if isinstance(node, Sequence) else [node]) if not _is_empty(item)]
    if not items:
        return None
    if field in (*LISTS, *TEXTS) and not all(
        isinstance(item, Scalar) and isinstance(item.value, str) for item in items
    ):
        return [item.text for item in items if isinstance(item, Scalar)] or None
    if field == "tags" and isinstance(node, Scalar):
        return [node.text]
    return Sequence(node.source, node.start, node.end, items) if isinstance(node, Sequence) else node


def _has_values(mapping: Mapping, *keys: str) -> bool:
    """Return whether a mapping has a value for each of some keys."""
    nodes = [mapping.get(key) for key in keys]
    return all(isinstance(node, Scalar) and not _is_empty(node) for node in nodes)


def _is_empty(node: Node) -> bool:
    return isinstance(node, Scalar) and (node.value is None or not node.text.strip())


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
    number = percentage_points(judgement.claim) if "accuracy" in judgement.claim.kind else judgement.claim.number
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


def _as_hub_licence(text: str, header: MappingOf[str, Any] = MappingProxyType({})) -> dict[str, Any]:
    """Return a licence by the Hub's identifier; another one as ``other``, with its name and link."""
    if identifier := licence_id(text):
        return {"license": identifier}
    found = {"license": "other", "license_name": _slug(text)[:80] or "other"}
    if re.fullmatch(r"https?://\S+", text):
        found["license_link"] = text
    return {key: value for key, value in found.items() if key == "license" or key not in header}


def _texts(judgements: Iterable[Judgement], kind: str) -> list[str]:
    claims = (judgement.claim for judgement in judgements)
    return list(dict.fromkeys(masked(claim.stated) for claim in claims if claim.kind == kind and claim.is_field))


def _dataset(name: str) -> str:
    """Return a data set as in the Hub's addresses."""
    return _slug(common_name(name) or name) or "other"


def _slug(text: str) -> str:
    return re.sub(r"[^\w.]+", "-", text.lower()).strip("-.")


def _table(judgements: Iterable[Judgement]) -> str:
    lines = ["## What the card states\n", "| Claim | Stated | Found | Verdict |", "| :--- | :--- | :--- | :--- |"]
    for judgement in judgements:
        claim, found = judgement.claim, judgement.found
        shown = "" if found is None else f"{found:,}" if isinstance(found, int) else str(found)
        cells = (markdown_text(claim.label), code_text(masked(claim.stated)), markdown_text(masked(shown)))
        lines.append(f"| {' | '.join((*cells, judgement.verdict))} |")
    return "\n".join([*lines, ""])

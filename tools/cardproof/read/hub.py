"""Cards for the Hugging Face Hub: the ``model-index`` of their header, and results kept in ``.eval_results``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cardproof.core.source import Source
from cardproof.core.types import Finding
from cardproof.core.yaml import Mapping, Node, Scalar, Sequence
from cardproof.read.model_index import Model, Result

LISTS = ("language", "datasets", "metrics", "tags", "base_model")
"""Fields that the Hub accepts as one text or as a list of texts."""


def as_index(node: Node) -> Mapping:
    """Return the ``model-index`` of a header as a model index; the keys of the two formats differ in case only."""
    key = Scalar(node.source, node.start, node.start, "Models", "Models", "")
    return Mapping(node.source, node.start, node.end, {"models": (key, node)})


def check_results(index: Node) -> Iterator[Finding]:
    """Report results that the Hub refuses: each needs a task and a data set, and metrics their type and value."""
    for entry in index.items if isinstance(index, Sequence) else [index]:
        results = entry.get("results") if isinstance(entry, Mapping) else None
        for number, result in enumerate(results.items if isinstance(results, Sequence) else [], 1):
            if not isinstance(result, Mapping):
                continue
            place = result.place
            for field, keys in (("task", ("type",)), ("dataset", ("name", "type"))):
                node = result.get(field)
                has = [key for key in keys if isinstance(node, Mapping) and _is_text(node.get(key))]
                if missing := [key for key in keys if key not in has]:
                    what = f"has no {field}" if node is None else f"has a {field} without {' and '.join(missing)}"
                    needed = f"{' and '.join(keys)} {'is' if len(keys) == 1 else 'are'} required"
                    message = f"result {number} {what} ({needed}): the Hub refuses the card"
                    yield Finding(place, "hub-result", "error", message, f"add {field}: with {' and '.join(keys)}")
            metrics = result.get("metrics")
            for metric in metrics.items if isinstance(metrics, Sequence) else []:
                if not isinstance(metric, Mapping) or not _is_text(metric.get("type")) or metric.get("value") is None:
                    message = f"a metric of result {number} has no type or no value: the Hub refuses the card"
                    yield Finding(metric.place, "hub-result", "error", message)


def header_facts(header: Mapping) -> dict[str, Any]:
    """Return a header as plain data, with a list in place of one text wherever the Hub accepts both."""
    facts = header.plain()
    for key in list(facts):
        if key.lower() in LISTS and facts[key] is not None and not isinstance(facts[key], list):
            facts[key] = [facts[key]]
    return facts


def _is_text(node: Node | None) -> bool:
    return isinstance(node, Scalar) and node.value is not None and bool(node.text.strip())


def model_of_results(root: Node, source: Source) -> tuple[tuple[Model, ...], list[Finding]]:
    """Return the model with the results of one file, and findings; its name is that of the repository's folder."""
    findings: list[Finding] = []
    results = []
    for entry in root.items if isinstance(root, Sequence) else [root]:
        try:
            results.append(_result(entry))
        except ValueError as error:
            findings.append(Finding(entry.place, "hub-result", "error", str(error)))
    if not results:
        return (), findings
    name = source.path.resolve().parent.parent.name
    return (Model(name, results[0].place, (), Mapping(source, 0, 0, {}), tuple(results), "evaluations"),), findings


def _result(entry: Node) -> Result:
    """Return one result. Raises ValueError if the Hub would refuse it."""
    dataset = entry.get("dataset") if isinstance(entry, Mapping) else None
    value = entry.get("value") if isinstance(entry, Mapping) else None
    identifier, task = (dataset.get(key) if isinstance(dataset, Mapping) else None for key in ("id", "task_id"))
    if not isinstance(identifier, Scalar) or not isinstance(identifier.value, str):
        raise ValueError("a result needs dataset: with the id of a data set of the Hub")
    if not isinstance(task, Scalar) or task.value is None:
        raise ValueError("a result needs dataset: with the task_id of what was measured")
    if not isinstance(value, Scalar) or value.value is None:
        raise ValueError("a result needs a value")
    return Result(entry.place, None, identifier.text, ((task, value),), identifier.place)

"""Cards for the Hugging Face Hub: their header as data, and results kept in ``.eval_results``."""

from __future__ import annotations

from typing import Any

from cardproof.core.source import Source
from cardproof.core.types import Finding
from cardproof.core.yaml import Mapping, Node, Scalar, Sequence
from cardproof.read.hub_header import LISTS
from cardproof.read.models import Model, Result


def header_facts(header: Mapping) -> dict[str, Any]:
    """Return a header as plain data, with a list in place of one text wherever the Hub accepts both."""
    facts = header.plain()
    for key in list(facts):
        if key.lower() in LISTS and facts[key] is not None and not isinstance(facts[key], list):
            facts[key] = [facts[key]]
    return facts


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

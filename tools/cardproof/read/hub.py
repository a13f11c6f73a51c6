"""Cards for the Hugging Face Hub: what it refuses or drops in a header, and results in ``.eval_results``."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any

from cardproof.core.source import Source
from cardproof.core.types import Finding, Severity
from cardproof.core.yaml import Mapping, Node, Scalar, Sequence, items_of, read_yaml
from cardproof.read.hub_ids import LICENCES, RELATIONS, TASKS, licence_id, near
from cardproof.read.models import Model, Result

LISTS = ("language", "datasets", "metrics", "tags", "base_model")
"""Fields that the Hub accepts as one text or as a list of texts."""
_OF_THE_HUB = ("model-index", "pipeline_tag", "library_name", "base_model")
"""Fields that only headers for the Hub have."""
TEXTS = ("license", "library_name", "pipeline_tag", "base_model_relation", "license_name", "license_link")
"""Fields that are one text."""
_OPENED = re.compile(r"(?P<blank>\s*)---[ \t]*\r?\n(?=[A-Za-z_][\w-]*:(?:\s|$))")
_CLOSED_OTHERWISE = re.compile(r"^\.\.\.[ \t]*\r?$", re.MULTILINE)
"""As in YAML; MkDocs and pandoc end a header there."""
_BLANK = re.compile(r"^[ \t]*\r?$", re.MULTILINE)
_FIELD_NAME = re.compile(r"[a-z][\w-]*")
_OTHERWISE = {
    "license": "write 'license: other' with license_name and license_link",
    "base_model_relation": f"it knows: {', '.join(RELATIONS)}",
}
"""What to write if no identifier is near."""
_REPOSITORY = re.compile(r"[\w.-]+(/[\w.-]+)?")


def as_index(node: Node) -> Mapping:
    """Return the ``model-index`` of a header as a model index; the keys of the two formats differ in case only."""
    key = Scalar(node.source, node.start, node.start, "Models", "Models", "")
    return Mapping(node.source, node.start, node.end, {"models": (key, node)})


def is_for_hub(header: Node | None, source: Source) -> bool:
    """Return whether a header is for the Hub: that of a README.md, or one with a field that only the Hub knows."""
    if source.path.name.lower() == "readme.md":
        return header is not None
    return isinstance(header, Mapping) and any(header.get(key) is not None for key in _OF_THE_HUB)


def check_closed(source: Source) -> Iterator[Finding]:
    """Report fields below a first line ``---`` that no second one closes: the Hub, and others, take them for text.

    A first line ``---`` may also be a rule across the page; so all lines up to the next blank one have to be YAML, with
    a field that headers for the Hub have, or with several fields that are written as in a header.
    """
    match = _OPENED.match(source.text)
    if match is None or _CLOSED_OTHERWISE.search(source.text, match.end()):
        return
    blank = _BLANK.search(source.text, match.end())
    end = blank.start() if blank else len(source.text)
    fields, findings = read_yaml(source, match.end(), end)
    if any(finding.fatal for finding in findings) or not isinstance(fields, Mapping):
        return
    known = fields.entries.keys() & {*LISTS, *TEXTS, *_OF_THE_HUB}
    if known or (len(fields.entries) > 1 and all(_FIELD_NAME.fullmatch(key.text) for key, _ in fields)):
        place = source.place(match.end("blank"), match.end("blank") + 3)
        message = "the header is never closed: its fields are taken for text, and the Hub finds no header"
        line = source.place(max(match.end(), end - 1)).line
        yield Finding(place, "hub-header", "warning", message, f"write --- on a line of its own below line {line}")


def check_header(header: Node) -> Iterator[Finding]:
    """Report values that the Hub refuses (errors) or drops (warnings), with the nearest that it accepts."""
    if not isinstance(header, Mapping):
        message = "the header is not a mapping from field to value: the Hub refuses the card"
        yield Finding(header.place, "hub-header", "error", message, "write each field as 'name: value'")
        return
    for key in (*LISTS, *TEXTS):
        entry = header.entries.get(key)
        if entry:
            yield from _check_texts(key, *entry)
    yield from _check_ids(header, "license", LICENCES, "licence", "error")
    yield from _check_ids(header, "pipeline_tag", TASKS, "task", "warning")
    yield from _check_ids(header, "base_model_relation", RELATIONS, "relation to a base model", "error")
    for item in _scalars(header.get("base_model")):
        if item.text.strip() and not _REPOSITORY.fullmatch(item.text):
            message = f"'{item.text}' is not the identifier of a model on the Hub: it refuses the card"
            yield Finding(item.place, "hub-header", "error", message, "write it as OWNER/NAME")


def _check_texts(field: str, key: Scalar, node: Node) -> Iterator[Finding]:
    """Report a field without a value, entries of a list without one, and values that are not text."""
    if isinstance(node, Scalar) and node.value is None:
        message = f"'{field}' has no value: the Hub refuses or drops it"
        yield Finding(key.place, "hub-header", "error", message, "delete the line, or give it a value")
        return
    what = f"an entry of '{field}'" if isinstance(node, Sequence) else f"'{field}'"
    for item in items_of(node):
        if isinstance(item, Scalar) and (item.value is None or not item.text.strip()):
            message = f"{what} has no value: the Hub refuses the card"
            yield Finding(item.place, "hub-header", "error", message, "delete it, or give it a value")
        elif not isinstance(item, Scalar) or not isinstance(item.value, str):
            message = f"{what} is not text: the Hub refuses the card"
            fix = item.fix(f"'{item.text}'") if isinstance(item, Scalar) and not item.style else None
            yield Finding(item.place, "hub-header", "error", message, "write it as text, in quotes", fix)


def _check_ids(header: Mapping, field: str, known: Collection[str], what: str, severity: Severity) -> Iterator[Finding]:
    for item in _scalars(header.get(field)):
        text = item.text.strip()
        if not text or text in known:
            continue
        nearest = (licence_id(text) if field == "license" else None) or near(text, frozenset(known))
        does = "refuses the card" if severity == "error" else "drops the value"
        message = f"the Hub has no {what} '{text}': it {does}"
        hint = f"did you mean '{nearest}'?" if nearest else _OTHERWISE.get(field)
        yield Finding(item.place, "hub-header", severity, message, hint, item.fix(nearest) if nearest else None)


def _scalars(node: Node | None) -> list[Scalar]:
    """Return the values of a field that are not null."""
    items = items_of(node) if node else []
    return [item for item in items if isinstance(item, Scalar) and item.value is not None]


def check_results(index: Node) -> Iterator[Finding]:
    """Report results that the Hub refuses: each needs a task and a data set, and metrics their type and value."""
    for entry in items_of(index):
        if not isinstance(entry, Mapping):
            continue
        results = entry.get("results")
        if _is_text(entry.get("name")) and not isinstance(results, Sequence):
            yield _refused(entry, "a model of the index has no list of results", "add results:, or delete the model")
        for number, result in enumerate(results.items if isinstance(results, Sequence) else [], 1):
            if isinstance(result, Mapping):
                yield from _check_result(result, number)


def _check_result(result: Mapping, number: int) -> Iterator[Finding]:
    for field, keys in (("task", ("type",)), ("dataset", ("name", "type"))):
        node = result.get(field)
        has = [key for key in keys if isinstance(node, Mapping) and _is_text(node.get(key))]
        if missing := [key for key in keys if key not in has]:
            what = f"has no {field}" if node is None else f"has a {field} without {' and '.join(missing)}"
            needed = f"{' and '.join(keys)} {'is' if len(keys) == 1 else 'are'} required"
            yield _refused(result, f"result {number} {what} ({needed})", f"add {field}: with {' and '.join(keys)}")
    task = result.get("task")
    stated = task.get("type") if isinstance(task, Mapping) else None
    if isinstance(stated, Scalar) and stated.text not in TASKS and (nearest := near(stated.text, TASKS)):
        message = f"the Hub has no task '{stated.text}'"
        hint = f"did you mean '{nearest}'?"
        yield Finding(stated.place, "hub-header", "warning", message, hint, stated.fix(nearest))
    metrics = result.get("metrics")
    if not isinstance(metrics, Sequence):
        yield _refused(result, f"result {number} has no list of metrics", "add metrics: with type and value of each")
    for metric in metrics.items if isinstance(metrics, Sequence) else []:
        if not isinstance(metric, Mapping) or not _is_text(metric.get("type")) or _is_null(metric.get("value")):
            yield _refused(metric, f"a metric of result {number} has no type or no value", None)
    source = result.get("source")
    if source is not None and not (isinstance(source, Mapping) and _is_text(source.get("url"))):
        yield _refused(source, f"the source of result {number} has no url", "add its url:")


def _refused(node: Node, what: str, hint: str | None) -> Finding:
    return Finding(node.place, "hub-result", "error", f"{what}: the Hub refuses the card", hint)


def _is_null(node: Node | None) -> bool:
    return node is None or (isinstance(node, Scalar) and node.value is None)


def _is_text(node: Node | None) -> bool:
    return isinstance(node, Scalar) and node.value is not None and bool(node.text.strip())


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
    for entry in items_of(root):
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

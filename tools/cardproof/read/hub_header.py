"""Cards for the Hugging Face Hub: identifiers that it knows, what it refuses in a header, and ``.eval_results``."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from difflib import get_close_matches
from functools import cache
from typing import Any

from cardproof.core.source import Source
from cardproof.core.types import Finding, Severity
from cardproof.core.yaml import Mapping, Node, Scalar, Sequence, items_of, read_yaml
from cardproof.read.models import Model, Result

LICENCES = {
    "apache-2.0": "Apache license 2.0",
    "mit": "MIT",
    "openrail": "OpenRAIL license family",
    "bigscience-openrail-m": "BigScience OpenRAIL-M",
    "creativeml-openrail-m": "CreativeML OpenRAIL-M",
    "bigscience-bloom-rail-1.0": "BigScience BLOOM RAIL 1.0",
    "bigcode-openrail-m": "BigCode Open RAIL-M v1",
    "afl-3.0": "Academic Free License v3.0",
    "artistic-2.0": "Artistic license 2.0",
    "bsl-1.0": "Boost Software License 1.0",
    "bsd": "BSD license family",
    "bsd-2-clause": 'BSD 2-clause "Simplified" license',
    "bsd-3-clause": 'BSD 3-clause "New" or "Revised" license',
    "bsd-3-clause-clear": "BSD 3-clause Clear license",
    "c-uda": "Computational Use of Data Agreement",
    "cc": "Creative Commons license family",
    "cc0-1.0": "Creative Commons Zero v1.0 Universal",
    "cc-by-2.0": "Creative Commons Attribution 2.0",
    "cc-by-2.5": "Creative Commons Attribution 2.5",
    "cc-by-3.0": "Creative Commons Attribution 3.0",
    "cc-by-4.0": "Creative Commons Attribution 4.0",
    "cc-by-sa-3.0": "Creative Commons Attribution Share Alike 3.0",
    "cc-by-sa-4.0": "Creative Commons Attribution Share Alike 4.0",
    "cc-by-nc-2.0": "Creative Commons Attribution Non Commercial 2.0",
    "cc-by-nc-3.0": "Creative Commons Attribution Non Commercial 3.0",
    "cc-by-nc-4.0": "Creative Commons Attribution Non Commercial 4.0",
    "cc-by-nd-4.0": "Creative Commons Attribution No Derivatives 4.0",
    "cc-by-nc-nd-3.0": "Creative Commons Attribution Non Commercial No Derivatives 3.0",
    "cc-by-nc-nd-4.0": "Creative Commons Attribution Non Commercial No Derivatives 4.0",
    "cc-by-nc-sa-2.0": "Creative Commons Attribution Non Commercial Share Alike 2.0",
    "cc-by-nc-sa-3.0": "Creative Commons Attribution Non Commercial Share Alike 3.0",
    "cc-by-nc-sa-4.0": "Creative Commons Attribution Non Commercial Share Alike 4.0",
    "cdla-sharing-1.0": "Community Data License Agreement – Sharing, Version 1.0",
    "cdla-permissive-1.0": "Community Data License Agreement – Permissive, Version 1.0",
    "cdla-permissive-2.0": "Community Data License Agreement – Permissive, Version 2.0",
    "wtfpl": "Do What The F*ck You Want To Public License",
    "ecl-2.0": "Educational Community License v2.0",
    "epl-1.0": "Eclipse Public License 1.0",
    "epl-2.0": "Eclipse Public License 2.0",
    "etalab-2.0": "Etalab Open License 2.0",
    "eupl-1.1": "European Union Public License 1.1",
    "eupl-1.2": "European Union Public License 1.2",
    "agpl-3.0": "GNU Affero General Public License v3.0",
    "gfdl": "GNU Free Documentation License family",
    "gpl": "GNU General Public License family",
    "gpl-2.0": "GNU General Public License v2.0",
    "gpl-3.0": "GNU General Public License v3.0",
    "lgpl": "GNU Lesser General Public License family",
    "lgpl-2.1": "GNU Lesser General Public License v2.1",
    "lgpl-3.0": "GNU Lesser General Public License v3.0",
    "isc": "ISC",
    "h-research": "H Research License",
    "intel-research": "Intel Research Use License Agreement",
    "lppl-1.3c": "LaTeX Project Public License v1.3c",
    "ms-pl": "Microsoft Public License",
    "apple-ascl": "Apple Sample Code license",
    "apple-amlr": "Apple Model License for Research",
    "mpl-2.0": "Mozilla Public License 2.0",
    "odc-by": "Open Data Commons License Attribution family",
    "odbl": "Open Database License family",
    "openmdw-1.0": "Open Model, Data & Weights License Agreement",
    "openmdw-1.1": "Open Model, Data & Weights License Agreement v1.1",
    "openrail++": "Open Rail++-M License",
    "osl-3.0": "Open Software License 3.0",
    "postgresql": "PostgreSQL License",
    "ofl-1.1": "SIL Open Font License 1.1",
    "ncsa": "University of Illinois/NCSA Open Source License",
    "unlicense": "The Unlicense",
    "zlib": "zLib License",
    "pddl": "Open Data Commons Public Domain Dedication and License",
    "lgpl-lr": "Lesser General Public License For Linguistic Resources",
    "deepfloyd-if-license": "DeepFloyd IF Research License Agreement",
    "fair-noncommercial-research-license": "FAIR Noncommercial Research License",
    "llama2": "Llama 2 Community License Agreement",
    "llama3": "Llama 3 Community License Agreement",
    "llama3.1": "Llama 3.1 Community License Agreement",
    "llama3.2": "Llama 3.2 Community License Agreement",
    "llama3.3": "Llama 3.3 Community License Agreement",
    "llama4": "Llama 4 Community License Agreement",
    "grok2-community": "Grok 2 Community License Agreement",
    "gemma": "Gemma Terms of Use",
    "unknown": "Unknown",
    "other": "Other",
}
"""Identifier -> name, from docs/hub/repositories-licenses.md of github.com/huggingface/hub-docs, commit 242f4a1
(2026-08-22)."""

TASKS = frozenset(
    {
        "text-classification", "token-classification", "table-question-answering", "question-answering",
        "zero-shot-classification", "translation", "summarization", "feature-extraction", "text-generation",
        "fill-mask", "sentence-similarity", "text-to-speech", "text-to-audio", "automatic-speech-recognition",
        "audio-to-audio", "audio-classification", "audio-text-to-text", "voice-activity-detection",
        "depth-estimation", "image-classification", "object-detection", "image-segmentation", "text-to-image",
        "image-to-text", "image-to-image", "image-to-video", "unconditional-image-generation", "video-classification",
        "reinforcement-learning", "robotics", "tabular-classification", "tabular-regression", "tabular-to-text",
        "table-to-text", "multiple-choice", "text-ranking", "text-retrieval", "time-series-forecasting",
        "text-to-video", "image-text-to-text", "image-text-to-image", "image-text-to-video",
        "visual-question-answering", "document-question-answering", "zero-shot-image-classification", "graph-ml",
        "mask-generation", "zero-shot-object-detection", "text-to-3d", "image-to-3d", "image-feature-extraction",
        "video-text-to-text", "keypoint-detection", "visual-document-retrieval", "any-to-any", "video-to-video",
        "other",
    }
)  # fmt: skip
"""Values of ``pipeline_tag`` and of a task's type: PIPELINE_DATA in packages/tasks/src/pipelines.ts of
github.com/huggingface/huggingface.js, commit fe42e68 (2026-08-21)."""

RELATIONS = ("adapter", "finetune", "merge", "quantized")
"""Values of ``base_model_relation``, from docs/hub/model-cards.md of the same commit as the licences."""

_LONG = {
    "creative commons": "cc",
    "gnu affero general public": "agpl",
    "gnu lesser general public": "lgpl",
    "gnu general public": "gpl",
    "mozilla public": "mpl",
    "berkeley software distribution": "bsd",
    "attribution": "by",
    "non commercial": "nc",
    "noncommercial": "nc",
    "share alike": "sa",
    "sharealike": "sa",
    "no derivatives": "nd",
    "noderivatives": "nd",
    "noderivs": "nd",
}
_NO_MATTER = ("license", "licence", "version", "the", "gnu", "software", "foundation", "international", "family")

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
    """Report fields below a first line ``---`` that no second one closes: the Hub and others treat them as text.

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
    for item in _scalars_of_field(header.get("base_model")):
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
    for item in _scalars_of_field(header.get(field)):
        text = item.text.strip()
        if not text or text in known:
            continue
        nearest = (licence_id(text) if field == "license" else None) or nearest_word(text, frozenset(known))
        does = "refuses the card" if severity == "error" else "drops the value"
        message = f"the Hub has no {what} '{text}': it {does}"
        hint = f"did you mean '{nearest}'?" if nearest else _OTHERWISE.get(field)
        yield Finding(item.place, "hub-header", severity, message, hint, item.fix(nearest) if nearest else None)


def _scalars_of_field(node: Node | None) -> list[Scalar]:
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
            yield _refusal(entry, "a model of the index has no list of results", "add results:, or delete the model")
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
            yield _refusal(result, f"result {number} {what} ({needed})", f"add {field}: with {' and '.join(keys)}")
    task = result.get("task")
    stated = task.get("type") if isinstance(task, Mapping) else None
    if isinstance(stated, Scalar) and stated.text not in TASKS and (nearest := nearest_word(stated.text, TASKS)):
        message = f"the Hub has no task '{stated.text}'"
        hint = f"did you mean '{nearest}'?"
        yield Finding(stated.place, "hub-header", "warning", message, hint, stated.fix(nearest))
    metrics = result.get("metrics")
    if not isinstance(metrics, Sequence):
        yield _refusal(result, f"result {number} has no list of metrics", "add metrics: with type and value of each")
    for metric in metrics.items if isinstance(metrics, Sequence) else []:
        if not isinstance(metric, Mapping) or not _is_text(metric.get("type")) or _is_null(metric.get("value")):
            yield _refusal(metric, f"a metric of result {number} has no type or no value", None)
    source = result.get("source")
    if source is not None and not (isinstance(source, Mapping) and _is_text(source.get("url"))):
        yield _refusal(source, f"the source of result {number} has no url", "add its url:")


def _refusal(node: Node, what: str, hint: str | None) -> Finding:
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


def licence_id(text: str) -> str | None:
    """Return the Hub's identifier of a licence that is written as an identifier or in words; None if there is none.

    ``Apache 2.0``, ``The Apache License, Version 2.0`` and ``apache-2.0`` are one licence.
    """
    return None if len(text) > 200 else _licences().get(_plain_licence(text))


def nearest_word(text: str, words: tuple[str, ...] | frozenset[str]) -> str | None:
    """Return the word that is nearest to a misspelt one; None if none is near."""
    written = re.sub(r"[\s_]+", "-", text[:100].strip().lower())
    found = get_close_matches(written, sorted(words), 1, 0.75)
    return found[0] if found else None


@cache
def _licences() -> dict[str, str]:
    """Return the identifiers by their plain words and by those of their names."""
    found: dict[str, str] = {}
    for identifier, name in LICENCES.items():
        found.setdefault(_plain_licence(identifier), identifier)
        found.setdefault(_plain_licence(name), identifier)
    return found


def _plain_licence(text: str) -> str:
    """Return the words that identify a licence: ``Apache License, Version 2.0`` is ``apache 2``."""
    words = " ".join(re.findall(r"[a-z]+|\d+(?:\.\d+)*|\+", re.sub(r"[-_]|v(?=\d)", " ", text.lower())))
    for long, short in _LONG.items():
        words = words.replace(long, short)
    kept = [re.sub(r"(?<!\.0)(?:\.0)++$", "", word) for word in words.split() if word not in _NO_MATTER]
    return " ".join(kept)

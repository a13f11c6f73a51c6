"""Edits of a page's YAML header: each changes what it names, and the rest of the file stays byte for byte."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from collections.abc import Mapping as MappingOf
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from cardproof.core.errors import InputError, did_you_mean
from cardproof.core.files import near_file, show_path
from cardproof.core.journal import finish_interrupted, replace_sources
from cardproof.core.paths import is_regular
from cardproof.core.source import Source
from cardproof.core.yaml import Mapping, Node, Scalar, Sequence, read_yaml
from cardproof.core.yaml_text import to_yaml
from cardproof.read.index_shape import end_of
from cardproof.read.markdown import Span, find_header, opens_header

RESULT_KEYS = {
    "task": ("task", "type"),
    "task_name": ("task", "name"),
    "dataset": ("dataset", "type"),
    "dataset_name": ("dataset", "name"),
    "config": ("dataset", "config"),
    "split": ("dataset", "split"),
    "revision": ("dataset", "revision"),
    "metric": ("metric", "type"),
    "metric_name": ("metric", "name"),
    "value": ("metric", "value"),
    "source": ("source", "name"),
    "source_url": ("source", "url"),
}
"""Word of a result on the command line -> where it stands in the header."""
_REQUIRED = ("task", "dataset", "metric", "value")
_BOM = "\ufeff"


class EditError(Exception):
    """An edit that would change more than its own value; nothing was written."""


def header_of(path: Path) -> Mapping | None:
    """Return the header of a page; None if it has none. Raises InputError if it is never closed or not valid."""
    return _Header(path).fields


def set_field(path: Path, field: str, value: str) -> bool:
    """Write a value into a field of a page's header, or add the field; return whether the file changed.

    The value stays a number or boolean if the old one is of that kind; else it is text, in quotes if it needs them.
    Raises InputError if the field has several values, and EditError if it cannot be written on its line.
    """
    return _Header(path).set_field(field, value)


def add_entry(path: Path, field: str, value: str) -> bool:
    """Add a text to the list in a field of a page's header; return whether the file changed. Raises as set_field."""
    return _Header(path).add_entry(field, value)


def add_result(path: Path, words: MappingOf[str, str]) -> bool:
    """Add a metric to the results of a page's header, or replace its value; return whether the file changed.

    ``words`` are keys of RESULT_KEYS, and ``model``. Raises InputError if one is missing or unknown, and EditError if
    the results are not written one a line.
    """
    return _Header(path).add_result(words)


class _Change(NamedTuple):
    """A value at the end of some keys of a header; with ``add`` it is added to the list there."""

    keys: tuple[str | int, ...]
    value: Any
    add: bool = False

    def make(self, data: Any) -> None:
        for key in self.keys[:-1]:
            data = data[key]
        if self.add:
            data[self.keys[-1]].append(self.value)
        else:
            data[self.keys[-1]] = self.value


class _Header:
    """The header of one file."""

    def __init__(self, path: Path) -> None:
        finish_interrupted(path.parent)
        if path.exists() and not is_regular(path):
            raise InputError(f"{show_path(path)}: this is not a regular file")
        try:
            text = path.read_bytes().decode("utf-8")
        except FileNotFoundError:
            raise InputError(f"{show_path(path)}: no such file{near_file(path)}") from None
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{show_path(path)}: cannot be read: {error}") from None
        self.path = path
        self.bom = text.startswith(_BOM)
        self.text = text.removeprefix(_BOM)
        self.end = "\r\n" if "\r\n" in self.text else "\n"
        self.span, self.fields = _read(path, self.text)
        if self.span is None and opens_header(self.text):
            raise InputError(f"{show_path(path)}: the header is never closed; add a line '---' below its last field")
        if self.span is not None and self.fields is None:
            raise InputError(f"{show_path(path)}: the header is not valid YAML; 'cardproof audit' says where")

    def set_field(self, field: str, value: str) -> bool:
        node = self._field(field)
        if node is None:
            return self._append({field: value})
        if not isinstance(node, Scalar):
            raise InputError(f"{show_path(self.path)}: the field '{field}' has several values; FIELD+=VALUE adds one")
        typed = _typed(value, node.value)
        clear = bool(node.style) or not isinstance(typed, str) or _is_plain_text(typed)
        if node.value is not None and clear and _exactly(node.value, typed):
            return False
        return self._write_value(node, _Change((self._name(field),), typed))

    def add_entry(self, field: str, value: str) -> bool:
        node = self._field(field)
        if node is None:
            return self._append({field: [value]})
        name = self._name(field)
        if isinstance(node, Sequence):
            if value in node.plain():
                return False
            return self._insert(node, _Change((name,), value, add=True))
        if not isinstance(node, Scalar) or node.style in ("|", ">"):
            raise InputError(f"{show_path(self.path)}: the field '{field}' is not a list")
        if node.value == value:
            return False
        old = "" if node.value is None else f"{self.text[node.start : node.end]}, "
        texts = (self._replaced(node, f"[{old}{new}]") for new in _ways(value))
        return self._try(texts, _Change((name,), [value] if node.value is None else [node.value, value]))

    def add_result(self, words: MappingOf[str, str]) -> bool:
        if unknown := sorted(set(words) - {*RESULT_KEYS, "model"}):
            known = ("model", *RESULT_KEYS)
            hint = did_you_mean(unknown[0], known) or f"; it knows {', '.join(known)}"
            raise InputError(f"--result has no '{unknown[0]}'{hint}")
        if missing := [key for key in _REQUIRED if not words.get(key)]:
            raise InputError(f"--result needs {', '.join(missing)}: write KEY=VALUE; KEY=VALUE …")
        if words.get("source") and not words.get("source_url"):
            raise InputError("--result needs source_url in addition to source: the Hub refuses a source without it")
        parts: dict[str, dict[str, Any]] = {"task": {}, "dataset": {}, "metric": {}, "source": {}}
        for word, (part, key) in RESULT_KEYS.items():
            if word in words:
                parts[part][key] = _typed(words[word], 0.0) if word == "value" else words[word]
        parts["dataset"].setdefault("name", words["dataset"])
        metric, source = parts.pop("metric"), parts.pop("source")
        result = {**parts, "metrics": [metric], **({"source": source} if source else {})}
        index = self._field("model-index")
        if index is None:
            model = words.get("model") or self.path.resolve().parent.name
            return self._append({"model-index": [{"name": model, "results": [result]}]})
        return self._into_index(index, result, metric, words.get("model"))

    def _into_index(self, index: Node, result: dict[str, Any], metric: dict[str, Any], model: str | None) -> bool:
        """Add a result to the model of the index, or its metric to the result on the same data."""
        entries = list(enumerate(index.items if isinstance(index, Sequence) else []))
        chosen = [(at, one) for at, one in entries if model is None or _plain(one, "name") == model]
        at, entry = chosen[0] if len(chosen) == 1 else (0, index)
        if len(chosen) != 1 or not isinstance(entry, Mapping):
            raise InputError(f"{show_path(self.path)}: name one model of the header's model-index with model=NAME")
        results = entry.get("results")
        if not isinstance(results, Sequence):
            raise EditError("the model of the header has no list of results")
        keys = (self._name("model-index"), at, "results")
        for number, one in enumerate(results.items):
            metrics = one.get("metrics") if isinstance(one, Mapping) else None
            if _same_data(one.plain(), result) and isinstance(metrics, Sequence):
                return self._into_metrics(metrics, metric, (*keys, number, "metrics"))
        return self._insert(results, _Change(keys, result, add=True))

    def _into_metrics(self, metrics: Sequence, metric: dict[str, Any], keys: tuple[str | int, ...]) -> bool:
        for number, one in enumerate(metrics.items):
            plain, value = one.plain(), one.get("value") if isinstance(one, Mapping) else None
            if isinstance(plain, dict) and all(plain.get(key) == metric.get(key) for key in ("type", "name")):
                if not isinstance(value, Scalar):
                    raise EditError("the metric has no value that could be replaced")
                change = _Change((*keys, number, "value"), metric["value"])
                return not _exactly(value.value, metric["value"]) and self._write_value(value, change)
        return self._insert(metrics, _Change(keys, metric, add=True))

    def _field(self, field: str) -> Node | None:
        return self.fields.get(field) if self.fields else None

    def _name(self, field: str) -> str:
        """Return a field as the header writes it."""
        return self.fields.entries[field.lower()][0].text if self.fields else field

    def _replaced(self, node: Scalar, text: str) -> str:
        """Return the text of the file with a value replaced; one that is missing follows its colon."""
        space = " " if node.start == node.end else ""
        return self.text[: node.start] + space + text + self.text[node.end :]

    def _write_value(self, node: Scalar, change: _Change) -> bool:
        if node.style in ("|", ">") or "\n" in self.text[node.start : node.end]:
            raise EditError(f"{node.place}: this value cannot be edited on its line")
        ways = list(_ways(change.value))
        if node.style:
            ways.sort(key=lambda way: way[:1] != node.style)
        return self._try((self._replaced(node, way) for way in ways), change)

    def _append(self, fields: dict[str, Any]) -> bool:
        """Add fields at the end of the header, or a header to a file without one."""
        lines = to_yaml(fields).replace("\n", self.end)
        if self.span is None:
            text = f"---{self.end}{lines}---{self.end}{self.end if self.text.strip() else ''}{self.text}"
        else:
            text = self._with(self.span.yaml_end, lines)
        ((name, value),) = fields.items()
        return self._try([text], _Change((name,), value))

    def _with(self, position: int, text: str) -> str:
        return self.text[:position] + text + self.text[position:]

    def _insert(self, node: Sequence, change: _Change) -> bool:
        """Add an item at the end of a list: on lines of its own, or before the bracket that closes it."""
        if self.text[node.start : node.start + 1] == "[":
            before = ", " if node.items else ""
            ways = _ways(change.value) if isinstance(change.value, str) else [json.dumps(change.value)]
            return self._try((self._with(node.end - 1, before + way) for way in ways), change)
        last = end_of(node)
        end = self.text.find("\n", last) + 1 or len(self.text)
        indent = " " * (node.place.column - 1)
        lines = "".join(f"{indent}{line}{self.end}" for line in to_yaml([change.value]).splitlines())
        return self._try([self._with(end, lines)], change)

    def _try(self, texts: Iterable[str], change: _Change) -> bool:
        """Write the first of some texts that has the changed header, and all else as it was. Raises EditError."""
        wanted = deepcopy(self.fields.plain()) if self.fields else {}
        change.make(wanted)
        rest = self.text[self.span.end :] if self.span else self.text
        for text in texts:
            span, fields = _read(self.path, text)
            if fields is None or span is None or not text.endswith(rest):
                continue
            if _exactly(fields.plain(), wanted):
                replace_sources({self.path: (_BOM if self.bom else "") + text})
                return True
        raise EditError("the header cannot hold this in its layout; nothing was written")


def _read(path: Path, text: str) -> tuple[Span | None, Mapping | None]:
    """Return the header of a text. Raises InputError if it is not a mapping, or not valid."""
    source = Source(show_path(path), path, text)
    span = find_header(source)
    if span is None:
        return None, None
    tree, findings = read_yaml(source, span.yaml_start, span.yaml_end)
    if any(finding.fatal for finding in findings) or not (tree is None or isinstance(tree, Mapping)):
        return span, None
    return span, tree if tree is not None else Mapping(source, span.yaml_start, span.yaml_end, {})


def _typed(value: str, old: Any) -> Any:
    """Return a value of the command line: a number or boolean if the old one is, else text."""
    if isinstance(old, bool):
        return {"true": True, "false": False}.get(value.lower(), value)
    if isinstance(old, int | float):
        source = Source("", Path(), value)
        tree, findings = read_yaml(source)
        if not findings and isinstance(tree, Scalar) and isinstance(tree.value, int | float) and tree.text == value:
            return tree.value
    return value


def _ways(value: Any) -> Iterator[str]:
    """Yield the ways to write a value on one line, plain first."""
    if not isinstance(value, str):
        yield to_yaml(value).splitlines()[0]
        return
    if _is_plain_text(value):
        yield value
    if value.isprintable():
        yield "'" + value.replace("'", "''") + "'"
    yield json.dumps(value, ensure_ascii=False)
    yield json.dumps(value)


def _is_plain_text(value: str) -> bool:
    """Return whether readers of YAML 1.1 and 1.2 take a value without quotes for the text that it is."""
    if not value.isprintable() or value != value.strip():
        return False
    tree, findings = read_yaml(Source("", Path(), value))
    try:
        loaded = yaml.safe_load(value)
    except (yaml.YAMLError, ValueError, RecursionError):
        return False
    return loaded == value and not findings and isinstance(tree, Scalar) and tree.value == value


def _same_data(one: Any, other: dict[str, Any]) -> bool:
    """Return whether two results are about the same task and data, as the Hub compares them."""
    if not isinstance(one, dict):
        return False
    task, data = one.get("task"), one.get("dataset")
    if not isinstance(task, dict) or not isinstance(data, dict) or task.get("type") != other["task"]["type"]:
        return False
    return all(data.get(key) == other["dataset"].get(key) for key in ("type", "config", "split", "revision"))


def _exactly(one: Any, other: Any) -> bool:
    """Return whether two values are equal, types included: ``1`` is not ``1.0``, and not ``True``."""
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(_exactly(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_exactly, one, other))
    return type(one) is type(other) and one == other


def _plain(node: Node, key: str) -> Any:
    found = node.get(key) if isinstance(node, Mapping) else None
    return found.plain() if found is not None else None

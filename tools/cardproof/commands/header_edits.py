"""Edits of a page's YAML header: each changes what it names, and the rest of the file stays byte for byte."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from collections.abc import Mapping as MappingOf
from pathlib import Path
from typing import Any

import yaml

from cardproof.core.errors import InputError, did_you_mean
from cardproof.core.journal import finish_interrupted, replace_sources
from cardproof.core.paths import is_regular, show_path, suggest_file
from cardproof.core.source import Source
from cardproof.core.yaml import Mapping, Node, Scalar, Sequence, read_yaml, to_yaml
from cardproof.read.index_repair import end_of
from cardproof.read.markdown import Span, find_header, opens_header
from cardproof.read.model_index import MARKDOWN

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
"""Word of a result on the command line -> its place in the header."""
_REQUIRED = ("task", "dataset", "metric", "value")
_ENDINGS = (*MARKDOWN, ".markdown")
_BOM = "\ufeff"


class EditError(InputError):
    """An edit that would change more than its own value; nothing was written."""


class Header:
    """The YAML header of one file, empty if it has none, and its edits: :meth:`save` writes all of them.

    Raises InputError if the file is not Markdown, or its header never closed or not valid. The ``keys`` of an edit lead
    to its value.
    """

    def __init__(self, path: Path) -> None:
        finish_interrupted(path.parent)
        if path.exists() and not is_regular(path):
            raise InputError(f"{show_path(path)}: this is not a regular file")
        if path.exists() and path.suffix.lower() not in _ENDINGS:
            message = f"only Markdown has a header that can be edited: a file that ends in {', '.join(_ENDINGS)}"
            raise InputError(f"{show_path(path)}: {message}")
        try:
            text = path.read_bytes().decode("utf-8")
        except FileNotFoundError:
            raise InputError(f"{show_path(path)}: no such file{suggest_file(path)}") from None
        except UnicodeDecodeError as error:
            raise InputError(
                f"{show_path(path)}: byte {error.start + 1} is not UTF-8: save the file as UTF-8"
            ) from None
        except OSError as error:
            raise InputError(f"{show_path(path)}: cannot be read: {error.strerror}") from None
        self.path = path
        self._bom = text[:1] if text.startswith(_BOM) else ""
        self._text = self._old = text.removeprefix(_BOM)
        self._end = "\r\n" if "\r\n" in text else "\n"
        self._span, fields = _read_header(path, self._text)
        if self._span is None and opens_header(self._text):
            raise InputError(f"{show_path(path)}: the header is never closed; add a line '---' below its last field")
        if fields is None:
            raise InputError(f"{show_path(path)}: the header is not valid YAML; 'cardproof audit' says where")
        self.fields = fields

    def save(self) -> None:
        if self._text != self._old:
            replace_sources({self.path: self._bom + self._text})

    def set_field(self, field: str, value: str) -> bool:
        """Write a value into a field, or add the field; return whether the header changed.

        The value stays a number or boolean if the old one is of that kind; else it is text, in quotes if it needs them.
        Raises InputError if the field has several values, and EditError if it cannot be written on its line.
        """
        node = self.fields.get(field)
        if node is None:
            return self._append(field, value)
        if not isinstance(node, Scalar):
            message = f"the field '{field}' has several values; FIELD+=VALUE adds one"
            raise InputError(f"{show_path(self.path)}: {message}")
        typed = _as_old_type(value, node.value)
        clear = bool(node.style) or not isinstance(typed, str) or _is_plain_text(typed)
        if node.value is not None and clear and _are_identical(node.value, typed):
            return False
        return self._replace(node, typed, field)

    def add_entry(self, field: str, value: str) -> bool:
        """Add a text to the list in a field; return whether the header changed. Raises as :meth:`set_field`."""
        node = self.fields.get(field)
        if node is None:
            return self._append(field, [value])
        if isinstance(node, Sequence):
            return value not in node.plain() and self._insert(node, value, field)
        if not isinstance(node, Scalar) or node.style in ("|", ">"):
            raise InputError(f"{show_path(self.path)}: the field '{field}' is not a list")
        if node.value == value:
            return False
        old = "" if node.value is None else f"{self._text[node.start : node.end]}, "
        texts = (self._text_with_value(node, f"[{old}{new}]") for new in _notations(value))
        return self._change(texts, [value] if node.value is None else [node.value, value], field)

    def add_result(self, words: MappingOf[str, str]) -> bool:
        """Add a metric to the results, or replace its value; return whether the header changed.

        ``words`` are as for :func:`result_of`. Raises EditError if the results are not written one a line.
        """
        result = result_of(words)
        index, model = self.fields.get("model-index"), words.get("model")
        if index is None:
            name = model or self.path.resolve().parent.name
            return self._append("model-index", [{"name": name, "results": [result]}])
        models = index.items if isinstance(index, Sequence) else []
        chosen = [at for at, one in enumerate(models) if model is None or _plain_value(one, "name") == model]
        entry = models[chosen[0]] if len(chosen) == 1 else None
        if not isinstance(entry, Mapping):
            raise InputError(f"{show_path(self.path)}: name one model of the header's model-index with model=NAME")
        results = entry.get("results")
        if not isinstance(results, Sequence):
            raise self._error("the model of the header has no list of results; write it in the file")
        for number, one in enumerate(results.items):
            metrics = one.get("metrics") if isinstance(one, Mapping) else None
            if _same_data(one.plain(), result) and isinstance(metrics, Sequence):
                return self._add_metric(metrics, result["metrics"][0], chosen[0], "results", number, "metrics")
        return self._insert(results, result, "model-index", chosen[0], "results")

    def _add_metric(self, metrics: Sequence, metric: dict[str, Any], *keys: str | int) -> bool:
        """Add a metric to those of a result, or replace its value."""
        for number, one in enumerate(metrics.items):
            plain: Any = one.plain()
            if isinstance(one, Mapping) and all(plain.get(key) == metric.get(key) for key in ("type", "name")):
                value, new = one.get("value"), metric["value"]
                if not isinstance(value, Scalar):
                    raise self._error("the metric has no value that could be replaced; write it in the file")
                changes = not _are_identical(value.value, new)
                return changes and self._replace(value, new, "model-index", *keys, number, "value")
        return self._insert(metrics, metric, "model-index", *keys)

    def _error(self, message: str) -> EditError:
        return EditError(f"{show_path(self.path)}: {message}")

    def _text_with_value(self, node: Scalar, text: str) -> str:
        """Return the text of the file with a value replaced; one that is missing follows its colon."""
        space = " " if node.start == node.end else ""
        return self._text[: node.start] + space + text + self._text[node.end :]

    def _text_with_insertion(self, position: int, text: str) -> str:
        return self._text[:position] + text + self._text[position:]

    def _replace(self, node: Scalar, value: Any, field: str, *keys: str | int) -> bool:
        if node.style in ("|", ">") or "\n" in self._text[node.start : node.end]:
            raise EditError(f"{node.place}: this value cannot be edited on its line; edit it in the file")
        ways = list(_notations(value))
        if node.style:
            ways.sort(key=lambda way: way[:1] != node.style)
        return self._change((self._text_with_value(node, way) for way in ways), value, field, *keys)

    def _append(self, field: str, value: Any) -> bool:
        """Add a field at the end of the header, or a header to a file without one."""
        lines = to_yaml({field: value}).replace("\n", self._end)
        if self._span is None:
            text = f"---{self._end}{lines}---{self._end}{self._end if self._text.strip() else ''}{self._text}"
        else:
            text = self._text_with_insertion(self._span.yaml_end, lines)
        return self._change([text], value, field)

    def _insert(self, node: Sequence, item: Any, field: str, *keys: str | int) -> bool:
        """Add an item at the end of a list: on lines of its own, or before the bracket that closes it."""
        if self._text[node.start : node.start + 1] == "[":
            before = ", " if node.items else ""
            ways = _notations(item) if isinstance(item, str) else [json.dumps(item)]
            texts = [self._text_with_insertion(node.end - 1, before + way) for way in ways]
        else:
            end = self._text.find("\n", end_of(node)) + 1 or len(self._text)
            indent = " " * (node.place.column - 1)
            lines = (f"{indent}{line}{self._end}" for line in to_yaml([item]).splitlines())
            texts = [self._text_with_insertion(end, "".join(lines))]
        return self._change(texts, [*node.plain(), item], field, *keys)

    def _change(self, texts: Iterable[str], value: Any, field: str, *keys: str | int) -> bool:
        """Use the first text whose header has the change and whose rest is unchanged. Raises EditError."""
        wanted = self.fields.plain()
        known = self.fields.entries.get(field.lower())
        *parents, last = (known[0].text if known else field, *keys)
        inner: Any = wanted
        for key in parents:
            inner = inner[key]
        inner[last] = value
        rest = self._text[self._span.end :] if self._span else self._text
        for text in texts:
            span, fields = _read_header(self.path, text)
            if fields is not None and text.endswith(rest) and _are_identical(fields.plain(), wanted):
                self._text, self._span, self.fields = text, span, fields
                return True
        raise self._error("the header cannot hold this in its layout; nothing was written, edit it in the file")


def result_of(words: MappingOf[str, str]) -> dict[str, Any]:
    """Return a result in the form of the header; ``words`` has keys of RESULT_KEYS, and ``model``.

    Raises InputError if one is missing or unknown.
    """
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
            parts[part][key] = _as_old_type(words[word], 0.0) if word == "value" else words[word]
    parts["dataset"].setdefault("name", words["dataset"])
    metric, source = parts.pop("metric"), parts.pop("source")
    return {**parts, "metrics": [metric], **({"source": source} if source else {})}


def _read_header(path: Path, text: str) -> tuple[Span | None, Mapping | None]:
    """Return the span of a text's header, and its fields: empty if it has none, None if they are invalid."""
    source = Source(show_path(path), path, text)
    span = find_header(source)
    tree, findings = read_yaml(source, span.yaml_start, span.yaml_end) if span else (None, [])
    if any(finding.fatal for finding in findings):
        return span, None
    if tree is None:
        tree = Mapping(source, 0, 0, {})
    return span, tree if isinstance(tree, Mapping) else None


def _as_old_type(value: str, old: Any) -> Any:
    """Return a value of the command line: a number or boolean if the old one is, else text."""
    if isinstance(old, bool):
        return {"true": True, "false": False}.get(value.lower(), value)
    if isinstance(old, int | float):
        source = Source("", Path(), value)
        tree, findings = read_yaml(source)
        if not findings and isinstance(tree, Scalar) and isinstance(tree.value, int | float) and tree.text == value:
            return tree.value
    return value


def _notations(value: Any) -> Iterator[str]:
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


def _are_identical(one: Any, other: Any) -> bool:
    """Return whether two values are equal, types and order included: ``1`` is not ``1.0``, and not ``True``."""
    return json.dumps(one) == json.dumps(other)


def _plain_value(node: Node, key: str) -> Any:
    found = node.get(key) if isinstance(node, Mapping) else None
    return found.plain() if found is not None else None

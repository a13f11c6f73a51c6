"""Models of a text: what several places state of one, and timm's list "Model Stats"."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from cardproof.core.source import Source
from cardproof.core.yaml import Mapping, Node, Scalar
from cardproof.read.markdown import Line, text_lines
from cardproof.read.models import Form, Model

_TITLE = re.compile(r" {0,3}# {1,5}Model card for (`?)(?P<name>[\w./-]{1,200})\1 {0,5}\r?\n?", re.IGNORECASE)
_STATS = re.compile(r"\s{0,8}[-*+] \*\*Model Stats:?\*\*:?\s{0,20}", re.IGNORECASE)
_ITEM = re.compile(r"\s{0,12}[-*+] (?P<key>[\w() ]{1,40}): {1,5}(?P<value>\S[^\r\n]{0,200})")
_STATED = ("params (m)", "gmacs", "activations (m)", "image size")
_SIZES = re.compile(r"(?:(?P<when>train|test) ?= ?)?(?P<size>\d{1,5} ?x ?\d{1,5})")


def merged(model: Model, *others: Model) -> Model:
    """Return a model with the fields and results that other places of the same file state for it."""
    if not others:
        return model
    every = (model, *others)
    metadata: dict[str, tuple[Scalar, Node]] = {}
    for key, entry in (pair for one in every if one.metadata for pair in one.metadata.entries.items()):
        metadata[key if key not in metadata else f"{key} {entry[1].start}"] = entry
    name, own = next(one.fields.entries["metadata"] for one in (*others, model) if one.metadata)
    entries = {key: entry for one in reversed(every) for key, entry in one.fields.entries.items()}
    entries = {**entries, "metadata": (name, Mapping(own.source, own.start, own.end, metadata))}
    fields = Mapping(model.fields.source, model.fields.start, model.fields.end, entries)
    results = tuple(result for one in every for result in one.results)
    return replace(model, fields=fields, results=results)


def stated_model(source: Source, name: Scalar, cells: Iterable[tuple[Scalar, Scalar]], form: Form) -> Model:
    """Return a model with pairs of field and value as its metadata."""
    metadata: dict[str, tuple[Scalar, Node]] = {}
    for key, value in cells:
        metadata[key.text.lower() if key.text.lower() not in metadata else f"{key.text} {value.start}"] = (key, value)
    inner = Mapping(source, name.start, name.end, metadata)
    key = Scalar(source, name.start, name.start, "Metadata", "Metadata", "")
    fields = Mapping(source, name.start, name.end, {"metadata": (key, inner)})
    return Model(name.text, name.place, (), fields, (), form)


def model_in_details(source: Source, start: int) -> Model | None:
    """Return the model that the title of timm's card names, with the values of its list "Model Stats"."""
    name: Scalar | None = None
    inside = False
    cells: list[tuple[Scalar, Scalar]] = []
    for line in text_lines(source, start):
        if name is None:
            if match := _TITLE.fullmatch(line.text):
                name = _scalar(source, line, *match.span("name"))
        elif _STATS.fullmatch(line.text):
            inside = True
        elif inside and (match := _ITEM.match(line.text)):
            cells += _item(source, line, match)
        elif inside:
            break
    return stated_model(source, name, cells, "details") if name and cells else None


def _item(source: Source, line: Line, match: re.Match[str]) -> Iterator[tuple[Scalar, Scalar]]:
    """Yield the values of one item; there may be one image size for training and one for testing."""
    key = _scalar(source, line, *match.span("key"))
    first, last = match.span("value")
    last = first + len(match["value"].rstrip())
    if key.text.lower() not in _STATED:
        return
    if key.text.lower() != "image size":
        yield key, _scalar(source, line, first, last)
        return
    for size in _SIZES.finditer(line.text, first, last):
        field = f"{key.text} (test)" if size["when"] == "test" else key.text
        yield Scalar(source, key.start, key.end, field, field, ""), _scalar(source, line, *size.span("size"))


def _scalar(source: Source, line: Line, first: int, last: int) -> Scalar:
    text = line.text[first:last]
    return Scalar(source, line.start + first, line.start + last, text, text, "")

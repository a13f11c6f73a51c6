"""The list "Model Stats" of timm's cards on the Hub: parameters, multiply-adds, activations and image size."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cardproof.core.source import Source
from cardproof.core.yaml import Scalar
from cardproof.read.markdown import Line, text_lines
from cardproof.read.model_index import Model
from cardproof.read.tables import stated_model

_TITLE = re.compile(r" {0,3}# {1,5}Model card for (`?)(?P<name>[\w./-]{1,200})\1 {0,5}\r?\n?", re.IGNORECASE)
_LIST = re.compile(r"\s{0,8}[-*+] \*\*Model Stats:?\*\*:?\s{0,20}", re.IGNORECASE)
_ITEM = re.compile(r"\s{0,12}[-*+] (?P<key>[\w() ]{1,40}): {1,5}(?P<value>\S[^\r\n]{0,200})")
_FIELDS = ("params (m)", "gmacs", "activations (m)", "image size")
_SIZES = re.compile(r"(?:(?P<when>train|test) ?= ?)?(?P<size>\d{1,5} ?x ?\d{1,5})")


def model_in_details(source: Source, start: int) -> Model | None:
    """Return the model that a card's title names, with what the list below "Model Stats" states of it."""
    name: Scalar | None = None
    inside = False
    cells: list[tuple[Scalar, Scalar]] = []
    for line in text_lines(source, start):
        if name is None:
            if match := _TITLE.fullmatch(line.text):
                name = _scalar(source, line, *match.span("name"))
        elif _LIST.fullmatch(line.text):
            inside = True
        elif inside and (match := _ITEM.match(line.text)):
            cells += _cells(source, line, match)
        elif inside:
            break
    return stated_model(source, name, cells, "details") if name and cells else None


def _cells(source: Source, line: Line, match: re.Match[str]) -> Iterator[tuple[Scalar, Scalar]]:
    """Yield the values of one item: a card may state an image size to train and one to test with."""
    key = _scalar(source, line, *match.span("key"))
    first, last = match.span("value")
    last = first + len(match["value"].rstrip())
    if key.text.lower() not in _FIELDS:
        return
    if key.text.lower() != "image size":
        yield key, _scalar(source, line, first, last)
        return
    for size in _SIZES.finditer(line.text, first, last):
        field = f"{key.text} (test)" if size["when"] == "test" else key.text
        yield (
            Scalar(source, key.start, key.end, field, field, ""),
            _scalar(source, line, *size.span("size")),
        )


def _scalar(source: Source, line: Line, first: int, last: int) -> Scalar:
    text = line.text[first:last]
    return Scalar(source, line.start + first, line.start + last, text, text, "")

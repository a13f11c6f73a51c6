"""Claims: every single value that a model of an index states."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec.structs import replace

from cardproof.core.field_names import IMAGE_SIZE, MEAN, STD, normal_field, scale_of
from cardproof.core.numbers import parse_number
from cardproof.core.types import Claim, Number
from cardproof.core.yaml import Mapping, Node, Scalar, Sequence

if TYPE_CHECKING:
    from cardproof.read.model_index import Model, Result
ONE_VALUE = IMAGE_SIZE | MEAN | STD
"""Fields whose list is one value, not several."""


def claims_of(model: Model) -> list[Claim]:
    """Return the claims of a model in the order written: metadata, results, then values published elsewhere.

    A list states each of its items; a nested mapping states its leaves, with keys joined by dots.
    """
    claims: list[Claim] = []
    if model.metadata:
        for key, node in model.metadata:
            _leaves(model.name, key.text, node, claims)
    for result in model.results:
        for name, value in result.metrics:
            if value.value is not None:
                claims.append(_metric(model.name, name.text, value, result))
    return claims + _published(model)


def _leaves(model: str, field: str, node: Node, claims: list[Claim]) -> None:
    if isinstance(node, Scalar):
        if node.value is not None:
            claims.append(_claim(model, field, node))
    elif (
        isinstance(node, Sequence)
        and normal_field(field) in ONE_VALUE
        and all(isinstance(i, Scalar) for i in node.items)
    ):
        stated = ", ".join(item.text for item in node.items if isinstance(item, Scalar))
        claims.append(Claim(model, field, stated, node.place, node.plain(), style="list"))
    elif isinstance(node, Sequence):
        for item in node.items:
            _leaves(model, field, item, claims)
    else:
        for key, value in node:
            _leaves(model, f"{field}.{key.text}", value, claims)


def _published(model: Model) -> list[Claim]:
    """Return the values that other cards state of this model (``Published Elsewhere: [{Field, Value, Source}]``)."""
    node = model.fields.get("Published Elsewhere")
    claims = []
    for entry in node.items if isinstance(node, Sequence) else [node]:
        if not isinstance(entry, Mapping):
            continue
        field, value, source = entry.get("Field"), entry.get("Value"), entry.get("Source")
        if isinstance(field, Scalar) and isinstance(value, Scalar) and isinstance(source, Scalar):
            claims.append(_claim(model.name, field.text, value, source.text))
    return claims


def _metric(model: str, name: str, value: Scalar, result: Result) -> Claim:
    claim = _claim(model, name, value)
    return replace(claim, dataset=result.dataset, task=result.task, metric=True)


def _claim(model: str, field: str, value: Scalar, published: str | None = None) -> Claim:
    return Claim(model, field, value.text, value.place, value.value, published=published, style=value.style)


def image_size(model: Model) -> tuple[int, int] | None:
    """Return height and width that the card states: ``224``, ``224x320`` or a list; None where it states none."""
    for key, node in model.metadata or ():
        if normal_field(key.text) in IMAGE_SIZE:
            items = node.items if isinstance(node, Sequence) else [node]
            text = "x".join(item.text for item in items if isinstance(item, Scalar))
            return parse_size(text)
    return None


def parse_size(text: str) -> tuple[int, int] | None:
    """Return height and width of ``224``, ``224x320``, ``(3, 224, 320)``; None where the text is no size."""
    numbers = [int(part) for part in re.findall(r"\d+", text)]
    if not re.fullmatch(r"[\s\d()\[\],x×*]+(px|pixels)?\s*", text) or not numbers or max(numbers) > 100_000:
        return None
    if len(numbers) == 1 and numbers[0]:
        return numbers[0], numbers[0]
    if len(numbers) in (2, 3) and all(numbers):
        return numbers[-2], numbers[-1]
    return None


def weights_file(model: Model) -> str | None:
    """Return the file name at the end of the card's link to its weights."""
    return file_of_link(model.text("Weights"))


def file_of_link(link: str | None) -> str | None:
    """Return the file name at the end of a link."""
    name = re.split(r"[?#]", link)[0].rpartition("/")[2] if link else ""
    return name or None


def stated_count(claim: Claim) -> Number | None:
    """Return the number of a claim about a count, with the scale that its field's name brings along."""
    return parse_number(claim.stated, "count", scale_of(claim.field))

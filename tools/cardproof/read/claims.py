"""Claims: every single value that a model of an index states."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cardproof.fields import IMAGE_SIZE, MEAN, STD, normal_field
from cardproof.read.nodes import Mapping, Node, Scalar, Sequence
from cardproof.words import Claim

if TYPE_CHECKING:
    from cardproof.read.index import Model, Result
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

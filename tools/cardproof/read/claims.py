"""Claims: every single value that a model of an index states."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cardproof.read.nodes import Mapping, Node, Scalar, Sequence
from cardproof.words import Claim

if TYPE_CHECKING:
    from cardproof.read.index import Model


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
                claims.append(_claim(model.name, name.text, value, dataset=result.dataset, task=result.task))
    return claims + _published(model)


def _leaves(model: str, field: str, node: Node, claims: list[Claim]) -> None:
    if isinstance(node, Scalar):
        if node.value is not None:
            claims.append(_claim(model, field, node))
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
            claims.append(_claim(model.name, field.text, value, published=source.text))
    return claims


def _claim(
    model: str,
    field: str,
    value: Scalar,
    *,
    dataset: str | None = None,
    task: str | None = None,
    published: str | None = None,
) -> Claim:
    return Claim(model, field, value.text, value.place, value.value, dataset, task, published, value.style)

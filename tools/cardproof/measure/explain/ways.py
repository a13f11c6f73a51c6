"""The ways of counting that are tried, simplest first: operations, their weights, and a factor.

Every way is a row of integer weights, one per amount of a forward pass (``COLUMNS``), so all results for one input are
one integer matrix product.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from fractions import Fraction
from itertools import product

from msgspec import Struct

from cardproof.measure.count.tools import COLUMNS, TOOLS, Choice, weighted, weights_of

FACTORS: tuple[tuple[Fraction, int], ...] = (
    (Fraction(1), 0),
    (Fraction(2), 1),
    (Fraction(1, 2), 1),
    (Fraction(3), 2),
    (Fraction(4), 2),
)
"""Factor and its cost; 2 is a multiply and an add, 3 a training step."""

MOST_COST = 4
"""Ways that cost more than this are not tried."""


class Way(Struct, frozen=True):
    """One way of counting; the cost grows with the number of unusual decisions."""

    cost: int
    weights: tuple[int, ...]
    """One per column."""
    choices: tuple[Choice, ...]
    tool: str = ""
    """The tool that makes these choices."""

    @property
    def counts_head(self) -> bool:
        """Whether the classifier is counted."""
        return self.weights[COLUMNS.index("head")] > 0


@functools.cache
def ways() -> tuple[Way, ...]:
    """Return all ways up to :data:`MOST_COST`, simplest first, each once."""
    found: dict[tuple[int, ...], Way] = {}
    tools = (Way(1, tool.weights, tool.choices, tool.name) for tool in TOOLS.values())
    for way in sorted((*tools, *_combinations(), *_thop()), key=lambda way: way.cost):
        found.setdefault(way.weights, way)
    return tuple(found.values())


def _layers() -> Iterator[Choice]:
    """Yield the choices for layers: with or without subclasses of convolutions, classifier, biases, linear layers."""
    for others, head, bias, linear in product((1, 0), (1, 0), ("", "convolution", "all"), (1, 0)):
        with_head = head and linear
        weights = {
            "convolution own": 1,
            "convolution other": others,
            "linear": linear,
            "linear function": linear,
            "recurrent": linear,
            "head": with_head,
            "convolution bias own": bool(bias),
            "convolution bias other": bool(bias) and others,
            "head bias convolution": bool(bias) and with_head,
            "linear bias": bias == "all" and linear,
            "head bias linear": bias == "all" and with_head,
        }
        if not linear and (not head or bias == "all"):
            continue
        out = [word for word, kept in (("linear layers", linear), ("classifier", head)) if not kept]
        out += [] if others else ["convolution subclasses"]
        cost = 2 * (1 - others) + (1 - head) + 2 * (1 - linear) + {"": 0, "convolution": 1, "all": 1}[bias]
        counted = {"": (), "convolution": ("convolution biases",), "all": ("biases",)}[bias]
        yield Choice(cost, tuple((k, int(v)) for k, v in weights.items()), counted, tuple(out))


_OWN = " (only torch.nn's own class)"
_NOTHING = Choice(0)
_BATCH_NORM_TWICE = weighted(1, "batch norm twice", batch_norm_own=2, batch_norm_other=2)
_BATCH_NORM_TWICE_OWN = weighted(2, f"batch norm twice{_OWN}", batch_norm_own=2)
_BATCH_NORM = (
    _NOTHING,
    _BATCH_NORM_TWICE,
    weighted(1, "batch norm once", batch_norm_own=1, batch_norm_other=1),
    _BATCH_NORM_TWICE_OWN,
    weighted(2, f"batch norm once{_OWN}", batch_norm_own=1),
)
_ADDITIONS = weighted(
    2, "adaptive average pooling (its additions)", adaptive_area_own=1, adaptive_area_other=1, mean_area=1
)
_POOL_OWN = weighted(1, "average pooling", average_pool_own=1)
_ADAPTIVE_OWN = weighted(1, "adaptive average pooling", adaptive_area_own=1, adaptive_out_own=1)
_LEAKY = weighted(1, "leaky ReLU", leaky_relu=1)
_UPSAMPLE = weighted(1, "upsampling", upsample=1)
_AXES: tuple[tuple[Choice, ...], ...] = (
    _BATCH_NORM,
    (
        _NOTHING,
        _POOL_OWN,
        weighted(2, "average pooling", average_pool_own=1, average_pool_other=1),
    ),
    (
        _NOTHING,
        _ADAPTIVE_OWN,
        _ADDITIONS,
        weighted(2, "adaptive average pooling (its outputs)", adaptive_out_own=1, adaptive_out_other=1, mean_out=1),
    ),
    (
        _NOTHING,
        _LEAKY,
        weighted(1, "activations", leaky_relu=1, relu=1, relu6=1, gelu=1, activations=1),
    ),
    (_NOTHING, _UPSAMPLE),
    (
        _NOTHING,
        weighted(2, "layer and group norm once", layer_norm=1, group_norm=1),
        weighted(2, "layer and group norm twice", layer_norm=2, group_norm=2),
        weighted(3, "layer and group norm five times", layer_norm=5, group_norm=5),
    ),
    (_NOTHING, weighted(1, "max pooling", max_pool=1)),
    (_NOTHING, weighted(2, "residual additions", additions=1)),
    (_NOTHING, weighted(2, "softmax", softmax=1)),
)
_PRODUCTS = (Choice(0, (("products", 1), ("fused attention", 1))), Choice(1, (), (), ("attention products",)))


def _combinations() -> Iterator[Way]:
    partial: list[tuple[int, tuple[Choice, ...]]] = [(0, ())]
    for axis in (tuple(_layers()), _PRODUCTS, *_AXES):
        partial = [
            (cost + choice.cost, (*choices, choice))
            for choice in axis
            for cost, choices in partial
            if cost + choice.cost <= MOST_COST
        ]
    for cost, choices in partial:
        yield Way(cost, weights_of(choices), choices)


def _thop() -> Iterator[Way]:
    """Yield thop 0.0.31, which hooks leaf modules by class, and variants: cheap, since one tool makes all choices."""
    rest = (_POOL_OWN, _ADAPTIVE_OWN, _LEAKY, _UPSAMPLE)
    for layers, norm in product(_layers(), (_BATCH_NORM_TWICE, _BATCH_NORM_TWICE_OWN, _NOTHING)):
        if layers.counted != ("convolution biases",) or "linear layers" in layers.left_out:
            continue
        subclasses = "convolution subclasses" in layers.left_out
        cost = 1 + int(subclasses) + int(norm is not _BATCH_NORM_TWICE) + int("classifier" not in layers.left_out)
        choices = (layers, _PRODUCTS[1], norm, *rest)
        yield Way(min(cost, MOST_COST), weights_of(choices), choices)


_LINEAR = {"linear", "linear function", "recurrent", "head"}
_ATTENTION = {"products", "fused attention"}
_MULTIPLY_ADDS = {"convolution own", "convolution other", *_LINEAR, *_ATTENTION}
"""Columns of multiply-adds; the others are of what some tools count besides."""

_PARTS = {
    "classifier": {"head"},
    "convolution subclasses": {"convolution other"},
    "linear layers": _LINEAR,
    "recurrent layers": {"recurrent"},
    "linear layers called as functions": {"linear function"},
    "attention products": _ATTENTION,
    "fused attention": {"fused attention"},
}
"""Words for what may be left out, with its columns."""


def describe_way(way: Way, values: tuple[int, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the words for what was counted and left out, without parts that this network does not have."""
    present = {column for column, value in zip(COLUMNS, values, strict=True) if value}
    counted = tuple(
        word
        for choice in way.choices
        for word in choice.counted
        if any(weight and column in present - _MULTIPLY_ADDS for column, weight in choice.weights)
    )
    left_out = tuple(word for choice in way.choices for word in choice.left_out if not present.isdisjoint(_PARTS[word]))
    return counted, left_out

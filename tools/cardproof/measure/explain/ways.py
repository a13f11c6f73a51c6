"""The ways of counting that are tried, simplest first: operations, their weights, and a factor.

Every way is a row of integer weights, one per amount of a forward pass (:data:`COLUMNS`), so all results for one input
are one integer matrix product.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from itertools import product
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from cardproof.measure.count.events import Event, Tally

COLUMNS = (
    "convolution own", "convolution other", "convolution bias own", "convolution bias other",
    "linear", "linear bias", "head", "head bias convolution", "head bias linear", "products",
    "batch norm own", "batch norm other", "average pool own", "average pool other",
    "adaptive area own", "adaptive out own", "adaptive area other", "adaptive out other",
    "leaky relu", "activations", "upsample", "other norms", "max pool", "additions", "softmax",
)  # fmt: skip
"""Amounts for one image. ``own``: of modules of torch.nn's own classes; ``other``: of subclasses and functions."""

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


class Choice(Struct, frozen=True):
    """One decision of a way of counting: its cost, the weights that it sets, and the words for a reader."""

    cost: int
    weights: tuple[tuple[str, int], ...] = ()
    counted: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


class Way(Struct, frozen=True):
    """One way of counting; the cost grows with the number of unusual decisions."""

    cost: int
    weights: tuple[int, ...]
    """One per column."""
    choices: tuple[Choice, ...]

    @property
    def counts_head(self) -> bool:
        """Whether the classifier is counted."""
        return self.weights[COLUMNS.index("head")] > 0


@functools.cache
def ways() -> tuple[Way, ...]:
    """Return all ways up to :data:`MOST_COST`, simplest first, each once."""
    found: dict[tuple[int, ...], Way] = {}
    for way in sorted((*_combinations(), *_thop(), *_fvcore()), key=lambda way: way.cost):
        found.setdefault(way.weights, way)
    return tuple(found.values())


def amounts(tally: Tally, head: Event | None) -> tuple[int, ...]:
    """Return the amounts of a tally, in the order of :data:`COLUMNS`."""
    total: Counter[str] = Counter()
    for event in tally.events:
        if event is head:
            total["head"] += event.multiply_adds
            total[f"head bias {event.kind}"] += event.elements * event.bias
        else:
            _add_event(total, event)
    return tuple(total[column] for column in COLUMNS)


_PLAIN_AMOUNTS = {
    "leaky relu": "leaky relu",
    "layer norm": "other norms",
    "group norm": "other norms",
    "max pool": "max pool",
    "add": "additions",
    "softmax": "softmax",
    "relu": "activations",
    "relu6": "activations",
    "gelu": "activations",
    "silu": "activations",
    "hard swish": "activations",
    "hard sigmoid": "activations",
    "sigmoid": "activations",
    "tanh": "activations",
    "elu": "activations",
    "mish": "activations",
    "hardtanh": "activations",
}


def _add_event(total: Counter[str], event: Event) -> None:
    owner = "own" if event.owner == "own" else "other"
    match event.kind:
        case "convolution":
            total[f"convolution {owner}"] += event.multiply_adds
            total[f"convolution bias {owner}"] += event.elements * event.bias
        case "linear":
            total["linear"] += event.multiply_adds
            total["linear bias"] += event.elements * event.bias
        case "product" | "attention":
            total["products"] += event.multiply_adds
        case "batch norm" | "average pool":
            total[f"{event.kind} {owner}"] += event.elements
        case "adaptive average pool" | "mean":
            total[f"adaptive area {owner}"] += event.elements * event.detail
            total[f"adaptive out {owner}"] += event.elements
        case "upsample":
            total["upsample"] += event.elements * event.detail
        case kind if kind in _PLAIN_AMOUNTS:
            total[_PLAIN_AMOUNTS[kind]] += event.elements


def _layers() -> Iterator[Choice]:
    """Yield the choices for layers: with or without subclasses of convolutions, classifier, biases, linear layers."""
    for others, head, bias, linear in product((1, 0), (1, 0), ("", "convolution", "all"), (1, 0)):
        with_head = head and linear
        weights = {
            "convolution own": 1,
            "convolution other": others,
            "linear": linear,
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


def _weighted(cost: int, word: str, **columns: int) -> Choice:
    return Choice(cost, tuple((key.replace("_", " "), value) for key, value in columns.items()), (word,))


_OWN = " (only torch.nn's own class)"
_NOTHING = Choice(0)
_BATCH_NORM_TWICE = _weighted(1, "batch norm twice", batch_norm_own=2, batch_norm_other=2)
_BATCH_NORM_TWICE_OWN = _weighted(2, f"batch norm twice{_OWN}", batch_norm_own=2)
_BATCH_NORM = (
    _NOTHING,
    _BATCH_NORM_TWICE,
    _weighted(1, "batch norm once", batch_norm_own=1, batch_norm_other=1),
    _BATCH_NORM_TWICE_OWN,
    _weighted(2, f"batch norm once{_OWN}", batch_norm_own=1),
)
_BATCH_NORM_FIVE = _weighted(1, "batch norm five times", batch_norm_own=5, batch_norm_other=5)
_NORMS_FIVE = _weighted(3, "layer and group norm five times", other_norms=5)
_ADDITIONS = _weighted(2, "adaptive average pooling (its additions)", adaptive_area_own=1, adaptive_area_other=1)
_POOL_OWN = _weighted(1, "average pooling", average_pool_own=1)
_ADAPTIVE_OWN = _weighted(1, "adaptive average pooling", adaptive_area_own=1, adaptive_out_own=1)
_LEAKY = _weighted(1, "leaky ReLU", leaky_relu=1)
_UPSAMPLE = _weighted(1, "upsampling", upsample=1)
_AXES: tuple[tuple[Choice, ...], ...] = (
    _BATCH_NORM,
    (
        _NOTHING,
        _POOL_OWN,
        _weighted(2, "average pooling", average_pool_own=1, average_pool_other=1),
    ),
    (
        _NOTHING,
        _ADAPTIVE_OWN,
        _ADDITIONS,
        _weighted(2, "adaptive average pooling (its outputs)", adaptive_out_own=1, adaptive_out_other=1),
    ),
    (
        _NOTHING,
        _LEAKY,
        _weighted(1, "activations", leaky_relu=1, activations=1),
    ),
    (_NOTHING, _UPSAMPLE),
    (
        _NOTHING,
        _weighted(2, "layer and group norm once", other_norms=1),
        _weighted(2, "layer and group norm twice", other_norms=2),
        _NORMS_FIVE,
    ),
    (_NOTHING, _weighted(1, "max pooling", max_pool=1)),
    (_NOTHING, _weighted(2, "residual additions", additions=1)),
    (_NOTHING, _weighted(2, "softmax", softmax=1)),
)
_PRODUCTS = (Choice(0, (("products", 1),)), Choice(1, (), (), ("attention products",)))


def _combinations() -> Iterator[Way]:
    """Yield all combinations of choices up to the largest cost."""
    partial: list[tuple[int, tuple[Choice, ...]]] = [(0, ())]
    for axis in (tuple(_layers()), _PRODUCTS, *_AXES):
        partial = [
            (cost + choice.cost, (*choices, choice))
            for choice in axis
            for cost, choices in partial
            if cost + choice.cost <= MOST_COST
        ]
    for cost, choices in partial:
        yield _way(cost, choices)


def _thop() -> Iterator[Way]:
    """Yield thop 0.0.31, which hooks leaf modules by class, and variants: cheap, since one tool makes all choices."""
    rest = (_POOL_OWN, _ADAPTIVE_OWN, _LEAKY, _UPSAMPLE)
    for layers, norm in product(_layers(), (_BATCH_NORM_TWICE, _BATCH_NORM_TWICE_OWN, _NOTHING)):
        if layers.counted != ("convolution biases",) or "linear layers" in layers.left_out:
            continue
        subclasses = "convolution subclasses" in layers.left_out
        cost = 1 + int(subclasses) + int(norm is not _BATCH_NORM_TWICE) + int("classifier" not in layers.left_out)
        yield _way(min(cost, MOST_COST), (layers, _PRODUCTS[1], norm, *rest))


def _fvcore() -> Iterator[Way]:
    """Yield fvcore 0.1.5 and mmengine 0.10, which follow a trace: cheap, since one tool makes all the choices.

    They count five operations per element of a norm (two for batch norm in eval mode), and the additions of pooling.
    """
    for layers, norm in product(_layers(), (_BATCH_NORM_TWICE, _BATCH_NORM_FIVE)):
        if layers.counted or set(layers.left_out) - {"classifier"}:
            continue
        cost = 2 + int("classifier" not in layers.left_out)
        yield _way(cost, (layers, _PRODUCTS[0], norm, _NORMS_FIVE, _ADDITIONS))


def _way(cost: int, choices: tuple[Choice, ...]) -> Way:
    total: Counter[str] = Counter()
    for choice in choices:
        total.update(dict(choice.weights))
    return Way(cost, tuple(total[column] for column in COLUMNS), choices)


def describe_way(way: Way, values: tuple[int, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the words for what was counted and left out, without parts that this network does not have."""
    present = {column for column, value in zip(COLUMNS, values, strict=True) if value}
    counted = tuple(
        word
        for choice in way.choices
        for word in choice.counted
        if any(column in present and weight and _is_not_multiply_add(column) for column, weight in choice.weights)
    )
    has = {
        "classifier": "head" in present,
        "convolution subclasses": "convolution other" in present,
        "linear layers": "linear" in present or "head" in present,
        "attention products": "products" in present,
    }
    left_out = tuple(word for choice in way.choices for word in choice.left_out if has[word])
    return counted, left_out


def _is_not_multiply_add(column: str) -> bool:
    """Return whether a column's amount is not of multiply-adds."""
    return column not in {"convolution own", "convolution other", "linear", "head", "products"}

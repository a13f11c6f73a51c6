"""What is tried to explain a count: input sizes, ways of counting, and a forward pass for each size.

The usual sizes and the simplest ways come first. A way is a row of integer weights, one per amount of a forward pass
(``COLUMNS``), so all results for one size are one integer matrix product.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from fractions import Fraction
from itertools import product
from typing import TYPE_CHECKING

import torch
from msgspec import Struct, field

from cardproof.measure.count.counting_tools import COLUMNS, TOOLS, Choice, weighted, weights_of
from cardproof.measure.count.counts import amounts_of, head_events
from cardproof.measure.count.tally import tally

if TYPE_CHECKING:
    from torch import nn

    from cardproof.measure.count.events import Tally

Shape = tuple[int, int]
"""Height and width. Few networks have other counts for a transposed input, so only one of both is tried."""

_USUAL_SQUARES = (224, 256, 299, 32, 64, 128, 192, 288, 320, 384, 448, 512, 600)
_OTHER_SQUARES = (
    28, 48, 56, 84, 96, 112, 144, 160, 168, 176, 208, 227, 232, 236, 240, 248, 260, 272, 300, 331, 336, 342, 352,
    368, 380, 400, 408, 416, 440, 456, 475, 480, 500, 518, 528, 544, 560, 576, 608, 640, 672, 700, 704, 720, 768,
    800, 896, 1000, 1024, 1280, 1536,
)  # fmt: skip
"""Sizes of published classifiers and detectors: MNIST to EfficientNet-L2."""

_HUB_PHOTO = (1546, 1213)
"""Width and height of dog.jpg, the photo of PyTorch Hub's example, on which timm's cards of 2021 were counted."""

_PHOTO_RATIOS = ((4, 3), (3, 2), (16, 9), (5, 4), (640, 427), (500, 375), (2, 1))
"""Long to short side: cameras, screens, and the commonest photos of COCO and ImageNet."""

_SCENES = (
    (480, 640), (600, 800), (800, 1333), (800, 1216), (800, 1280), (800, 1344), (512, 1024), (1024, 2048), (720, 1280),
    (1080, 1920), (375, 1242), (352, 480), (256, 128), (384, 128), (256, 192), (384, 288), (32, 100), (32, 128),
)  # fmt: skip
"""Inputs of detectors, street scene segmentation, person and text models."""


def usual_inputs(size: Shape) -> tuple[tuple[Shape, int], ...]:
    """Return sizes to try with their cost, cheapest first, each once; ``size`` is the card's own and costs nothing."""
    found: dict[Shape, int] = {}
    for shape, cost in sorted(_candidates(size), key=lambda entry: entry[1]):
        found.setdefault(shape, cost)
    return tuple(found.items())


def _candidates(size: Shape) -> Iterator[tuple[Shape, int]]:
    yield size, 0
    short = min(size)
    yield (short, _long_side(short, *_HUB_PHOTO)), 1
    for side in _USUAL_SQUARES:
        yield (side, side), 1
    for side in (*_OTHER_SQUARES, *_sizes_before_crop(short)):
        yield (side, side), 2
    for side in (short, *_sizes_before_crop(short)):
        for long, short_side in (_HUB_PHOTO, *_PHOTO_RATIOS):
            for width in {_long_side(side, long, short_side), round(side * long / short_side)}:
                yield (side, width), 2 if side == short else 3
    for scene in _SCENES:
        yield scene, 3


def _long_side(short: int, long_side: int, short_side: int) -> int:
    """Return the long side of a photo whose short side is resized to ``short``, rounded as torchvision's Resize."""
    return int(short * long_side / short_side)


def _sizes_before_crop(crop: int) -> tuple[int, ...]:
    """Return the sizes that an image is resized to before a crop of this size, at the usual crop shares."""
    return tuple(sorted({int(crop / share) for share in (0.875, 0.9, 0.95, 0.96)}))


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


_MOST_REFUSALS = 3
"""Sizes that a network may refuse before no other is tried: a network of fixed size refuses them all."""


class ForwardPasses(Struct):
    """The forward passes made so far, by height and width."""

    model: nn.Module
    channels: int
    runs: dict[Shape, ForwardPass | None] = field(default_factory=dict)
    refused: int = 0

    def at(self, shape: Shape) -> ForwardPass | None:
        """Return the run at this height and width, made now if necessary; None if the network refuses it."""
        if shape not in self.runs:
            self.runs[shape] = self._try(shape)
        return self.runs[shape]

    def _try(self, shape: Shape) -> ForwardPass | None:
        if self.refused >= _MOST_REFUSALS:
            return None
        try:
            return make_forward_pass(self.model, tally(self.model, (self.channels, *shape)))
        except MemoryError:
            raise
        except Exception:  # a network may refuse a size with any error
            self.refused += 1
            return None


class ForwardPass(Struct, frozen=True):
    """One forward pass."""

    tally: Tally
    amounts: tuple[int, ...]
    """In the order of :data:`~cardproof.measure.count.counting_tools.COLUMNS`."""
    values: torch.Tensor
    """Results of :func:`ways`, in their order."""
    head_positions: int
    """How often the classifier runs: once, or at every position of a map; each of two classifiers counts."""


def make_forward_pass(model: nn.Module, result: Tally) -> ForwardPass:
    """Return a forward pass with the result of every way of counting."""
    heads = head_events(result)
    values = amounts_of(result, model)
    return ForwardPass(
        tally=result,
        amounts=values,
        values=_weights() @ torch.tensor(values, dtype=torch.int64),
        head_positions=sum(head.elements for head in heads) // heads[0].features[1] if heads else 0,
    )


@functools.cache
def _weights() -> torch.Tensor:
    return torch.tensor([way.weights for way in ways()], dtype=torch.int64)


_LARGEST = 4096
"""Pixels; no card's network is run on more."""


def solve_side(
    runs: ForwardPasses, way: int, height: int | None, guess: float, bounds: tuple[int, int]
) -> Shape | None:
    """The input of this ``height`` (None: a square) at which the way numbered ``way`` counts within ``bounds``.

    ``guess`` is where a count that grows with the area would be met, in pixels. Of several sides that give the
    same count a round one is returned; None if no side gives it.
    """

    def value(side: int) -> int | None:
        run = runs.at(_shape(height, side))
        return None if run is None else int(run.values[way])

    reach = 16 + round(guess / 8)
    below, above = max(1, round(guess) - reach), min(_LARGEST, round(guess) + reach)
    while below <= above:
        side = _roundest(below, above)
        found = value(side)
        if found is None or found < bounds[0]:
            below = side + 1
        elif found > bounds[1]:
            above = side - 1
        else:
            return _shape(height, side)
    return None


def _shape(height: int | None, side: int) -> Shape:
    return (side if height is None else height, side)


def _roundest(below: int, above: int) -> int:
    """The multiple of the greatest power of two between both (inclusive), nearest to their middle.

    Probing round sides halves the range as well as middles do, and different ways then share their runs.
    """
    unit = 1 << above.bit_length()
    while above // unit * unit < below:
        unit //= 2
    middle = (below + above) // 2 // unit * unit
    return middle if middle >= below else middle + unit

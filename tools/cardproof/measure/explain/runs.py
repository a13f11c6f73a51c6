"""The forward passes of a search, one per input size, each with the result of every way of counting."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import torch
from msgspec import Struct, field

from cardproof.measure.count.counts import amounts_of, head_events
from cardproof.measure.count.tally import tally
from cardproof.measure.explain.ways import ways

if TYPE_CHECKING:
    from torch import nn

    from cardproof.measure.count.events import Tally
    from cardproof.measure.explain.inputs import Shape

_MOST_REFUSALS = 3
"""Sizes that a network may refuse before no other is tried: a network of fixed size refuses them all."""


class Runs(Struct):
    """The forward passes made so far, by height and width."""

    model: nn.Module
    channels: int
    runs: dict[Shape, Run | None] = field(default_factory=dict)
    refused: int = 0

    def at(self, shape: Shape) -> Run | None:
        """Return the run at this height and width, made now if necessary; None if the network refuses it."""
        if shape not in self.runs:
            self.runs[shape] = self._try(shape)
        return self.runs[shape]

    def _try(self, shape: Shape) -> Run | None:
        if self.refused >= _MOST_REFUSALS:
            return None
        try:
            return make_run(self.model, tally(self.model, (self.channels, *shape)))
        except MemoryError:
            raise
        except Exception:  # a network may refuse a size with any error
            self.refused += 1
            return None


class Run(Struct, frozen=True):
    """One forward pass."""

    tally: Tally
    amounts: tuple[int, ...]
    """In the order of :data:`~cardproof.measure.count.tools.COLUMNS`."""
    values: torch.Tensor
    """Results of :func:`~cardproof.measure.explain.ways.ways`, in their order."""
    head_positions: int
    """How often the classifier runs: once, or at every position of a map; each of two classifiers counts."""


def make_run(model: nn.Module, result: Tally) -> Run:
    """Return a forward pass with the result of every way of counting."""
    heads = head_events(result)
    values = amounts_of(result, model)
    return Run(
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


def solve_side(runs: Runs, way: int, height: int | None, guess: float, bounds: tuple[int, int]) -> Shape | None:
    """The input of this ``height`` (None: a square) at which the way numbered ``way`` counts within ``bounds``.

    ``guess`` is where a count that grows with the area would be met, in pixels. Of several sides that give the
    same count a round one is returned; None where no side gives it.
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

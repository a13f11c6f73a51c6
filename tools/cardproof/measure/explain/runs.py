"""The forward passes of a search: one per input size, each turned into what every way of counting gives."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import torch
from msgspec import Struct, field

from cardproof.measure.count.counts import head_event
from cardproof.measure.count.tally import tally
from cardproof.measure.explain.ways import amounts, ways

if TYPE_CHECKING:
    from torch import nn

    from cardproof.measure.count.events import Tally
    from cardproof.measure.explain.inputs import Shape

_PATIENCE = 3
"""Sizes that a network may refuse before no other is tried: one with a fixed size refuses them all."""


class Runs(Struct):
    """The forward passes made so far, by height and width."""

    model: nn.Module
    channels: int
    done: dict[Shape, Run | None] = field(default_factory=dict)
    refused: int = 0

    def known(self, shape: Shape) -> Run | None:
        """The run at this shape, where there was one; nothing is run for it."""
        return self.done.get(shape)

    def at(self, shape: Shape) -> Run | None:
        """The run at this height and width; None where the network refuses it."""
        if shape not in self.done:
            self.done[shape] = self._try(shape)
        return self.done[shape]

    def _try(self, shape: Shape) -> Run | None:
        if self.refused >= _PATIENCE:
            return None
        try:
            return run_of(tally(self.model, (self.channels, *shape)))
        except MemoryError:
            raise
        except Exception:  # a network may refuse a size in any way it likes
            self.refused += 1
            return None


class Run(Struct, frozen=True):
    """One forward pass."""

    tally: Tally
    amounts: tuple[int, ...]
    """By :data:`~cardproof.measure.explain.ways.COLUMNS`."""
    values: torch.Tensor
    """One integer per way of :func:`~cardproof.measure.explain.ways.ways`."""
    head_positions: int
    """How often the classifier runs: once, or at every position of a map."""


def run_of(result: Tally) -> Run:
    """Return a forward pass with what every way of counting gives for it."""
    head = head_event(result)
    values = amounts(result, head)
    classes = 0 if head is None else head.shape[1] if head.convolution is None else head.convolution.outputs
    return Run(
        tally=result,
        amounts=values,
        values=_weights() @ torch.tensor(values, dtype=torch.int64),
        head_positions=head.elements // classes if head else 0,
    )


@functools.cache
def _weights() -> torch.Tensor:
    return torch.tensor([way.weights for way in ways()], dtype=torch.int64)

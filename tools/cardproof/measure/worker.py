"""The measurement of one model: build, count, explain. Runs in a worker."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Protocol

from torch import nn

from cardproof.core.types import Counts, Measured, Question, Reproduction
from cardproof.measure.count.build import build_on_meta
from cardproof.measure.count.counts import summarise
from cardproof.measure.count.tally import tally
from cardproof.measure.explain.search import explain


class Builder(Protocol):
    """The part of a zoo that measuring needs."""

    def build(self, name: str) -> nn.Module:
        """Build a network."""


def measure_model(
    zoo: Builder, name: str, input_shape: tuple[int, int, int], questions: tuple[Question, ...]
) -> Measured:
    """Build, count and explain one model; ``input_shape`` is channels, height and width of one image.

    Exceptions of the network become the measurement's ``error``, except MemoryError and interrupts. ``seconds`` is
    wall-clock time.
    """
    start = time.perf_counter()
    counts: Counts | None = None
    reproductions: tuple[Reproduction, ...] = ()
    takes: tuple[tuple[int, bool], ...] = ()
    error: str | None = None
    try:
        model = build_on_meta(lambda: _build(zoo, name))
        ran = tally(model, input_shape)
        counts = summarise(model, input_shape, ran)
        reproductions = explain(model, counts, input_shape[1:], questions, ran)
        takes = tuple(_try_sides(model, input_shape[0], questions))
    except MemoryError:
        raise
    except Exception as raised:
        counts, error = None, f"{type(raised).__name__}: {raised}"
    return Measured(name, counts, reproductions, error, time.perf_counter() - start, takes)


def _try_sides(model: nn.Module, channels: int, questions: tuple[Question, ...]) -> Iterator[tuple[int, bool]]:
    """Yield each stated minimum size, and one pixel less, with whether the network accepts square images of it."""
    sides = {int(question.number.value) for question in questions if question.field == "min size"}
    for side in sorted(sides | {side - 1 for side in sides if side > 1}):
        try:
            tally(model, (channels, side, side))
        except MemoryError:
            raise
        except Exception:  # a network may raise anything if an image is too small
            yield side, False
        else:
            yield side, True


def _build(zoo: Builder, name: str) -> nn.Module:
    network = zoo.build(name)
    if not isinstance(network, nn.Module):
        raise TypeError(f"the zoo's build('{name}') returned {type(network).__name__}, not an nn.Module")
    return network

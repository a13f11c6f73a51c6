"""The measurement of one model: build, count, explain. Runs in a worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec.structs import replace
from torch import nn

from cardproof.core.errors import error_text
from cardproof.core.measurements import Measured, Reproduction, Unrun
from cardproof.core.types import Question
from cardproof.measure.count.build import build_on_meta
from cardproof.measure.count.counts import summarise, weigh
from cardproof.measure.count.events import Tally
from cardproof.measure.count.merged import count_merged
from cardproof.measure.count.tally import tally
from cardproof.measure.explain.search import explain
from cardproof.zoos import Zoo


def measure_model(
    zoo: Zoo,
    name: str,
    input_shape: tuple[int, int, int],
    questions: tuple[Question, ...],
    is_assumed: bool = False,
) -> Measured:
    """Build, count and explain one model; ``input_shape`` is channels, height and width of one image;
    ``is_assumed`` tells that nothing states the size.

    Exceptions of the network become the measurement's ``error`` if it cannot be built, and the reason of its ``unrun``
    if it cannot be run, except MemoryError, TimeoutError and interrupts.
    """
    try:
        model = build_on_meta(lambda: _build(zoo, name))
        return _measure(model, lambda: _build(zoo, name), name, input_shape, questions, is_assumed)
    except (MemoryError, TimeoutError):
        raise
    except Exception as raised:
        return Measured(name, None, error=error_text(raised))


def _measure(
    model: nn.Module,
    build: Callable[[], nn.Module],
    name: str,
    input_shape: tuple[int, int, int],
    questions: tuple[Question, ...],
    is_assumed: bool,
) -> Measured:
    """Count and explain a network; its parameters and what explains them need no run."""
    try:
        ran = tally(model, input_shape)
    except (MemoryError, TimeoutError):
        raise
    except Exception as raised:  # a network may raise anything
        unrun = weigh(model, input_shape, error_text(raised))
        return Measured(name, None, _explain_unrun(model, unrun, questions), unrun=unrun)
    counts = summarise(model, input_shape, ran)
    counts = replace(counts, merged=count_merged(model, build, counts))
    reproductions = explain(model, counts, input_shape[1:], questions, ran, is_assumed)
    return Measured(name, counts, reproductions, takes=tuple(_try_sides(model, input_shape[0], questions)))


def _explain_unrun(model: nn.Module, unrun: Unrun, questions: tuple[Question, ...]) -> tuple[Reproduction, ...]:
    """Explain stated numbers of parameters by ways of counting for which nothing has to run."""
    about = tuple(question for question in questions if question.field == "parameters")
    nothing_ran = summarise(model, unrun.input_shape, Tally())
    return explain(model, nothing_ran, unrun.input_shape[1:], about, Tally())


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


def _build(zoo: Zoo, name: str) -> nn.Module:
    network = zoo.build(name)
    if not isinstance(network, nn.Module):
        raise TypeError(f"the zoo's build('{name}') returned {type(network).__name__}, not an nn.Module")
    return network

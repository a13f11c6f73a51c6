"""Evidence for one model: metadata of its zoo, counts, and the environment. Runs in a worker."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import torch
from msgspec.json import Decoder, encode
from msgspec.structs import replace
from torch import nn

from cardproof.core.clock import TIME_LIMIT, now, time_limit
from cardproof.core.errors import did_you_mean, error_text
from cardproof.core.measurements import Environment, Evidence, Measured, Reproduction, SiblingCounts, Unrun
from cardproof.core.numbers import equal_as_written
from cardproof.core.types import Need, Question
from cardproof.measure.count.counts import count_merged, count_unrun, counts_of_tally
from cardproof.measure.count.events import Tally
from cardproof.measure.count.meta_network import build_on_meta
from cardproof.measure.count.tally import tally
from cardproof.measure.explain.candidates import ways
from cardproof.measure.explain.search import explain
from cardproof.measure.tracked_files import track_sources
from cardproof.zoos import (
    BUILT_IN,
    Zoo,
    ZooError,
    load_zoo,
    names_in_source,
    preprocessing_of,
    recipe_of_zoo,
    similar_names,
    zoo_version,
)

DEFAULT_SIZE = (224, 224)
"""Image size if neither card nor zoo states one: that of ImageNet evaluations since AlexNet."""


NO_SUCH = ("KeyError", "LookupError", "ValueError")
"""Beginnings of the errors that a zoo without a list of its models may raise for a name that it does not have."""

_DECODER = Decoder(Evidence, dec_hook=lambda kind, text: kind(text))

ways()  # made once, in the process that workers are forked from


def _say_nothing() -> None:
    """Stands for a parent that does not wait."""


zoo_loaded: Callable[[], None] = _say_nothing
"""Called when the zoo is imported; a worker of the local engine tells its parent, which limits the time of both."""


def measure_evidence(need: Need, spec: str, key: str) -> Evidence:
    """Build, count and explain one model; its exceptions become the evidence's error.

    Raises ZooError if the zoo itself cannot be loaded.
    """
    started = time.perf_counter()
    torch.set_num_threads(1)
    with track_sources(spec) as sources:
        zoo = _load(spec)
        zoo_loaded()
        try:
            with time_limit(TIME_LIMIT, "measuring it took more than"):
                evidence = _as_stored(_measure(need, spec, zoo, key))
        except ZooError:
            raise
        except BaseException as error:  # a zoo is foreign code, and may raise anything or exit
            evidence = blank(need, spec, key, error_text(error))
    try:
        found = sources()
    except OSError as error:
        return blank(need, spec, key, error_text(error))
    seconds = round(time.perf_counter() - started, 3)
    return replace(evidence, sources=found, environment=replace(evidence.environment, seconds=seconds))


def _load(spec: str) -> Zoo:
    """Load a zoo within the limit of time. Raises ZooError."""
    try:
        with time_limit(TIME_LIMIT, f"importing the zoo '{spec}' took more than"):
            return load_zoo(spec)
    except (KeyboardInterrupt, TimeoutError) as error:
        raise ZooError(f"zoo '{spec}' cannot be imported: {error_text(error)}") from None


def _as_stored(evidence: Evidence) -> Evidence:
    """Return evidence as it comes back from its record. Raises what a zoo's value of a wrong type makes of it."""
    return _DECODER.decode(encode(evidence, enc_hook=str))


def _measure(need: Need, spec: str, zoo: Zoo, key: str) -> Evidence:
    known_as = name_in(zoo, need)
    evidence = replace(blank(need, spec, key), known_as=known_as)
    config = preprocessing_of(zoo, known_as)
    channels = config.input_size[0] if config else 3
    own = config.input_size[1:] if config else DEFAULT_SIZE
    size = need.size or own
    is_assumed = config is None and need.size is None
    measured = measure_model(zoo, known_as, (channels, *size), need.questions, is_assumed)
    refused = None
    if measured.unrun and size != own:
        parameters = tuple(question for question in need.questions if question.field != "flops")
        at_own = measure_model(zoo, known_as, (channels, *own), parameters)
        if at_own.counts:
            refused, measured = measured.unrun.error, at_own
    if measured.error:
        near = ""
        with suppress(Exception):  # a list of names that fails is not what went wrong
            evidence = replace(evidence, near_names=similar_names(zoo, known_as))
            if spec not in BUILT_IN and evidence.near_names is None and measured.error.startswith(NO_SUCH):
                near = did_you_mean(known_as, names_in_source(spec))
        return replace(evidence, error=f"{measured.error}{near}")
    stated_results = getattr(zoo, "stated_results", None) if spec in BUILT_IN else None
    return replace(
        evidence,
        counts=measured.counts,
        unrun=measured.unrun,
        reproductions=measured.reproductions,
        takes=measured.takes,
        preprocessing=config,
        recipe=None if spec in BUILT_IN else recipe_of_zoo(zoo.recipe(known_as)),
        refused=refused,
        siblings=tuple(_siblings(zoo, known_as, need, measured)) if spec in BUILT_IN else (),
        stated_results=stated_results(known_as) if stated_results else (),
    )


def _siblings(zoo: Zoo, known_as: str, need: Need, measured: Measured) -> Iterator[SiblingCounts]:
    """Yield the counts with each other head that the zoo has under this name, if its own does not have what is stated.

    Weights of one name may have 21,841 classes or 1,000, and a card may mean either.
    """
    weights_of = getattr(zoo, "weights_of", None)
    counts = measured.counts
    stated = [question.number for question in need.questions if question.field == "parameters"]
    if not weights_of or not counts or all(equal_as_written(counts.parameters, number) for number in stated):
        return
    tried = {counts.head.classes if counts.head else 0}
    for name, classes in weights_of(known_as):
        if classes not in tried or not classes:  # without a number of classes it is another form of the network
            tried.add(classes)
            found = measure_model(zoo, name, counts.input_shape, ()).counts
            if found:
                yield SiblingCounts(name, classes, found.parameters, found.multiply_adds)


def name_in(zoo: Zoo, need: Need) -> str:
    """Return a zoo's name of a model: from a table of names, by the zoo's own renames, or the card's name."""
    if need.network:
        return need.network
    known_as = getattr(zoo, "known_as", None)
    return str(known_as(need.model, need.weights)) if known_as else need.model


def blank(need: Need, spec: str, key: str, error: str | None = None) -> Evidence:
    """Return evidence with an environment and no measurements."""
    environment = Environment(
        measured=now(),
        seconds=0.0,
        device="meta",
        python=platform.python_version(),
        torch=str(torch.__version__),  # not torch's own class: unpickling that would import torch
        zoo=f"{spec} {zoo_version(spec)}".rstrip(),
        processor=f"{platform.machine()}, {os.cpu_count()} cores",
    )
    return Evidence(need.model, spec, need.model, key, None, (), None, error, environment)


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
        return _count_and_explain(model, lambda: _build(zoo, name), name, input_shape, questions, is_assumed)
    except (MemoryError, TimeoutError):
        raise
    except Exception as raised:
        return Measured(name, None, error=error_text(raised))


def _count_and_explain(
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
        unrun = count_unrun(model, input_shape, error_text(raised))
        return Measured(name, None, _explain_unrun(model, unrun, questions), unrun=unrun)
    counts = counts_of_tally(model, input_shape, ran)
    counts = replace(counts, merged=count_merged(model, build, counts))
    reproductions = explain(model, counts, input_shape[1:], questions, ran, is_assumed)
    return Measured(name, counts, reproductions, takes=tuple(_try_sides(model, input_shape[0], questions)))


def _explain_unrun(model: nn.Module, unrun: Unrun, questions: tuple[Question, ...]) -> tuple[Reproduction, ...]:
    """Explain stated numbers of parameters by ways of counting for which nothing has to run."""
    about = tuple(question for question in questions if question.field == "parameters")
    nothing_ran = counts_of_tally(model, unrun.input_shape, Tally())
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

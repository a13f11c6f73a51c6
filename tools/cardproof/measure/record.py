"""Evidence for one model: what its zoo says of it, what was counted, and where that happened. Runs in a worker."""

from __future__ import annotations

import os
import platform
import sys
import sysconfig
import time
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from msgspec.structs import replace

from cardproof.core.clock import now, time_limit
from cardproof.core.types import Environment, Evidence, Need
from cardproof.evidence.records import source_state
from cardproof.measure.worker import measure_model
from cardproof.zoos import BUILT_IN, Zoo, ZooError, load_zoo, preprocessing_of, recipe_in_words, version_of_zoo

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_SIZE = (224, 224)
"""Where neither card nor zoo states an image size: that of ImageNet evaluations since AlexNet."""


TIME_LIMIT = 300
"""Seconds that building, counting and explaining one model may take; the largest of timm's take two."""


def evidence_for(need: Need, spec: str, key: str) -> Evidence:
    """Build, count and explain one model; trouble becomes the evidence's error.

    Raises ZooError where the zoo itself cannot be loaded.
    """
    started = time.perf_counter()
    torch.set_num_threads(1)
    before = set(sys.modules)
    zoo = load_zoo(spec)
    try:
        with time_limit(TIME_LIMIT, "measuring it took more than"):
            evidence = _measured(need, spec, zoo, key)
    except ZooError:
        raise
    except BaseException as trouble:  # a zoo is foreign code, and may raise or exit as it likes
        evidence = blank(need, spec, key, f"{type(trouble).__name__}: {trouble}")
    sources: tuple[tuple[str, str], ...] = ()
    if spec not in BUILT_IN:
        _loaded.update(_sources(set(sys.modules) - before))
        sources = tuple(sorted(_loaded.items()))
    seconds = round(time.perf_counter() - started, 3)
    return replace(evidence, sources=sources, environment=replace(evidence.environment, seconds=seconds))


def _measured(need: Need, spec: str, zoo: Zoo, key: str) -> Evidence:
    known_as = name_in(zoo, need)
    evidence = replace(blank(need, spec, key), known_as=known_as)
    config = preprocessing_of(zoo, known_as)
    channels = config.input_size[0] if config else 3
    own = config.input_size[1:] if config else DEFAULT_SIZE
    size = need.size or own
    measured = measure_model(zoo, known_as, (channels, *size), need.questions)
    refused = None
    if measured.error and size != own:
        refused = measured.error
        parameters = tuple(question for question in need.questions if question.field != "flops")
        measured = measure_model(zoo, known_as, (channels, *own), parameters)
    if measured.error:
        return replace(evidence, error=measured.error)
    return replace(
        evidence,
        counts=measured.counts,
        reproductions=measured.reproductions,
        takes=measured.takes,
        preprocessing=config,
        recipe=None if spec in BUILT_IN else recipe_in_words(zoo.recipe(known_as)),
        refused=refused,
    )


def name_in(zoo: Zoo, need: Need) -> str:
    """Return what a zoo calls a model: by a table of names, by its own renames, or as the card does."""
    if need.network:
        return need.network
    known = getattr(zoo, "known_as", None)
    return str(known(need.model, need.weights)) if known else need.model


_loaded: dict[str, str] = {}
"""What zoos have loaded into this process, as :func:`_sources` gives it: a second model loads nothing again, and rests
on the same files. They are as they were when they were loaded, whatever happened to them since."""


def _sources(modules: set[str]) -> dict[str, str]:
    """Return what these modules come from: files with their digests, distributions with their versions."""
    installed = tuple(str(Path(sysconfig.get_path(kind)).resolve()) for kind in ("purelib", "platlib"))
    standard = str(Path(sysconfig.get_path("stdlib")).resolve())
    names: set[str] = set()
    for module in modules:
        file = getattr(sys.modules.get(module), "__file__", None)
        path = str(Path(file).resolve()) if file else ""
        if path.startswith(installed):
            names.update(_distributions().get(module.partition(".")[0], ()))
        elif path.endswith(".py") and not path.startswith(standard) and not module.startswith("cardproof."):
            names.add(Path(os.path.relpath(path)).as_posix())
    return {name: source_state(name) for name in names if name not in _loaded}


@cache
def _distributions() -> Mapping[str, list[str]]:
    """Return the distributions of each top-level package, looked up once a worker at most: it takes half a second."""
    return packages_distributions()


def blank(need: Need, spec: str, key: str, error: str | None = None) -> Evidence:
    """Return evidence of nothing but where and when it was asked for."""
    environment = Environment(
        measured=now(),
        seconds=0.0,
        device="meta",
        python=platform.python_version(),
        torch=str(torch.__version__),  # a class of torch's own: who reads it elsewhere would import torch for it
        zoo=_zoo_version(spec),
        processor=f"{platform.machine()}, {os.cpu_count()} cores",
    )
    return Evidence(need.model, spec, need.model, key, None, (), None, error, environment)


def _zoo_version(spec: str) -> str:
    """Return name and version of the distribution behind a zoo; the zoo's own name where it is no distribution."""
    return f"{spec} {version_of_zoo(spec)}".rstrip()

"""Evidence for one model: what its zoo says of it, what was counted, and where that happened. Runs in a worker."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache

import torch

from cardproof.measure.worker import measure_model
from cardproof.words import Environment, Evidence, Need, Preprocessing
from cardproof.zoos import Zoo, ZooError, load_zoo, preprocessing_of

DEFAULT_SIZE = (224, 224)
"""Where neither card nor zoo states an image size: that of ImageNet evaluations since AlexNet."""


def evidence_for(need: Need, spec: str, key: str) -> Evidence:
    """Build, count and explain one model; trouble becomes the evidence's error."""
    started = time.perf_counter()
    torch.set_num_threads(1)
    zoo = _zoo(spec)
    try:
        known_as = _known_as(zoo, need)
        config = preprocessing_of(zoo, known_as)
    except ZooError:
        raise
    except Exception as trouble:  # a zoo is foreign code: whatever it raises is this model's trouble alone
        return _evidence(need, spec, need.model, key, None, f"{type(trouble).__name__}: {trouble}", started)
    channels = config.input_size[0] if config else 3
    size = need.size or (config.input_size[1:] if config else DEFAULT_SIZE)
    measured = measure_model(zoo, known_as, (channels, *size), need.questions)
    evidence = _evidence(need, spec, known_as, key, None if measured.error else config, measured.error, started)
    return replace(evidence, counts=measured.counts, reproductions=measured.reproductions)


@cache
def _zoo(spec: str) -> Zoo:
    return load_zoo(spec)


def _known_as(zoo: Zoo, need: Need) -> str:
    known_as = getattr(zoo, "known_as", None)
    return str(known_as(need.model, need.weights)) if known_as else need.model


def _evidence(
    need: Need, spec: str, known_as: str, key: str, config: Preprocessing | None, error: str | None, started: float
) -> Evidence:
    environment = Environment(
        measured=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        seconds=round(time.perf_counter() - started, 3),
        device="meta",
        python=platform.python_version(),
        torch=torch.__version__,
        zoo=_zoo_version(spec),
        processor=f"{platform.machine()}, {os.cpu_count()} cores",
    )
    return Evidence(need.model, spec, known_as, key, None, (), config, error, environment)


def _zoo_version(spec: str) -> str:
    """Return name and version of the distribution behind a zoo; the zoo's own name where it is no distribution."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"{spec} {version('cardproof' if spec == 'res2next' else spec)}"
    except (PackageNotFoundError, ValueError):
        return spec

"""Timing of forward passes; runs in a process that does nothing else."""

from __future__ import annotations

import platform
from importlib.metadata import packages_distributions, version
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING

import torch
from torch.utils.benchmark import Timer

from cardproof.core.clock import now
from cardproof.measure.record import DEFAULT_SIZE, name_in
from cardproof.measure.speeds import Conditions, Speed
from cardproof.zoos import load_zoo, preprocessing_of
from res2next.distributed import convolution_precision
from res2next.errors import EngineNotAvailable
from res2next.inference import Exported, choose_engine

if TYPE_CHECKING:
    from cardproof.core.types import Need

LEAST_PASSES = 5
"""Minimum number of timed forward passes of a network."""


def current_conditions(device: str, threads: int, batch: int, engine: str) -> Conditions:
    """Return the conditions of a measurement in this process. Raises ValueError if device or engine is missing."""
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: no GPU is visible")
    try:
        chosen = choose_engine(engine, device)
    except EngineNotAvailable as error:
        raise ValueError(f"--engine {engine}: {error}") from None
    name = torch.cuda.get_device_name() if device == "cuda" else _processor()
    known = chosen if chosen == "torch" else f"{chosen} {_version(chosen)}"
    precision = convolution_precision(torch.device(device), mixed=False)
    return Conditions(device, name, threads, batch, precision, str(torch.__version__), engine=known)


def _version(package: str) -> str:
    """Return the version of an installed package, which distributions of several names may bring."""
    return version(packages_distributions()[package][0])


def time_network(need: Need, zoo_name: str, network: str, conditions: Conditions, seconds: float) -> Speed:
    """Time a network of a zoo for at least ``seconds`` and :data:`LEAST_PASSES` passes; raises what the network raises.

    Weights are random, as the time does not depend on them. ``network`` is the digest of the network's source.
    """
    zoo = load_zoo(zoo_name)
    name = name_in(zoo, need)
    config = preprocessing_of(zoo, name)
    channels, *own = config.input_size if config else (3, *DEFAULT_SIZE)
    height, width = need.size or own
    model = zoo.build(name).eval().to(conditions.device)
    images = torch.randn((conditions.batch, channels, height, width), generator=torch.Generator().manual_seed(0)).to(
        conditions.device
    )
    if conditions.engine != "torch":
        model = Exported(model, choose_engine(conditions.engine.split()[0]), threads=conditions.threads)
    timer = Timer("model(images)", globals={"model": model, "images": images}, num_threads=conditions.threads)
    with torch.inference_mode():
        timer.timeit(1)  # allocates memory and selects kernels
        times = [time / conditions.batch for time in timer.blocked_autorange(min_run_time=seconds).times]
        times += [timer.timeit(1).median / conditions.batch for _ in range(LEAST_PASSES - len(times))]
    low, _, high = quantiles(times, n=4)
    # milliseconds with four digits: machines are not more stable than that
    middle, first, third = (float(f"{value * 1000:.4g}") for value in (median(times), low, high))
    return Speed(network, (channels, height, width), middle, (first, third), len(times), now())


def _processor() -> str:
    """Return the processor's name from Linux, or else from Python's ``platform``."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return " ".join(names[0].split()) if names else platform.processor() or platform.machine()

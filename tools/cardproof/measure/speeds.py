"""Speeds: time per image of all models of a site, measured in one session on one machine; and how they are measured.

Speeds can be compared only if they were measured on the same processor in the same way. So they are not part of the
models' evidence, which comes from many machines, but one sealed file with its conditions. Networks are timed in a
process that does nothing else; only there torch is imported.
"""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import field
from msgspec.structs import fields, replace

from cardproof.core.clock import now
from cardproof.core.errors import InputError
from cardproof.core.json import TamperedError, dump_sealed, load_sealed, to_plain_data
from cardproof.core.measurements import Stored
from cardproof.core.paths import show_path
from cardproof.zoos import load_zoo, preprocessing_of
from cardproof.zoos.source_digests import FAILED

if TYPE_CHECKING:
    from cardproof.core.types import Need

SCHEMA = "cardproof-speed/1"
METHOD = "speed/1"
"""Version of how a speed is measured: a new one makes all older speeds stale."""


class Conditions(Stored, frozen=True):
    """Conditions that all speeds of a file share."""

    device: str
    """``cpu`` or ``cuda``."""
    processor: str
    """Its name, as the system gives it."""
    threads: int
    """Of the processor, for one forward pass."""
    batch: int
    """Images in one forward pass."""
    precision: str
    """Of convolutions: ``float32``, or ``tf32`` on a GPU that rounds their inputs to 10 bits."""
    torch: str
    method: str = METHOD
    engine: str = "torch"
    """What computed the networks: ``torch``, or another with its version, such as ``openvino 2026.4.1``."""

    @property
    def computed_by(self) -> str:
        """The engine with its version."""
        return f"torch {self.torch}" if self.engine == "torch" else self.engine

    def differences(self, other: Conditions) -> str:
        """Describe the differences to other conditions; empty if there are none."""
        pairs = ((part.name, getattr(self, part.name), getattr(other, part.name)) for part in fields(self))
        return ", ".join(f"{name} {theirs} there, {ours} here" for name, ours, theirs in pairs if ours != theirs)


class Speed(Stored, frozen=True):
    """The time of one network."""

    network: str
    """Digest of its source: the speed is valid while that is unchanged."""
    size: tuple[int, int, int]
    """Channels, height and width of an image."""
    milliseconds: float
    """For one image: the median over forward passes, each divided by its number of images."""
    quartiles: tuple[float, float]
    """A quarter of the passes took less than the first, a quarter more than the second."""
    passes: int
    """Forward passes that were timed."""
    measured: str
    """Time in UTC, ISO 8601."""


class Speeds(Stored, frozen=True):
    """The speeds of a site's models."""

    conditions: Conditions
    models: dict[str, Speed] = field(default_factory=dict)
    """By the name of the model."""

    def of(self, model: str, network: str | None) -> Speed | None:
        """Return the valid speed of a model; None if it was not measured, or its network has changed."""
        found = self.models.get(model)
        known = network and not network.startswith(FAILED)
        valid = found and known and found.network == network and self.conditions.method == METHOD
        return found if valid else None

    def with_speed(self, model: str, speed: Speed) -> Speeds:
        """Add or replace the speed of a model."""
        return replace(self, models={**self.models, model: speed})


def dump_speeds(speeds: Speeds) -> str:
    """Return the text of a file of speeds."""
    return dump_sealed(SCHEMA, to_plain_data(replace(speeds, models=dict(sorted(speeds.models.items())))))


def load_speeds(path: Path) -> Speeds | None:
    """Read a file of speeds; None if missing. Raises InputError if it was edited by hand or by a newer cardproof."""
    try:
        return load_sealed(path, SCHEMA, Speeds)
    except FileNotFoundError:
        return None
    except TamperedError:
        message = f"{show_path(path)}:1:1: this file of speeds was changed after `cardproof speed` wrote it"
        raise InputError(f"{message}: restore it, or remove it and measure again") from None


LEAST_PASSES = 5
"""Minimum number of timed forward passes of a network."""


def current_conditions(device: str, threads: int, batch: int, engine: str) -> Conditions:
    """Return the conditions of a measurement in this process. Raises ValueError if device or engine is missing."""
    import torch

    from res2next.distributed import convolution_precision
    from res2next.errors import EngineNotAvailable
    from res2next.inference import choose_engine

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
    from importlib.metadata import packages_distributions, version

    return version(packages_distributions()[package][0])


def time_network(need: Need, zoo_name: str, network: str, conditions: Conditions, seconds: float) -> Speed:
    """Time a network of a zoo for at least ``seconds`` and :data:`LEAST_PASSES` passes; raises what the network raises.

    Weights are random, as the time does not depend on them. ``network`` is the digest of the network's source.
    """
    from statistics import median, quantiles

    import torch
    from torch.utils.benchmark import Timer

    from cardproof.measure.model_evidence import DEFAULT_SIZE, name_in
    from res2next.inference import Exported, choose_engine

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

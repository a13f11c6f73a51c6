"""Speeds: time per image of all models of a site, measured in one session on one machine.

Speeds can be compared only if they were measured on the same processor in the same way. So they are not part of the
models' evidence, which comes from many machines, but one sealed file with its conditions.
"""

from __future__ import annotations

from pathlib import Path

from msgspec import field
from msgspec.structs import fields, replace

from cardproof.core.errors import InputError
from cardproof.core.json import TamperedError, dump_sealed, load_sealed, to_plain_data
from cardproof.core.measurements import Stored
from cardproof.core.paths import show_path
from cardproof.zoos.digests import FAILED

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

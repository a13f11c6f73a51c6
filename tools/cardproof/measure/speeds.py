"""Speeds: how long a network takes for an image, measured for all models of a site in one go, on one machine.

Two speeds can be compared only where both were measured on the same processor in the same way. So they are not part of
each model's evidence, which people on many machines add to, but one sealed file with the conditions at its head.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import field
from msgspec.structs import fields, replace

from cardproof.core.errors import InputError
from cardproof.core.files import show_path
from cardproof.core.sealed_json import TamperedError, dump_sealed, load_sealed, plain
from cardproof.core.types import Stored

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = "cardproof-speed/1"
METHOD = "speed/1"
"""Version of how a speed is measured: a new one makes all older speeds stale."""


class Conditions(Stored, frozen=True):
    """What all speeds of a file have in common."""

    device: str
    """``cpu`` or ``cuda``."""
    processor: str
    """Its name, as the system gives it."""
    threads: int
    """Of the processor, for one forward pass."""
    batch: int
    """Images in one forward pass."""
    precision: str
    torch: str
    method: str = METHOD

    def differences(self, other: Conditions) -> str:
        """Say what is different there; empty for nothing."""
        pairs = ((part.name, getattr(self, part.name), getattr(other, part.name)) for part in fields(self))
        return ", ".join(f"{name} {theirs} there, {ours} here" for name, ours, theirs in pairs if ours != theirs)


class Speed(Stored, frozen=True):
    """How long one network takes."""

    network: str
    """Digest of its source: the speed is valid while that is the same."""
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
        """Return the speed of a model; None where it was not measured, or with another network under that name."""
        found = self.models.get(model)
        valid = found and network and found.network == network and self.conditions.method == METHOD
        return found if valid else None

    def with_speed(self, model: str, speed: Speed) -> Speeds:
        """Return these speeds with one more, or another one, of a model."""
        return replace(self, models={**self.models, model: speed})


def dump_speeds(speeds: Speeds) -> str:
    """Return the text of a file of speeds."""
    return dump_sealed(SCHEMA, plain(replace(speeds, models=dict(sorted(speeds.models.items())))))


def load_speeds(path: Path) -> Speeds | None:
    """Read a file of speeds; None where there is none yet.

    Raises InputError where it was edited by hand or written by a newer cardproof.
    """
    try:
        return load_sealed(path, SCHEMA, Speeds)
    except FileNotFoundError:
        return None
    except TamperedError:
        message = f"{show_path(path)}:1:1: this file of speeds is not as `cardproof speed` wrote it"
        raise InputError(f"{message}: restore it, or remove it and measure again") from None

"""Checkpoints of a training run, written atomically, so that it can be killed at any moment."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any, TypedDict

import torch

from res2next.errors import Res2NextError
from res2next.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import Tensor

MOST_CHECKPOINTS = 2
"""The older one is used if the newer is damaged."""


class CheckpointError(Res2NextError, RuntimeError):
    """A run that cannot be continued: its checkpoints are of another run, or unreadable."""


class Best(TypedDict):
    """The weights of an epoch, for a recipe that keeps the best: a dict, which can be loaded without running code."""

    epoch: int
    """From 1."""
    correct: int
    """Held-out images that these weights classify correctly."""
    weights: dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state that training continues from."""

    run: dict[str, str]
    """Identity of the run: settings of the recipe, digest of the data, number of held-out images."""
    step: int
    """Updates done."""
    network: dict[str, Tensor]
    average: dict[str, Tensor] | None
    """The moving average of the weights, if the recipe has one."""
    optimizer: dict[str, Any]
    scaler: dict[str, Any]
    loss: float
    """Sum over the updates of the epoch so far."""
    log_bytes: int
    """Length of the log; later rows are of updates that will be repeated."""
    best: Best | None = None
    """The best epoch so far, if the recipe keeps it."""
    seconds: float = 0.0
    """Duration of training so far."""


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; remove all but the last two, and partial files of killed processes."""
    folder.mkdir(parents=True, exist_ok=True)
    buffer = BytesIO()
    # not dataclasses.asdict, which copies every tensor
    torch.save({name: getattr(checkpoint, name) for name in Checkpoint.__slots__}, buffer)
    write_atomic(folder / f"step-{checkpoint.step:09d}.pt", buffer.getvalue())
    for old in (*list_checkpoints(folder)[:-MOST_CHECKPOINTS], *folder.glob(".step-*.partial")):
        old.unlink()


def load_newest(folder: Path, run: Mapping[str, str], notice: Callable[[str], None]) -> Checkpoint | None:
    """The last checkpoint of a folder that can be read; None if there is none.

    Args:
        run: the expected identity of the run.
        notice: called with a message about an unreadable checkpoint.

    Raises:
        CheckpointError: it is of another run, or none of them can be read.
    """
    paths = list_checkpoints(folder)
    for path in reversed(paths):
        checkpoint = _read(path)
        if checkpoint is None:
            notice(f"{path} is damaged; the checkpoint before it is taken")
            continue
        differences = [
            f"{key} was {checkpoint.run.get(key, 'not set')} and is {run.get(key, 'not set')}"
            for key in sorted({*run, *checkpoint.run})
            if run.get(key) != checkpoint.run.get(key)
        ]
        if differences:
            raise CheckpointError(
                f"{path} is of another run: {'; '.join(differences)}. Continue it as it was started, or train into "
                "another folder"
            )
        return checkpoint
    if paths:
        raise CheckpointError(f"no checkpoint in {folder} can be read; train into another folder")
    return None


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a folder, oldest first."""
    return sorted(folder.glob("step-*.pt"))


def _read(path: Path) -> Checkpoint | None:
    try:
        # tensors and plain values only: no code of a pickle runs
        return Checkpoint(**torch.load(path, map_location="cpu", weights_only=True))
    except (RuntimeError, UnpicklingError, EOFError, ValueError, KeyError, TypeError, OSError):
        return None  # torch raises any of these for a truncated file

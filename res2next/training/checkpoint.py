"""Checkpoints of a training run: whole or not there, so that it can be killed at any moment."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import torch

from res2next.errors import Res2NextError
from res2next.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import Tensor

KEPT = 2
"""Checkpoints that stay; the older one serves if a disk damaged the newer."""


class CheckpointError(Res2NextError, RuntimeError):
    """A run that cannot be continued: its checkpoints are of another run, or none can be read."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All that training goes on from."""

    run: dict[str, str]
    """What the run is of: each setting of the recipe, the data's digest, the images held out."""
    step: int
    """Updates that are done."""
    network: dict[str, Tensor]
    average: dict[str, Tensor] | None
    """The moving average of the weights, if the recipe has one."""
    optimizer: dict[str, Any]
    scaler: dict[str, Any]
    loss: float
    """Sum over the updates of the epoch so far."""
    log_bytes: int
    """Length of the log; rows after it are of updates that will be done again."""


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; remove all but the last two, and what a kill left half written."""
    folder.mkdir(parents=True, exist_ok=True)
    buffer = BytesIO()
    # not dataclasses.asdict, which copies every tensor
    torch.save({name: getattr(checkpoint, name) for name in Checkpoint.__slots__}, buffer)
    write_whole(folder / f"step-{checkpoint.step:09d}.pt", buffer.getvalue())
    for old in (*saved(folder)[:-KEPT], *folder.glob(".step-*.partial")):
        old.unlink()


def newest(folder: Path, run: Mapping[str, str], notice: Callable[[str], None]) -> Checkpoint | None:
    """The last checkpoint of a folder that can be read; None if there is none.

    Args:
        run: what the checkpoint has to be of.
        notice: told of a checkpoint that cannot be read.

    Raises:
        CheckpointError: it is of another run, or none of them can be read.
    """
    paths = saved(folder)
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


def saved(folder: Path) -> list[Path]:
    """The checkpoints of a folder, oldest first."""
    return sorted(folder.glob("step-*.pt"))


def _read(path: Path) -> Checkpoint | None:
    try:
        # tensors and plain values only: no code of a pickle runs
        return Checkpoint(**torch.load(path, map_location="cpu", weights_only=True))
    except (RuntimeError, UnpicklingError, EOFError, ValueError, KeyError, TypeError, OSError):
        return None  # torch tells of a file that was cut short in any of these ways

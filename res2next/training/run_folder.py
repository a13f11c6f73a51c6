"""The folder of a run: its checkpoints, its log and its weights, written so that it can be killed at any moment."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import asdict, dataclass, fields
from io import BytesIO
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save as as_safetensors

from res2next.datasets.folder import PREFIX
from res2next.distributed import convolution_precision
from res2next.errors import Res2NextError
from res2next.files import file_digest, write_atomic
from res2next.registry import ENTRIES
from res2next.training.monitor import Listeners
from res2next.training.run import Checkpoint, initial_file
from res2next.training_log import LogHeader, TrainingLog, start_log, tensorboard, truncate_log, with_kept_epoch
from res2next.weights.read import as_header

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from res2next.datasets import ImageSet
    from res2next.distributed import World
    from res2next.recipes import Augmentation, Recipe
    from res2next.training.monitor import Listener
    from res2next.training.run import Run
    from res2next.weights.read import Metadata


MOST_CHECKPOINTS = 2
"""The older one is used if the newer is damaged."""

MOST_IN_A_TAG = 40
"""Characters of the name of a folder in the names of files."""


class FolderInUse(Res2NextError, RuntimeError):  # noqa: N818 - it says what is the matter
    """A folder that already has a run."""


@dataclass(frozen=True, slots=True)
class Trained:
    """The result of training."""

    weights: Path
    """``MODEL-TAG-HASH.safetensors``, the hash being the first eight digits of the file's SHA-256."""
    log: Path
    """The log, under the same name with ``.csv``."""
    step: int
    """Updates done."""


class RunFolder:
    """The folder of a run: ``log.csv``, ``checkpoints``, ``tensorboard``, and finally weights with their log."""

    def __init__(self, path: Path, header: LogHeader, stated: Metadata | None = None) -> None:
        self.path = path
        self.header = header
        self.stated = stated
        """What the weights say about themselves."""
        self.log = path / "log.csv"
        self.checkpoints = path / "checkpoints"
        self.identity = run_identity(header)

    def start(self, run: Run, resume: bool, listener: Listener | None) -> Listeners:
        """Start a run in the folder, or continue it.

        Returns:
            The listeners; none except on the first process.

        Raises:
            FolderInUse: it has a run and ``resume`` is False, or a finished run without checkpoints.
            CheckpointError: it has another run, or a damaged one.
        """
        notices: list[str] = []
        self._check_unused(resume)
        checkpoint = load_checkpoint(self.checkpoints, self.identity, notices.append) if resume else None
        if checkpoint is not None:
            run.restore(checkpoint)
        run.world.barrier()  # no process writes before all have read
        if run.world.rank > 0:
            return Listeners(())
        if checkpoint is None:
            self.path.mkdir(parents=True, exist_ok=True)
            start_log(self.log, self.header)
        else:
            truncate_log(self.log, checkpoint.log_bytes)
        board = tensorboard(self.path / "tensorboard", run.step)
        if board is None:
            notices.append("no log for TensorBoard: it is not installed (pip install tensorboard); log.csv has it all")
        notices.append(f"training on {self.header.device} in {self.header.precision}")
        listeners = Listeners((TrainingLog(self.log, board), *(() if listener is None else (listener,))))
        for text in notices:
            listeners.notice(text)
        return listeners

    def save_checkpoint(self, run: Run) -> None:
        """Write a checkpoint. Every process must call this; the first writes."""
        loss = run.shared_loss()
        if run.world.rank == 0:
            checkpoint = Checkpoint(
                run=self.identity,
                step=run.step,
                network=run.network.state_dict(),
                average=run.average,
                optimizer=run.optimizer.state_dict(),
                scaler=run.scaler.state_dict(),
                loss=loss,
                log_bytes=self.log.stat().st_size,
                best=run.best,
                seconds=run.seconds,
            )
            write_checkpoint(self.checkpoints, checkpoint)

    def finish(self, run: Run) -> Trained | None:
        """Write the weights, and the log with the same name."""
        if run.world.rank > 0:
            return None
        # one entry: several would come in any order, and the same weights would have another digest
        entries = {"format": "pt"} if self.stated is None else as_header(self.stated)
        content = as_safetensors(run.result(), metadata=entries)
        tag = weights_tag(self.header.dataset)
        stem = f"{run.recipe.model}-{tag}-{hashlib.sha256(content).hexdigest()[:8]}"
        weights, log = self.path / f"{stem}.safetensors", self.path / f"{stem}.csv"
        write_atomic(log, with_kept_epoch(self.log, run.best["epoch"]) if run.best else self.log.read_bytes())
        write_atomic(weights, content)
        return Trained(weights, log, run.step)

    def _check_unused(self, resume: bool) -> None:
        finished = sorted(self.path.glob("*.safetensors"))
        started = list_checkpoints(self.checkpoints)
        if finished and not (resume and started):
            raise FolderInUse(f"{self.path} has a finished run, {finished[0].name}; train into another folder")
        if started and not resume:
            raise FolderInUse(
                f"{self.path} has a run that was begun; continue it with --resume, or take another folder"
            )


# --- Checkpoints ---


class CheckpointError(Res2NextError, RuntimeError):
    """A run that cannot be continued: its checkpoints are of another run, or unreadable."""


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; remove all but the last two, and partial files of killed processes."""
    folder.mkdir(parents=True, exist_ok=True)
    buffer = BytesIO()
    # not dataclasses.asdict, which copies every tensor
    torch.save({name: getattr(checkpoint, name) for name in Checkpoint.__slots__}, buffer)
    write_atomic(folder / f"step-{checkpoint.step:09d}.pt", buffer.getvalue())
    for old in (*list_checkpoints(folder)[:-MOST_CHECKPOINTS], *folder.glob(".step-*.partial")):
        old.unlink()


def load_checkpoint(folder: Path, run: Mapping[str, str], notice: Callable[[str], None]) -> Checkpoint | None:
    """The last checkpoint of a folder that can be read; None if there is none.

    Args:
        run: the expected identity of the run.
        notice: called with a message about an unreadable checkpoint.

    Raises:
        CheckpointError: it is of another run, or none of them can be read.
    """
    paths = list_checkpoints(folder)
    for path in reversed(paths):
        checkpoint = _read_checkpoint(path)
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


def _read_checkpoint(path: Path) -> Checkpoint | None:
    try:
        # tensors and plain values only: no code of a pickle runs
        return Checkpoint(**torch.load(path, map_location="cpu", weights_only=True))
    except (RuntimeError, UnpicklingError, EOFError, ValueError, KeyError, TypeError, OSError):
        return None  # torch raises any of these for a truncated file


# --- Log header, identity, and names of files ---


def make_header(recipe: Recipe, data: ImageSet, held_out: int, world: World, *, compiled: bool = False) -> LogHeader:
    """The header of a run's log."""
    return LogHeader(
        recipe=recipe,
        dataset=data.info.name,
        digest=data.digest,
        images=len(data) - held_out,
        held_out=held_out,
        device=world.device.type,
        processes=world.size,
        versions={"python": platform.python_version(), "torch": torch.__version__},
        initial_digest=None if (file := initial_file(recipe, world)) is None else file_digest(file),
        precision=convolution_precision(world.device, mixed=recipe.mixed_precision),
        compiled=compiled,
    )


def run_identity(header: LogHeader) -> dict[str, str]:
    """Values that must be equal to continue a run. Device, versions and number of processes may change."""
    values = {f"recipe.{key}": value for key, value in identity_of_recipe(header.recipe).items()}
    values |= {"digest of the data": header.digest, "images held out": header.held_out}
    if header.initial_digest is not None:
        values["digest of the initial weights"] = header.initial_digest
    return {key: str(value) for key, value in values.items()}


LATER_KEYS = ("clip_norm", "drop_path", "drop_rate", "keep", "loss", "sync_batch_norm")
LATER_KEYS_OF_AUGMENTATION = ("magnitude", "randaugment")
"""Keys that the recipes of earlier checkpoints do not have; at their defaults they do not make another run."""


def identity_of_recipe(recipe: Recipe) -> dict[str, Any]:
    """All keys of a recipe with their values, without those that earlier versions did not have and that are default."""
    values = _without_defaults(recipe, LATER_KEYS)
    return values | {"augmentation": _without_defaults(recipe.augmentation, LATER_KEYS_OF_AUGMENTATION)}


def _without_defaults(settings: Recipe | Augmentation, names: Sequence[str]) -> dict[str, Any]:
    defaults = {entry.name: entry.default for entry in fields(settings)}
    return {name: value for name, value in asdict(settings).items() if name not in names or value != defaults[name]}


def weights_tag(dataset: str) -> str:
    """The tag of a data set in names of weights: the registry's, such as ``in1k`` for ImageNet, or a folder's name."""
    known = next((entry.tag for entry in ENTRIES if entry.dataset == dataset), None)
    letters = "".join(c if c.isascii() and c.isalnum() else "_" for c in dataset.lower().removeprefix(PREFIX))
    return known or letters[:MOST_IN_A_TAG] or "folder"

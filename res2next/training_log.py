"""The log of a training run: a CSV file after a header in comments. Read without torch.

The log of the weights ``X.safetensors`` is ``X.csv`` in the same folder.
"""

from __future__ import annotations

import csv
import json
import os
from dataclasses import asdict, dataclass, fields, replace
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from res2next.errors import Res2NextError
from res2next.recipes import Recipe, make_recipe

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.resources.abc import Traversable
    from pathlib import Path

    from res2next.registry import Entry


class LogError(Res2NextError, ValueError):
    """A file that is not a log of a training run."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of training."""

    epoch: int
    """From 1."""
    epochs: int
    step: int
    """Updates done."""
    steps: int
    learning_rate: float
    loss: float
    images_per_second: float
    seconds_left: float


@dataclass(frozen=True, slots=True)
class LogHeader:
    """The inputs of a run."""

    recipe: Recipe
    dataset: str
    digest: str
    """Of the training split, including the held-out images."""
    images: int
    """Of the training split, without the held-out images."""
    held_out: int
    device: str
    processes: int
    versions: Mapping[str, str]
    """Of Python and torch, when training started."""
    initial_digest: str | None = None
    """Of the file of weights that training started from."""
    precision: str | None = None
    """Type of convolutions when training started: float32, tf32, bfloat16 or float16; None in older logs."""
    compiled: bool = False
    """Whether the network was compiled when training started, which changes results by rounding."""
    kept_epoch: int | None = None
    """Epoch of the weights, in the log next to them, if the recipe keeps the best."""


@dataclass(frozen=True, slots=True)
class LogRow:
    """One epoch."""

    epoch: int
    """From 1."""
    step: int
    """Updates since the start of training."""
    learning_rate: float
    """Of the epoch's last update."""
    train_loss: float
    """Mean over the epoch's updates, on augmented images."""
    images_per_second: float
    """Mean since training was started or continued, including time for checkpoints and held-out images."""
    held_out_correct: int | None = None
    held_out_loss: float | None = None
    seconds: float | None = None
    """Duration of training so far, without the time between an interruption and its continuation."""


@dataclass(frozen=True, slots=True)
class TrainingCurve:
    """The course of a training run."""

    losses: tuple[tuple[int, float], ...]
    """Epoch, and its mean training loss."""
    accuracies: tuple[tuple[int, float], ...]
    """Epoch, and share of held-out images whose class has the highest logit; empty if no images were held out."""
    held_out: int
    """Number of held-out images."""
    seconds: float
    """Duration; 0 in logs of earlier versions, which do not have it."""
    hardware: str | None
    """As the recipe states it."""


def logged_recipe(entry: Entry) -> Recipe | None:
    """The recipe in the log of an entry's weights; None for weights that are not bundled.

    Raises:
        LogError: the bundled log is missing or damaged.
        RecipeError: its recipe is invalid.
    """
    log = _log_file(entry)
    return None if log is None else read_log_header(log).recipe


def logged_curve(entry: Entry) -> TrainingCurve | None:
    """The course of the training of an entry's weights; None for weights that are not bundled.

    Raises:
        LogError: the bundled log is missing or damaged.
        RecipeError: its recipe is invalid.
    """
    log = _log_file(entry)
    return None if log is None else read_training_curve(log)


def _log_file(entry: Entry) -> Traversable | None:
    """The log of an entry's weights; None for weights that are not bundled."""
    if entry.weights.url is not None:
        return None
    return files("res2next").joinpath("pretrained", entry.weights.file.rpartition(".")[0] + ".csv")


def read_log_header(path: Path | Traversable) -> LogHeader:
    """The header of a log.

    Raises:
        LogError: the file is missing, or has no header.
        RecipeError: its recipe is invalid.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as trouble:
        raise LogError(f"{path} is not a log of a training run: {trouble}") from None
    comments = [line[1:] for line in lines if line.startswith("#")]
    try:
        values: dict[str, Any] = json.loads("\n".join(comments))
        recipe = make_recipe(values.pop("recipe"), str(path))
        return LogHeader(recipe=recipe, **values)
    except (json.JSONDecodeError, TypeError, KeyError, AttributeError) as trouble:
        raise LogError(f"{path} is not a log of a training run: its first lines are not a header ({trouble})") from None


def read_log_rows(path: Path | Traversable) -> list[dict[str, str]]:
    """The rows of a log, with the fields of :class:`LogRow` as text."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def read_training_curve(path: Path | Traversable) -> TrainingCurve:
    """The course of a training run, from its log.

    Raises:
        LogError: the file is missing or damaged, or has no epoch.
        RecipeError: its recipe is invalid.
    """
    header = read_log_header(path)
    try:
        rows = read_log_rows(path)
        correct = [(int(row["epoch"]), int(row["held_out_correct"])) for row in rows if row["held_out_correct"]]
        return TrainingCurve(
            losses=tuple((int(row["epoch"]), float(row["train_loss"])) for row in rows),
            accuracies=tuple((epoch, number / header.held_out) for epoch, number in correct),
            held_out=header.held_out,
            seconds=float(rows[-1].get("seconds") or 0),
            hardware=header.recipe.hardware,
        )
    except (ArithmeticError, LookupError, TypeError, ValueError) as trouble:
        raise LogError(f"{path} is not a log of a training run: {trouble}") from None


class TrainingLog:
    """Writes a log, row by row, and the same numbers for TensorBoard if it is installed."""

    def __init__(self, path: Path, board: Any) -> None:
        self.path = path
        self.columns = tuple(_read_columns(path))
        """Those that the log has: a run that an earlier version started goes on with fewer."""
        self.board = board
        """A ``SummaryWriter``, or None."""

    def progress(self, progress: Progress) -> None:
        """Show an update's numbers on TensorBoard; the file has only epochs."""
        if self.board is not None:
            self.board.add_scalar("step/train_loss", progress.loss, progress.step)
            self.board.add_scalar("step/learning_rate", progress.learning_rate, progress.step)

    def epoch(self, row: LogRow, held_out: int) -> None:
        """Append a row; it is on the disk when this returns."""
        values = [_format(getattr(row, column)) for column in self.columns]
        with self.path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(",".join(values) + "\n")
            file.flush()
            os.fsync(file.fileno())
        if self.board is not None:
            for column, value in asdict(row).items():
                if value is not None and column not in ("epoch", "step"):
                    self.board.add_scalar(f"epoch/{column}", value, row.step)
            self.board.flush()

    def notice(self, text: str) -> None:
        """Ignore notices."""

    def close(self) -> None:
        """Close TensorBoard's file."""
        if self.board is not None:
            self.board.close()


def start_log(path: Path, header: LogHeader) -> None:
    """Begin a log; an existing file is overwritten."""
    columns = ",".join(column.name for column in fields(LogRow))
    path.write_text(f"{_comments(header)}{columns}\n", encoding="utf-8", newline="\n")


def _read_columns(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if not line.startswith("#")).split(",")


def _comments(header: LogHeader) -> str:
    text = json.dumps(asdict(header), indent=1, sort_keys=True)
    return "".join(f"# {line}\n" for line in text.splitlines())


def with_kept_epoch(path: Path, epoch: int) -> bytes:
    """The content of a log, with the epoch of the weights in its header.

    Raises:
        LogError: the file is not a log.
    """
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    rows = "".join(line for line in lines if not line.startswith("#"))
    return (_comments(replace(read_log_header(path), kept_epoch=epoch)) + rows).encode()


def truncate_log(path: Path, length: int) -> None:
    """Truncate a log to ``length`` bytes: later rows are of updates that will be repeated.

    Raises:
        LogError: the file is shorter.
    """
    if not path.is_file() or path.stat().st_size < length:
        raise LogError(f"{path} lacks rows that were written before the last checkpoint; this run cannot go on")
    os.truncate(path, length)


def tensorboard(folder: Path, step: int) -> Any:
    """A ``SummaryWriter`` that continues after update ``step``; None if TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    # hides what was written of later updates before a kill
    return SummaryWriter(str(folder), purge_step=step + 1)


def _format(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)

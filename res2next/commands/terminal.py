"""Output on a terminal: progress bars on standard error, tables at the end."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import ProgressColumn, TaskID
    from rich.table import Table

    from res2next.distributed import World
    from res2next.recipes import Recipe
    from res2next.training import Progress as TrainingProgress
    from res2next.training_log import LogRow


@contextmanager
def progress_bar(*columns: ProgressColumn | str, shown: bool = True, quiet: bool = False) -> Iterator[Progress]:
    """A bar that disappears at the end; hidden unless ``shown`` and on a terminal. If ``quiet``, nothing is printed."""
    hidden = quiet or not (shown and sys.stderr.isatty())
    console = Console(stderr=True, quiet=quiet)
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        yield bar


def print_table(table: Table) -> None:
    """Print to standard output, without markup in names."""
    Console(highlight=False, markup=False).print(table)


# --- Training ---


SECONDS_BETWEEN_LINES = 60
"""Least time between two printed lines about an epoch, if no bar is shown."""


class TrainingDisplay:
    """Prints a line per epoch on standard error, and a bar on a terminal, elsewhere at most one more line a minute."""

    def __init__(self, bar: Progress, task: TaskID) -> None:
        self.bar, self.task = bar, task
        self.printed = time.monotonic()

    def progress(self, progress: TrainingProgress) -> None:
        if self.bar.disable:
            if time.monotonic() - self.printed >= SECONDS_BETWEEN_LINES:
                self.notice(_progress_line(progress))
            return
        self.bar.update(
            self.task,
            completed=progress.step,
            total=progress.steps,
            epoch=f"{progress.epoch}/{progress.epochs}",
            loss=f"{progress.loss:.3f}",
            rate=f"{progress.learning_rate:.4g}",
            speed=f"{progress.images_per_second:.0f}",
            left=_duration(progress.seconds_left),
        )

    def epoch(self, row: LogRow, held_out: int) -> None:
        self.notice(_line(row, held_out))

    def notice(self, text: str) -> None:
        self.printed = time.monotonic()
        self.bar.console.print(text, markup=False, highlight=False, emoji=False, soft_wrap=True)


@contextmanager
def training_display(recipe: Recipe, world: World, *, quiet: bool = False) -> Iterator[TrainingDisplay]:
    """The display of a run; only the first process shows a bar. If ``quiet``, nothing is printed."""
    start: dict[str, Any] = {"epoch": f"1/{recipe.epochs}", "loss": "-", "rate": "-", "speed": "-", "left": "-"}
    columns = ("epoch {task.fields[epoch]}", "loss {task.fields[loss]}", "lr {task.fields[rate]}")
    ends = ("{task.fields[speed]} images/s", "{task.fields[left]} left")
    texts = (TextColumn(column) for column in (*columns, *ends))
    with progress_bar(BarColumn(), *texts, shown=world.rank == 0, quiet=quiet) as bar:
        yield TrainingDisplay(bar, bar.add_task("training", total=None, **start))


def _line(row: LogRow, held_out: int) -> str:
    held = f"  held out {row.held_out_correct} of {held_out} right, loss {row.held_out_loss:.4f}" if held_out else ""
    speed = f"{row.images_per_second:.0f} images/s"
    return (
        f"epoch {row.epoch:>3}  update {row.step}  lr {row.learning_rate:.4g}  loss {row.train_loss:.4f}{held}  {speed}"
    )


def _progress_line(progress: TrainingProgress) -> str:
    return (
        f"epoch {progress.epoch:>3}  update {progress.step} of {progress.steps}  lr {progress.learning_rate:.4g}  "
        f"loss {progress.loss:.4f}  {progress.images_per_second:.0f} images/s  {_duration(progress.seconds_left)} left"
    )


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"

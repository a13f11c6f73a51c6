"""Output on a terminal: progress bars on standard error, tables at the end."""

from __future__ import annotations

import sys
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
def progress_bar(*columns: ProgressColumn | str, shown: bool = True) -> Iterator[Progress]:
    """A bar that disappears at the end; hidden unless ``shown`` and on a terminal."""
    hidden = not (shown and sys.stderr.isatty())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=hidden) as bar:
        yield bar


def print_table(table: Table) -> None:
    """Print to standard output, without markup in names."""
    Console(highlight=False, markup=False).print(table)


# --- Training ---


class TrainingDisplay:
    """Prints a line per epoch on standard error, with a bar if that is a terminal."""

    def __init__(self, bar: Progress, task: TaskID) -> None:
        self.bar, self.task = bar, task

    def progress(self, progress: TrainingProgress) -> None:
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
        self.bar.console.print(text, markup=False, highlight=False, emoji=False, soft_wrap=True)


@contextmanager
def training_display(recipe: Recipe, world: World) -> Iterator[TrainingDisplay]:
    """The display of a run; only the first process shows a bar."""
    start: dict[str, Any] = {"epoch": f"1/{recipe.epochs}", "loss": "-", "rate": "-", "speed": "-", "left": "-"}
    columns = ("epoch {task.fields[epoch]}", "loss {task.fields[loss]}", "lr {task.fields[rate]}")
    ends = ("{task.fields[speed]} images/s", "{task.fields[left]} left")
    texts = (TextColumn(column) for column in (*columns, *ends))
    with progress_bar(BarColumn(), *texts, shown=world.rank == 0) as bar:
        yield TrainingDisplay(bar, bar.add_task("training", total=None, **start))


def _line(row: LogRow, held_out: int) -> str:
    held = f"  held out {row.held_out_correct} of {held_out} right, loss {row.held_out_loss:.4f}" if held_out else ""
    speed = f"{row.images_per_second:.0f} images/s"
    return (
        f"epoch {row.epoch:>3}  update {row.step}  lr {row.learning_rate:.4g}  loss {row.train_loss:.4f}{held}  {speed}"
    )


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"

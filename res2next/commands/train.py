"""``python -m res2next train``: train a network by a recipe, or fine-tune one to images of one's own."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from res2next.commands import progress_bar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from PIL.Image import Image
    from rich.progress import Progress as ProgressBar
    from rich.progress import TaskID
    from torch import Tensor

    from res2next.datasets import ImageSet, Split
    from res2next.distributed import World
    from res2next.recipes import Recipe
    from res2next.training import Progress, Trained
    from res2next.training_log import LogRow


@click.command("train")
@click.argument("recipe")
@click.option("--data", metavar="PATH", help="Where the recipe's data set lies; or folder:PATH, images of your own.")
@click.option("--model", metavar="NAME", help="Another network to train by the recipe.")
@click.option("--weights", metavar="FILE", help="Start from these weights with a fresh head; or from `pretrained`.")
@click.option("--output", type=click.Path(path_type=Path), help="Folder of the run; runs/RECIPE unless given.")
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint in the folder, if there is one.")
@click.option("--hold-out", type=click.IntRange(min=0), default=0, metavar="N", help="Train without N of the images.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change the recipe; the log says so.")
@click.option("--amp", is_flag=True, help="Mixed precision, as --set mixed_precision=true.")
@click.option("--device", metavar="NAME", default="auto", show_default=True, help="cpu, cuda, cuda:1.")
@click.option("--workers", type=click.IntRange(min=0), default=4, show_default=True, help="Processes decoding photos.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of torch; all cores unless given.")
@click.option("--compile", "compiled", is_flag=True, help="Compile the network by torch.compile; the log says so.")
@click.option("-q", "--quiet", is_flag=True, help="Print no progress on standard error.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end.")
def train_(
    recipe: str,
    data: str | None,
    model: str | None,
    weights: str | None,
    output: Path | None,
    resume: bool,
    hold_out: int,
    settings: tuple[str, ...],
    amp: bool,
    device: str,
    workers: int,
    threads: int | None,
    compiled: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Train by RECIPE, the name of one that comes with the package or a YAML file.

    The folder of the run gets checkpoints, a log and, in the end, the weights as safetensors. Start it under
    torchrun for several GPUs or machines; what is learned stays the same but for rounding, the statistics of
    batch norm, and what is mixed or dropped. Interrupted or killed, it goes on with --resume.

    The recipe `finetune` goes from trained weights to the classes of your own images, which are in a folder for each
    class: `train finetune --data folder:PATH --model NAME`.
    """
    from res2next.datasets.folder import NOT_PUBLISHED
    from res2next.inference import keep_memory
    from res2next.recipes import changed, load_recipe

    changes = [*settings, *(["mixed_precision=true"] if amp else []), *([f"model={model}"] if model else [])]
    changes += [f"initial_weights={json.dumps(weights)}"] if weights else []
    changed_recipe = changed(load_recipe(recipe), changes)
    folder = output or Path("runs") / changed_recipe.name
    keep_memory()
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    trained, accuracy = _train_and_test(
        changed_recipe, data, folder, resume, hold_out, device, workers, compiled=compiled, quiet=quiet
    )
    if trained is None:
        return
    if as_json:
        summary = {"weights": str(trained.weights), "log": str(trained.log), "updates": trained.step}
        click.echo(json.dumps({**summary, "recipe": asdict(changed_recipe), "test": accuracy}, indent=1))
    else:
        click.echo(f"weights  {trained.weights}\nlog      {trained.log}")
        if accuracy is not None:
            mark = "" if accuracy["published"] else f" ({NOT_PUBLISHED})"
            click.echo(f"test     {accuracy['correct']} of {accuracy['images']} images right{mark}")


def _train_and_test(
    recipe: Recipe,
    data: str | None,
    folder: Path,
    resume: bool,
    hold_out: int,
    device: str,
    workers: int,
    *,
    compiled: bool,
    quiet: bool,
) -> tuple[Trained | None, dict[str, int] | None]:
    """Train, then measure the weights on the test images; not with a hold-out, since settings may still change."""
    from res2next.datasets.folder import FolderImages
    from res2next.distributed import join_processes
    from res2next.training import train

    images = _open(recipe, data, "train")
    no_test = isinstance(images, FolderImages) and not {"val", "test"} & {*images.splits}
    if isinstance(images, FolderImages):
        recipe = replace(recipe, dataset=images.info.name)
    with join_processes(device) as world, training_display(recipe, world, quiet=quiet) as listener:
        trained = train(
            recipe,
            images,
            folder,
            held_out=hold_out,
            resume=resume,
            world=world,
            workers=workers,
            compiled=compiled,
            listener=listener,
        )
        if trained and not hold_out and not no_test:
            return trained, _test(recipe, data, trained.weights, str(world.device))
    if trained and not hold_out:  # said with --quiet too, which is about progress
        text = "nothing was tested, as the images have no folder test or val: --hold-out N measures on N of the images"
        click.echo(text, err=True)
    return trained, None


def _open(
    recipe: Recipe, data: str | None, split: Split, transform: Callable[[Image], Tensor] | None = None
) -> ImageSet:
    """The user's own images, or those of the recipe's data set."""
    from res2next.datasets import open_dataset
    from res2next.datasets.folder import PREFIX
    from res2next.recipes import OWN_IMAGES

    if data is not None and data.startswith(PREFIX):
        return open_dataset(data, split=split, transform=transform)
    if recipe.dataset == OWN_IMAGES:
        raise click.UsageError(f"the recipe {recipe.name} is for images of your own: give --data {PREFIX}PATH")
    return open_dataset(recipe.dataset, None if data is None else Path(data), split=split, transform=transform)


def _test(recipe: Recipe, data: str | None, weights: Path, device: str) -> dict[str, int]:
    from res2next.create import create_model
    from res2next.evaluation import evaluate
    from res2next.registry import find
    from res2next.transforms import evaluation_transform
    from res2next.weights import load_weights

    images = _open(recipe, data, "test", evaluation_transform(find(recipe.model).preprocessing))
    network = create_model(recipe.model, num_classes=len(images.classes))
    load_weights(network, weights)
    result = evaluate(network, images, device=device)
    return {"correct": result.top1, "images": result.images, "published": result.published}


# --- Progress of training ---


SECONDS_BETWEEN_LINES = 60
"""Least time between two printed lines about an epoch, if no bar is shown."""


class TrainingDisplay:
    """Prints a line per epoch on standard error, and a bar on a terminal, elsewhere at most one more line a minute."""

    def __init__(self, bar: ProgressBar, task: TaskID) -> None:
        self.bar, self.task = bar, task
        self.printed = time.monotonic()

    def progress(self, progress: Progress) -> None:
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
    from rich.progress import BarColumn, TextColumn

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


def _progress_line(progress: Progress) -> str:
    return (
        f"epoch {progress.epoch:>3}  update {progress.step} of {progress.steps}  lr {progress.learning_rate:.4g}  "
        f"loss {progress.loss:.4f}  {progress.images_per_second:.0f} images/s  {_duration(progress.seconds_left)} left"
    )


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"

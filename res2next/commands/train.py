"""``python -m res2next train``: train a network by a recipe."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from res2next.distributed import World
    from res2next.recipes import Recipe
    from res2next.training import Progress, Trained
    from res2next.training_log import LogRow


@click.command("train")
@click.argument("recipe")
@click.option("--data", type=click.Path(path_type=Path), help="Where the recipe's data set lies.")
@click.option("--model", metavar="NAME", help="Another network to train by the recipe.")
@click.option("--output", type=click.Path(path_type=Path), help="Folder of the run; runs/RECIPE unless given.")
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint in the folder, if there is one.")
@click.option("--hold-out", type=click.IntRange(min=0), default=0, metavar="N", help="Train without N of the images.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change the recipe; the log says so.")
@click.option("--amp", is_flag=True, help="Mixed precision, as --set mixed_precision=true.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--workers", type=click.IntRange(min=0), default=4, show_default=True, help="Processes decoding photos.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of torch; all cores unless given.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end.")
def train_(
    recipe: str,
    data: Path | None,
    model: str | None,
    output: Path | None,
    resume: bool,
    hold_out: int,
    settings: tuple[str, ...],
    amp: bool,
    device: str,
    workers: int,
    threads: int | None,
    as_json: bool,
) -> None:
    """Train by RECIPE, the name of one that comes with the package or a YAML file.

    The folder of the run gets checkpoints, a log and, in the end, the weights as safetensors. Start it under
    torchrun for several GPUs or machines; what is learned stays the same but for rounding and the statistics of
    batch norm. Interrupted or killed, it goes on with --resume.
    """
    from res2next.recipes import changed, load_recipe

    changes = (*settings, *(("mixed_precision=true",) if amp else ()), *((f"model={model}",) if model else ()))
    followed = changed(load_recipe(recipe), changes)
    folder = output or Path("runs") / followed.name
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    trained, accuracy = _trained(followed, data, folder, resume, hold_out, device, workers)
    if trained is None:
        return
    if as_json:
        summary = {"weights": str(trained.weights), "log": str(trained.log), "updates": trained.step}
        click.echo(json.dumps({**summary, "recipe": asdict(followed), "test": accuracy}, indent=1))
    else:
        click.echo(f"weights  {trained.weights}\nlog      {trained.log}")
        if accuracy is not None:
            click.echo(f"test     {accuracy['correct']} of {accuracy['images']} images right")


def _trained(
    recipe: Recipe, data: Path | None, folder: Path, resume: bool, hold_out: int, device: str, workers: int
) -> tuple[Trained | None, dict[str, int] | None]:
    """Train, then measure the weights on the test images, once; not where a hold-out says that choices follow."""
    from res2next.datasets import open_dataset
    from res2next.distributed import joined
    from res2next.training import train

    images = open_dataset(recipe.dataset, data, split="train")
    with joined(device) as world, _listening(recipe, world) as listener:
        trained = train(
            recipe,
            images,
            folder,
            held_out=hold_out,
            resume=resume,
            world=world,
            workers=workers,
            listener=listener,
        )
        if trained is None or hold_out:
            return trained, None
        return trained, _test(recipe, data, trained.weights, str(world.device))


def _test(recipe: Recipe, data: Path | None, weights: Path, device: str) -> dict[str, int]:
    from res2next.create import create_model
    from res2next.datasets import open_dataset
    from res2next.evaluation import evaluate
    from res2next.registry import find
    from res2next.transforms import evaluation_transform
    from res2next.weights import load_weights

    transform = evaluation_transform(find(recipe.model).preprocessing)
    images = open_dataset(recipe.dataset, data, split="test", transform=transform)
    network = create_model(recipe.model, num_classes=len(images.classes))
    load_weights(network, weights)
    result = evaluate(network, images, device=device)
    return {"correct": result.top1, "images": result.images}


# --- What a person sees while it goes on ---


class _Terminal:
    """A line an epoch on standard error, and a bar if that is a terminal."""

    def __init__(self, bar: Bar, task: TaskID) -> None:
        self.bar, self.task = bar, task

    def progress(self, progress: Progress) -> None:
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
def _listening(recipe: Recipe, world: World) -> Iterator[_Terminal]:
    from rich.progress import BarColumn, TextColumn

    from res2next.commands.terminal import progress_bar

    start: dict[str, Any] = {"epoch": f"1/{recipe.epochs}", "loss": "-", "rate": "-", "speed": "-", "left": "-"}
    columns = ("epoch {task.fields[epoch]}", "loss {task.fields[loss]}", "lr {task.fields[rate]}")
    ends = ("{task.fields[speed]} images/s", "{task.fields[left]} left")
    texts = (TextColumn(column) for column in (*columns, *ends))
    with progress_bar(BarColumn(), *texts, shown=world.rank == 0) as bar:
        yield _Terminal(bar, bar.add_task("training", total=None, **start))


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

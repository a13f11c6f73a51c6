"""``python -m res2next evaluate``: measure a model on its data set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from res2next.datasets import ImageSet
    from res2next.distributed import World
    from res2next.evaluation import Evaluation
    from res2next.registry import Entry

MOST_LISTED = 3
"""Worst classes and most frequent confusions that are printed."""


@click.command("evaluate")
@click.argument("model")
@click.option("--dataset", metavar="NAME", help="The data set; the one that the model's classes are of unless given.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder or tar file of the data set.")
@click.option("--split", type=click.Choice(["test", "train"]), default="test", show_default=True)
@click.option("--weights", type=click.Path(path_type=Path), help="File of weights, or a folder with the model's own.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--batch-size", type=click.IntRange(min=1), default=64, show_default=True, help="Changes speed only.")
@click.option("--workers", type=click.IntRange(min=0), help="Processes that decode images; as the machine has cores.")
@click.option("--amp", is_flag=True, help="Mixed precision: faster on GPUs, and a few counts may differ.")
@click.option(
    "--optimize/--no-optimize",
    default=True,
    show_default=True,
    help="On a CPU, fold norms and fuse layers first: the same sums in another order.",
)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write the result to this JSON file.")
@click.option("--resume", is_flag=True, help="Go on with an evaluation to the same --output that was interrupted.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
def evaluate_(
    model: str,
    dataset: str | None,
    data: Path | None,
    split: str,
    weights: Path | None,
    device: str,
    batch_size: int,
    workers: int | None,
    amp: bool,
    optimize: bool,
    output: Path | None,
    resume: bool,
    as_json: bool,
) -> None:
    """Measure MODEL on all images of a data set: top-1 and top-5 as counts, loss, calibration, confusions.

    Start it under torchrun for several GPUs or machines: each image is counted once. With --output, what is done
    is kept in a folder next to that file until the file is written, and an evaluation that was killed goes on with
    --resume.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

    from res2next.commands.terminal import progress_bar
    from res2next.datasets import open_dataset
    from res2next.distributed import join_processes
    from res2next.evaluation import evaluate
    from res2next.evaluation.partial_results import forget_results
    from res2next.inference import keep_memory
    from res2next.registry import find
    from res2next.transforms import evaluation_transform

    keep_memory()
    if resume and output is None:
        raise click.UsageError("--resume goes on with an evaluation to a file: give the same --output again")
    partial = None if output is None else output.with_name(f"{output.name}.partial")
    entry = find(model)
    images = open_dataset(
        dataset or entry.dataset,
        data,
        split="train" if split == "train" else "test",
        transform=evaluation_transform(entry.preprocessing),
    )
    with join_processes(device) as world:
        network, digest = _load_network(entry, weights, images, world)
        if partial and not resume and world.rank == 0:
            forget_results(partial)
        world.barrier()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with progress_bar(*columns, shown=world.rank == 0) as bar:  # shows the share of the first process
            task = bar.add_task(entry.name, total=None)
            result = evaluate(
                network,
                images,
                device=str(world.device),
                batch_size=batch_size,
                workers=workers,
                amp=amp,
                optimized=optimize,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
                name=entry.name,
                weights=digest,
                world=world,
                partial=partial,
            )
        if world.rank == 0:
            _finish(result, output, partial, as_json)


def _load_network(entry: Entry, weights: Path | None, images: ImageSet, world: World) -> tuple[nn.Module, str]:
    """The network with its weights, and the digest of their file."""
    from res2next.create import create_model
    from res2next.weights import file_digest, load_weights, weights_path

    if images.info.name != entry.dataset and world.rank == 0:
        click.echo(f"note: {entry.name} knows the classes of {entry.dataset}; its weights must know others", err=True)
    if world.rank == 0:  # it downloads the file if necessary, for all
        weights_path(entry, weights)
    world.barrier()
    file = weights_path(entry, weights)
    network = create_model(entry.name, num_classes=images.info.num_classes)
    load_weights(network, file)
    return network, file_digest(file)


def _finish(result: Evaluation, output: Path | None, partial: Path | None, as_json: bool) -> None:
    """Write and print the result, then delete the partial results."""
    from res2next.evaluation.partial_results import forget_results
    from res2next.files import write_atomic

    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(output, f"{json.dumps(result.to_dict(), indent=1)}\n".encode())
    if partial:
        forget_results(partial)
    _print(result, as_json)


def _print(result: Evaluation, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(result.to_dict(), indent=1))
        return
    from rich.table import Table

    from res2next.commands.terminal import print_table

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    for label, text in _lines(result):
        table.add_row(label, text)
    print_table(table)


def _lines(result: Evaluation) -> Iterator[tuple[str, str]]:
    """Label and text of each line."""
    yield "model", f"{result.model}, weights {result.weights_digest[:15]}"
    yield "data set", f"{result.dataset} {result.split}, {result.images:,} images, {result.data_digest[:15]}"
    yield "top-1", _share(result.top1, result.images, result.top1_interval)
    yield "top-5", _share(result.top5, result.images, result.top5_interval)
    yield "loss", f"{result.loss:.4f}"
    yield "calibration error", f"{100 * result.ece:.2f} %"
    worst = sorted(result.per_class, key=lambda item: item.correct / max(1, item.images))[:MOST_LISTED]
    yield "worst classes", ", ".join(f"{item.name} ({item.correct} of {item.images})" for item in worst)
    if confusions := _confusions(result):
        yield "confusions", ", ".join(confusions)
    if result.not_numbers:
        yield "not numbers", f"{result.not_numbers:,} images have logits that are not numbers, and count as wrong"
    if result.close_calls:
        yield "close calls", f"{result.close_calls:,} images may be counted otherwise by another order of summation"
    where = f"{result.device}, {result.precision}"
    yield "speed", f"{result.images_per_second:,.1f} images/s, {result.seconds:.1f} s ({where})"


def _share(count: int, images: int, interval: tuple[float, float]) -> str:
    low, high = (100 * bound for bound in interval)
    return f"{100 * count / images:.2f} % ({count:,} of {images:,}; 95 % interval {low:.1f} to {high:.1f})"


def _confusions(result: Evaluation) -> list[str]:
    """The most frequent confusions, as text."""
    names = result.classes
    found = [
        (number, row, column)
        for row, counts in enumerate(result.confusion)
        for column, number in enumerate(counts)
        if number and row != column
    ]
    found.sort(key=lambda item: (-item[0], item[1:]))
    return [f"{names[row]} as {names[column]} ({number:,})" for number, row, column in found[:MOST_LISTED]]

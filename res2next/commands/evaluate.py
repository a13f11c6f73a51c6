"""``python -m res2next evaluate``: measure a model on its data set, or on images of one's own."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial as with_arguments
from pathlib import Path
from typing import TYPE_CHECKING

import click

from res2next.commands import ENGINE, print_table, progress_bar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from res2next.datasets import ImageSet, Split
    from res2next.distributed import World
    from res2next.evaluation import Evaluation, UndecodableImages
    from res2next.registry import Entry, Preprocessing
    from res2next.weights.read import Metadata

SMOOTHING_SOURCE = '(Müller et al., "When does label smoothing help?", 2019)'
"""What is known of its effect on calibration."""

MOST_LISTED = 3
"""Worst classes and most frequent confusions that are printed."""

CALIBRATION = 256
"""Training images, from all parts of the set, over which the ranges of features are found for int8."""
CALIBRATED_AT_ONCE = 16


@click.command("evaluate")
@click.argument("model")
@click.option("--dataset", metavar="NAME", help="The data set; the one that the model's classes are of unless given.")
@click.option("--data", metavar="PATH", help="Folder or tar file of the data set; or folder:PATH, images of your own.")
@click.option("--split", type=click.Choice(["test", "train"]), default="test", show_default=True)
@click.option("--weights", type=click.Path(path_type=Path), help="File of weights, or a folder with the model's own.")
@click.option("--crop", type=click.FloatRange(0.1, 1), metavar="SHARE", help="Another crop: side by shorter side.")
@click.option("--size", type=click.IntRange(8, 4096), metavar="PIXELS", help="Another side of the network's input.")
@click.option("--flip", is_flag=True, help="Mean of the logits of an image and its mirror image.")
@click.option(
    "--predictions",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.csv|FILE.json",
    help="Write each image's prediction.",
)
@click.option("--device", metavar="NAME", default="auto", show_default=True, help="cpu, cuda, cuda:1, mps.")
@click.option("--batch-size", type=click.IntRange(min=1), default=64, show_default=True, help="Changes speed only.")
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    help="Processes that decode images if one batch is computed at a time; as the machine has cores.",
)
@click.option("--amp", is_flag=True, help="Mixed precision: faster on GPUs, and a few counts may differ.")
@click.option(
    "--optimize/--no-optimize",
    default=True,
    show_default=True,
    help="On a CPU, fold norms and fuse layers of torch's network first: the same sums in another order.",
)
@ENGINE
@click.option("--int8", is_flag=True, help="Compute in 8-bit integers: several times faster, and counts differ.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write the result to this JSON file.")
@click.option("--resume", is_flag=True, help="Go on with an evaluation to the same --output that was interrupted.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@click.pass_context
def evaluate_(
    context: click.Context,
    model: str,
    dataset: str | None,
    data: str | None,
    split: str,
    weights: Path | None,
    crop: float | None,
    size: int | None,
    flip: bool,
    predictions: Path | None,
    device: str,
    batch_size: int,
    workers: int | None,
    amp: bool,
    optimize: bool,
    engine: str,
    int8: bool,
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

    from res2next.datasets import open_dataset
    from res2next.datasets.folder import PREFIX
    from res2next.distributed import join_processes
    from res2next.evaluation import UndecodableImages, evaluate
    from res2next.evaluation.partial_results import forget_results
    from res2next.evaluation.result import PREDICTION_SUFFIXES, write_predictions
    from res2next.inference import choose_engine, keep_memory
    from res2next.inference.engines import EXPORTING
    from res2next.registry import find
    from res2next.transforms import evaluation_transform
    from res2next.weights import file_digest
    from res2next.weights.read import read_metadata

    keep_memory()
    if resume and output is None:
        raise click.UsageError("--resume goes on with an evaluation to a file: give the same --output again")
    if engine in EXPORTING or int8:
        if amp:
            raise click.UsageError(f"--amp is torch's: leave out {'--int8' if int8 else f'--engine {engine}'}")
        device = "cpu" if device == "auto" else device
    if int8 and engine == "torch":
        raise click.UsageError("--int8 needs another engine than torch: add --engine auto")
    if int8 and device != "cpu":
        raise click.UsageError(f"--int8 computes on a CPU, and not on {device}: leave out --device")
    if predictions is not None and predictions.suffix not in PREDICTION_SUFFIXES:
        raise click.BadParameter(
            f"{predictions.name} must end in {' or '.join(PREDICTION_SUFFIXES)}", param_hint="--predictions"
        )
    own = data is not None and data.startswith(PREFIX)
    if own and dataset is not None:
        raise click.UsageError(f"--data {PREFIX}PATH is images of your own, and not {dataset}: give one of the two")
    partial = None if output is None else output.with_name(f"{output.name}.partial")
    entry = find(model)
    part: Split = "train" if split == "train" else "test"
    images = None if own else open_dataset(dataset or entry.dataset, None if data is None else Path(data), split=part)
    with join_processes(device) as world:
        engine = choose_engine("torch" if amp and engine == "auto" else engine, world.device.type)
        file = _local_file(entry, weights, world)
        stated = read_metadata(file)
        published = entry.preprocessing if stated is None else stated.preprocessing
        preprocessing, changes = _with_changes(published, crop, size)
        if images is None:
            images = _open_user_images(entry, file, stated, str(data), part)
        if stated and stated.classes != images.classes:
            raise click.UsageError(f"the weights in {file.name} know other classes than those of {images.info.name}")
        images.transform = evaluation_transform(preprocessing)
        network = _load_network(entry, file, images, world)
        if int8:
            place = None if data is None else Path(data)
            training = (
                _open_user_images(entry, file, stated, str(data), "train")
                if own
                else open_dataset(images.info.name, place, split="train")
            )
            network = _quantized(network, images, training, engine)
        if partial and not resume and world.rank == 0:
            forget_results(partial)
        world.barrier()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        try:
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
                    weights=file_digest(file),
                    flip=flip,
                    changes=changes,
                    predictions=None if predictions is None else with_arguments(write_predictions, predictions, images),
                    engine=engine,
                    world=world,
                    partial=partial,
                )
        except UndecodableImages as trouble:
            if world.rank > 0:  # with another status, torchrun would end the first process while it prints
                return
            _list_undecodable(trouble, output, partial)
            context.exit(1)
        if world.rank == 0:
            _write_and_print(result, output, partial, as_json)


def _local_file(entry: Entry, weights: Path | None, world: World) -> Path:
    """The file of weights; the first process downloads it if necessary, for all."""
    from res2next.weights import weights_path

    if world.rank == 0:
        weights_path(entry, weights)
    world.barrier()
    file = weights_path(entry, weights)
    if weights is None and file.name != entry.weights.file and world.rank == 0:
        click.echo(f"note: the weights are {file}, and not the published file {entry.weights.file}", err=True)
    return file


def _with_changes(
    preprocessing: Preprocessing, crop: float | None, size: int | None
) -> tuple[Preprocessing, tuple[str, ...]]:
    """The preprocessing with another crop and size, and what differs from the published one."""
    channels, height, width = preprocessing.input_size
    changes = []
    if crop is not None and crop != preprocessing.crop_pct:
        changes.append(f"crop {crop:g}")
    if size is not None and (size, size) != (height, width):
        changes.append(f"size {size}")
    other = (height, width) if size is None else (size, size)
    crop = preprocessing.crop_pct if crop is None else crop
    return replace(preprocessing, crop_pct=crop, input_size=(channels, *other)), tuple(changes)


def _open_user_images(entry: Entry, file: Path, stated: Metadata | None, data: str, split: Split) -> ImageSet:
    """The user's own images, with the classes of the weights."""
    from res2next.datasets import find_dataset, open_dataset
    from res2next.datasets.folder import PREFIX
    from res2next.weights.read import count_outputs

    outputs, usual = count_outputs(file), find_dataset(entry.dataset)
    known = stated.dataset(file.name) if stated else usual if outputs == usual.num_classes else None
    images = open_dataset(data, split=split, classes_of=known)
    if images.info.num_classes != outputs:
        number = f"{images.info.num_classes} class {'folder' if images.info.num_classes == 1 else 'folders'}"
        raise click.UsageError(
            f"{data.removeprefix(PREFIX)} has {number}, and the weights in {file.name} know {outputs} classes: give "
            "weights for these classes, or folders named by classes that they know"
        )
    return images


def _quantized(network: nn.Module, images: ImageSet, training: ImageSet, engine: str) -> nn.Module:
    """The network in 8-bit integers, with the ranges of its features over some training images."""
    import torch

    from res2next.inference import quantize

    if training.split == images.split or (not images.info.published and training.digest == images.digest):
        raise click.UsageError("--int8 needs training images that are not evaluated: this data has none")
    training.transform = images.transform
    indices = calibration_indices(len(training))
    starts = range(0, len(indices), CALIBRATED_AT_ONCE)
    parts = (indices[start : start + CALIBRATED_AT_ONCE] for start in starts)
    return quantize(network, (torch.stack([training[index][0] for index in part]) for part in parts), engine)


def calibration_indices(images: int) -> list[int]:
    """Indices of the images for int8: all, or from all parts of the set, since it may be sorted by class."""
    return sorted({number * images // CALIBRATION for number in range(CALIBRATION)})


def _load_network(entry: Entry, file: Path, images: ImageSet, world: World) -> nn.Module:
    from res2next.create import create_model
    from res2next.datasets import find_dataset
    from res2next.weights import load_weights

    if images.info.published and images.classes != find_dataset(entry.dataset).classes and world.rank == 0:
        click.echo(f"note: {entry.name} knows the classes of {entry.dataset}; its weights must know others", err=True)
    network = create_model(entry.name, num_classes=images.info.num_classes)
    load_weights(network, file)
    return network


def _list_undecodable(trouble: UndecodableImages, output: Path | None, partial: Path | None) -> None:
    for message in trouble.messages:
        click.echo(message, err=True)
    count = f"{len(trouble.messages):,} of {trouble.images:,} images cannot be decoded, so that there is no result"
    kept = f"; those of all others are in {partial}: restore these, and use --resume" if output else ""
    click.secho(f"error: {count}{kept}", err=True, fg="red", bold=True)


def _write_and_print(result: Evaluation, output: Path | None, partial: Path | None, as_json: bool) -> None:
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

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    for label, text in _lines(result):
        table.add_row(label, text)
    print_table(table)


def _lines(result: Evaluation) -> Iterator[tuple[str, str]]:
    """Label and text of each line."""
    from res2next.datasets.folder import NOT_PUBLISHED

    yield "model", f"{result.model}, weights {result.weights_digest[:15]}"
    yield "data set", f"{result.dataset} {result.split}, {result.images:,} images, {result.data_digest[:15]}"
    if not result.published:
        yield "note", NOT_PUBLISHED
    if result.classes_with_images < len(result.classes):
        yield "classes", f"images of {result.classes_with_images:,} of {len(result.classes):,} classes"
    if result.changes:
        yield "note", f"not the published way of evaluating: {', '.join(result.changes)}"
    yield "top-1", _percent_with_interval(result.top1, result.images, result.top1_interval)
    yield "top-5", _percent_with_interval(result.top5, result.images, result.top5_interval)
    yield "loss", f"{result.loss:.4f}"
    yield "calibration error", _calibration(result)
    if smoothing := _label_smoothing(result):
        target = 100 * (1 - smoothing + smoothing / len(result.classes))
        yield "note", f"trained with label smoothing: targets gave the right class {target:.1f} % {SMOOTHING_SOURCE}"
    present = [item for item in result.per_class if item.images]
    worst = sorted(present, key=lambda item: item.correct / item.images)[:MOST_LISTED]
    yield "worst classes", ", ".join(f"{item.name} ({item.correct} of {item.images})" for item in worst)
    if confusions := _confusions(result):
        yield "confusions", ", ".join(confusions)
    if result.not_numbers:
        yield "not numbers", f"{result.not_numbers:,} images have logits that are not numbers, and count as wrong"
    if result.close_calls:
        yield "close calls", f"{result.close_calls:,} images may be counted otherwise by another order of summation"
    where = f"{result.device}, {result.precision}, {result.engine}"
    if result.streams > 1:
        where += f", {result.streams} batches at a time"
    yield "speed", f"{result.images_per_second:,.1f} images/s, {result.seconds:.1f} s ({where})"


def _calibration(result: Evaluation) -> str:
    """The calibration error, and its direction."""
    confidence, accuracy = 100 * result.confidence, 100 * result.top1 / result.images
    direction = "underconfident" if confidence < accuracy else "overconfident"
    return f"{100 * result.ece:.2f} % ({direction}: mean confidence {confidence:.1f} %, {accuracy:.1f} % correct)"


def _label_smoothing(result: Evaluation) -> float:
    """Label smoothing in the recipe of the published weights; 0 without, and for the user's own weights."""
    from res2next.recipes import load_recipe
    from res2next.registry import find

    entry = find(result.model)
    published = result.weights_digest.removeprefix("sha256:").startswith(entry.weights.sha256_prefix)
    return load_recipe(entry.recipe).label_smoothing if published and entry.recipe else 0.0


def _percent_with_interval(count: int, images: int, interval: tuple[float, float]) -> str:
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

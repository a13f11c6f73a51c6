"""``python -m res2next classify``: classify images."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from res2next.commands import ENGINE, print_table, progress_bar

if TYPE_CHECKING:
    from res2next.classification import Prediction


DEFAULT_MODEL = "res2next50"

MANY = 8
"""Images for which another network is faster, although it has to be made first: an optimized or exported one."""


@click.command("classify")
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--model", metavar="NAME", help="A model of `python -m res2next models`; res2next50 unless given.")
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    help="A file of weights, or a folder that holds the model's own. Fine-tuned ones state their model and classes.",
)
@click.option("--device", default="cpu", show_default=True, help="Where the network runs, as torch writes it.")
@click.option("--top", default=5, show_default=True, type=click.IntRange(min=1), help="Classes shown for an image.")
@click.option("--batch-size", type=click.IntRange(min=1), default=16, show_default=True, help="Changes speed only.")
@click.option(
    "--optimize/--no-optimize",
    default=True,
    show_default=True,
    help="On a CPU, fuse layers of torch's network first, for 8 images or more.",
)
@ENGINE
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array, an object for each image.")
@click.pass_context
def classify_(
    context: click.Context,
    images: tuple[Path, ...],
    model: str | None,
    weights: Path | None,
    device: str,
    top: int,
    batch_size: int,
    optimize: bool,
    engine: str,
    as_json: bool,
) -> None:
    """Say what is on each IMAGE, or on all images in a folder: the most probable classes.

    On a terminal a table; otherwise a line for each class with image, index, probability and name, between tabs.
    Images that cannot be read are named on standard error, and the exit status is then 1.
    """
    from res2next.classification import load_classifier
    from res2next.datasets.photos import find_images
    from res2next.errors import UnreadableImage
    from res2next.inference.engines import choose_engine
    from res2next.weights.read import read_metadata

    check_device(device)
    choose_engine(engine, device.partition(":")[0])  # a missing one ends the command before weights are read
    if model is None and (weights is None or read_metadata(weights) is None):
        model = DEFAULT_MODEL
    classifier = load_classifier(model, weights=weights, device=device)
    for path in images:
        path.stat()  # a missing one ends the command
    paths = [path for given in images for path in find_images(given)]
    many = len(paths) >= MANY
    classifier = classifier.by_engine(engine if many or engine != "auto" else "torch")
    if optimize and many:
        classifier = classifier.optimized()
    # closed before an error is printed, so that the message is not in the bar
    with progress_bar() as bar:
        shown = bar.track(classifier.classify_files(paths, top, batch_size), len(paths), description="classifying")
        all_found = list(shown)
    found = [(path, best) for path, best in all_found if not isinstance(best, UnreadableImage)]
    if as_json:
        rows = [{"image": str(path), "predictions": [asdict(one) for one in best]} for path, best in found]
        click.echo(json.dumps(rows, indent=1))
    elif sys.stdout.isatty():
        print_predictions(found)
    else:
        for path, best in found:
            for prediction in best:
                click.echo(f"{path}\t{prediction.index}\t{prediction.probability:.6f}\t{prediction.name}")
    errors = [error for _, error in all_found if isinstance(error, UnreadableImage)]
    for error in errors:
        click.secho(f"error: {error}", err=True, fg="red", bold=True)
    if errors:
        context.exit(1)


def print_predictions(found: list[tuple[Path, tuple[Prediction, ...]]]) -> None:
    """Print a row for each class; the first row of an image has its name."""
    from rich.table import Table

    table = Table("image", "class", "index", "probability", box=None, pad_edge=False)
    for path, best in found:
        for rank, prediction in enumerate(best):
            table.add_row(
                "" if rank else str(path), prediction.name, str(prediction.index), f"{prediction.probability:.2%}"
            )
    print_table(table)


def check_device(device: str) -> None:
    """Raise BadParameter for a device that torch does not have here."""
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as trouble:  # the latter if torch was built without CUDA
        reason = str(trouble).partition("\n")[0]
        raise click.BadParameter(f"{device!r} cannot be used here: {reason}", param_hint="--device") from trouble

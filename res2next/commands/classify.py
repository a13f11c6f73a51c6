"""``python -m res2next classify``: classify images."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from res2next.classification import Prediction


@click.command("classify")
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--model", default="res2next50", show_default=True, metavar="NAME", help="A model of `python -m res2next models`."
)
@click.option(
    "--weights", type=click.Path(path_type=Path), help="A file of weights, or a folder that holds the model's own."
)
@click.option("--device", default="cpu", show_default=True, help="Where the network runs, as torch writes it.")
@click.option("--top", default=5, show_default=True, type=click.IntRange(min=1), help="Classes shown for an image.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array, an object for each image.")
def classify_(images: tuple[Path, ...], model: str, weights: Path | None, device: str, top: int, as_json: bool) -> None:
    """Say what is on each IMAGE: the most probable classes.

    On a terminal a table; otherwise a line for each class with image, index, probability and name, between tabs.
    An image that cannot be read ends the command before anything is printed.
    """
    from res2next.classification import load_classifier
    from res2next.commands.terminal import progress_bar

    check_device(device)
    classifier = load_classifier(model, weights=weights, device=device)
    # closed before an error is printed, so that the message is not in the bar
    with progress_bar() as bar:
        shown = bar.track(images, description="classifying")
        found = [(path, classifier.classify(path, top)) for path in shown]
    if as_json:
        rows = [{"image": str(path), "predictions": [asdict(one) for one in best]} for path, best in found]
        click.echo(json.dumps(rows, indent=1))
    elif sys.stdout.isatty():
        print_predictions(found)
    else:
        for path, best in found:
            for prediction in best:
                click.echo(f"{path}\t{prediction.index}\t{prediction.probability:.6f}\t{prediction.name}")


def print_predictions(found: list[tuple[Path, tuple[Prediction, ...]]]) -> None:
    """Print a row for each class; the first row of an image has its name."""
    from rich.table import Table

    from res2next.commands.terminal import print_table

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

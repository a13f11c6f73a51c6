"""``python -m res2next models``: list the registry."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from res2next.registry import ENTRIES

if TYPE_CHECKING:
    from res2next.registry import Weights


@click.command("models")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array instead of a table.")
def models_(as_json: bool) -> None:
    """List the models: data set of their classes, image size, size and licence of the weights; --json has all facts."""
    if as_json:
        click.echo(json.dumps([{"name": entry.name, **asdict(entry)} for entry in ENTRIES], indent=1))
        return
    from rich.table import Table

    from res2next.commands.terminal import print_table

    table = Table(box=None, pad_edge=False)
    table.add_column("model", no_wrap=True)  # to be copied
    for name in ("data set", "image", "weights", "licence"):
        table.add_column(name)
    for entry in ENTRIES:
        image = "x".join(str(side) for side in entry.preprocessing.input_size[1:])
        licence = entry.weights.licence.partition(",")[0]
        table.add_row(entry.name, entry.dataset, image, _size(entry.weights), licence)
    print_table(table)


def _size(weights: Weights) -> str:
    if weights.url is None:
        return "package"
    return "download" if weights.size is None else f"{weights.size / 1e6:.0f} MB"

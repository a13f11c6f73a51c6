"""``python -m res2next models``: list the registry."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from res2next.registry import ENTRIES


@click.command("models")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array instead of a table.")
def models_(as_json: bool) -> None:
    """List the models with their weights: data set, classes, image size, licence, file."""
    if as_json:
        click.echo(json.dumps([{"name": entry.name, **asdict(entry)} for entry in ENTRIES], indent=1))
        return
    from rich.table import Table

    from res2next.commands.terminal import print_table

    table = Table("model", "classes of", "image", "weights", "licence of the weights", box=None, pad_edge=False)
    for entry in ENTRIES:
        size = "x".join(str(side) for side in entry.preprocessing.input_size[1:])
        where = "comes with the package" if entry.weights.url is None else entry.weights.file
        table.add_row(entry.name, f"{entry.dataset} ({entry.num_classes})", size, where, entry.weights.licence)
    print_table(table)

"""``python -m res2next models`` and ``datasets``: what there is to choose from, and verification of a data set."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from res2next.commands import print_table
from res2next.datasets import find_dataset, is_available, list_datasets, open_dataset
from res2next.datasets.folder import NOT_PUBLISHED
from res2next.registry import ENTRIES

if TYPE_CHECKING:
    from res2next.datasets import DatasetInfo
    from res2next.registry import Weights


@click.command("models")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array instead of a table.")
def models_(as_json: bool) -> None:
    """List the models: data set of their classes, image size, size and licence of the weights; --json has all facts."""
    if as_json:
        click.echo(json.dumps([{"name": entry.name, **asdict(entry)} for entry in ENTRIES], indent=1))
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("model", no_wrap=True)  # to be copied
    for name in ("data set", "image", "weights", "licence"):
        table.add_column(name)
    for entry in ENTRIES:
        image = "x".join(str(side) for side in entry.preprocessing.input_size[1:])
        licence = entry.weights.licence.partition(",")[0]
        table.add_row(entry.name, entry.dataset, image, _weights_size(entry.weights), licence)
    print_table(table)


def _weights_size(weights: Weights) -> str:
    if weights.url is None:
        return "package"
    return "download" if weights.size is None else f"{weights.size / 1e6:.0f} MB"


@click.command("datasets")
@click.option("--check", "name", metavar="NAME", help="Open this data set and verify it, or folder:PATH.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder or tar file of the data set to check.")
@click.option("--split", type=click.Choice(["test", "train"]), default="test", show_default=True, help="To check.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead.")
def datasets_(name: str | None, data: Path | None, split: str, as_json: bool) -> None:
    """List the data sets by the names that cards use; with --check, verify the files of one."""
    if name is None:
        if data is not None:
            raise click.UsageError("--data is the place of the data set of --check: give --check NAME too")
        _list_datasets(as_json)
        return
    opened = open_dataset(name, data, split="train" if split == "train" else "test")
    content = {
        "name": opened.info.name,
        "split": opened.split,
        "images": len(opened),
        "classes": opened.info.num_classes,
        "digest": opened.digest,
        "published": opened.info.published,
    }
    if as_json:
        click.echo(json.dumps({**content, "class_names": list(opened.classes)}, indent=1))
        return
    what = "complete" if opened.info.published else NOT_PUBLISHED
    click.echo(
        f"{opened.info.name} {opened.split}: {len(opened):,} images of {opened.info.num_classes:,} classes, {what}"
    )
    click.echo(f"digest   {opened.digest}")
    shown = ", ".join(opened.classes[:10]) + (" ..." if len(opened.classes) > 10 else "")
    click.echo(f"classes  {shown}")


def _list_datasets(as_json: bool) -> None:
    infos = [find_dataset(name) for name in list_datasets()]
    if as_json:
        click.echo(json.dumps([_dataset_facts(info) for info in infos], indent=1))
        return
    from rich.table import Table

    table = Table("data set", "also called", "classes", "train", "test", "here", "licence", box=None, pad_edge=False)
    for info in infos:
        here = "yes" if is_available(info) else "no"
        numbers = (str(info.num_classes), f"{info.images['train']:,}", f"{info.images['test']:,}")
        table.add_row(info.name, ", ".join(info.aliases), *numbers, here, info.licence)
    print_table(table)


def _dataset_facts(info: DatasetInfo) -> dict[str, object]:
    return {
        "name": info.name,
        "aliases": list(info.aliases),
        "classes": info.num_classes,
        "images": dict(info.images),
        "source": info.source,
        "licence": info.licence,
        "digests": dict(info.digests),
        "here": is_available(info),
    }

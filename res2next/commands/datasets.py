"""``python -m res2next datasets``: the data sets, and verification of one on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from res2next.datasets import find_dataset, is_at_hand, list_datasets, open_dataset
from res2next.datasets.folder import MARK

if TYPE_CHECKING:
    from res2next.datasets import DatasetInfo


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
        _list(as_json)
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
    what = "complete" if opened.info.published else MARK
    click.echo(
        f"{opened.info.name} {opened.split}: {len(opened):,} images of {opened.info.num_classes:,} classes, {what}"
    )
    click.echo(f"digest   {opened.digest}")
    shown = ", ".join(opened.classes[:10]) + (" ..." if len(opened.classes) > 10 else "")
    click.echo(f"classes  {shown}")


def _list(as_json: bool) -> None:
    infos = [find_dataset(name) for name in list_datasets()]
    if as_json:
        click.echo(json.dumps([_facts(info) for info in infos], indent=1))
        return
    from rich.table import Table

    from res2next.commands.terminal import print_table

    table = Table("data set", "also called", "classes", "train", "test", "here", "licence", box=None, pad_edge=False)
    for info in infos:
        here = "yes" if is_at_hand(info) else "no"
        numbers = (str(info.num_classes), f"{info.images['train']:,}", f"{info.images['test']:,}")
        table.add_row(info.name, ", ".join(info.aliases), *numbers, here, info.licence)
    print_table(table)


def _facts(info: DatasetInfo) -> dict[str, object]:
    return {
        "name": info.name,
        "aliases": list(info.aliases),
        "classes": info.num_classes,
        "images": dict(info.images),
        "source": info.source,
        "licence": info.licence,
        "digests": dict(info.digests),
        "here": is_at_hand(info),
    }

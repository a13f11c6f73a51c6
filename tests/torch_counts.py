"""What torch's own counter says of the networks of timm and torchvision, on record beside the tests of counting.

Torch counts slowly, and says the same each time. ``python tests/torch_counts.py`` asks it again for every network that
the file lists; a network is added as a line with its name and image size.
"""

from __future__ import annotations

import csv
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest.mock import patch

import torch
from convnets import flop_counter_multiply_adds

from cardproof.measure.count.meta_network import build_on_meta

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import nn

    from cardproof.core.measurements import Counts

RECORD = Path(__file__).parent / "measure" / "torch_counts.csv"
FILLS = ("normal_", "uniform_", "fill_", "zero_", "erfinv_")


class Summary(NamedTuple):
    """What is compared of a network."""

    multiply_adds: int
    parameters: int
    buffers: int
    state_dict_bytes: int


def summary(counts: Counts) -> Summary:
    return Summary(*(getattr(counts, name) for name in Summary._fields))


def build(network: str, side: int, **options: Any) -> nn.Module:
    """Build a network, by its library's name and its own, for images of this side."""
    library, _, name = network.partition("/")
    if library == "timm":
        from cardproof.zoos import load_zoo

        return load_zoo("timm").build(name)
    from torchvision import models

    if name in models.list_models(module=models.segmentation):
        options["weights_backbone"] = None
    if name.startswith("vit_"):
        options["image_size"] = side
    return models.get_model(name, **options)


def torch_summary(network: str, side: int) -> Summary:
    """Count by torch's own means alone.

    A network that reads values while it is built cannot be built by them without its gigabytes of weights. Initial
    values, which no count depends on, are not drawn: it would take half of the time.
    """
    try:
        with patch.multiple(torch.Tensor, **dict.fromkeys(FILLS, _unfilled)), torch.device("meta"):
            model = build(network, side).eval()
    except NotImplementedError:
        model = build_on_meta(lambda: build(network, side))
    stored = {id(t): t.numel() * t.element_size() for t in model.state_dict(keep_vars=True).values()}
    parameters, buffers = (sum(t.numel() for t in tensors) for tensors in (model.parameters(), model.buffers()))
    return Summary(flop_counter_multiply_adds(model, (3, side, side)), parameters, buffers, sum(stored.values()))


def _unfilled(tensor: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    return tensor


@cache
def recorded() -> dict[tuple[str, int], Summary]:
    """Return what torch said, by network and side of the image."""
    with RECORD.open(newline="") as stream:
        rows = csv.DictReader(line for line in stream if not line.startswith("#"))
        return {
            (row["network"], int(row["side"])): Summary(*(int(row[name] or 0) for name in Summary._fields))
            for row in rows
        }


def differing(ours: dict[tuple[str, int], Counts]) -> list[tuple[str, int]]:
    """Return the networks that this package counts in another way than torch.

    Torch is asked anew about every tenth, and about each that differs from the record, which may be of another version.
    """
    asked_anew = list(recorded())[::10]
    wrong = []
    for key, counts in ours.items():
        if (key in asked_anew or summary(counts) != recorded().get(key)) and summary(counts) != torch_summary(*key):
            wrong.append(key)
    return wrong


def write(keys: Iterable[tuple[str, int]]) -> None:
    found = [(*key, *torch_summary(*key)) for key in sorted(keys)]
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "timm", "torchvision"))
    with RECORD.open("w", newline="") as stream:
        stream.write(f"# {versions}; made by tests/torch_counts.py\n")
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow(("network", "side", *Summary._fields))
        rows.writerows(found)


if __name__ == "__main__":
    write(recorded())

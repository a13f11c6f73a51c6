"""How many parameters networks of timm have, on record beside the tests of names.

Building two hundred networks takes seconds, and gives the same each time. ``python tests/timm_parameters.py`` builds
each network that the file lists anew; one that is not in the file is built by whoever asks for it.
"""

from __future__ import annotations

import csv
from functools import cache
from importlib.metadata import version
from pathlib import Path

import timm

from cardproof.measure.count.meta_network import build_on_meta

RECORD = Path(__file__).parent / "zoos" / "timm_parameters.csv"


@cache
def recorded() -> dict[str, int]:
    with RECORD.open(newline="") as stream:
        return {network: int(count) for network, count in csv.reader(line for line in stream if line[0] != "#")}


@cache
def built_parameters(network: str) -> int:
    model = build_on_meta(lambda: timm.create_model(network))
    return sum(parameter.numel() for parameter in model.parameters())


if __name__ == "__main__":
    counts = [(network, built_parameters(network)) for network in sorted(recorded())]
    with RECORD.open("w", newline="") as stream:
        stream.write(f"# timm {version('timm')}; made by tests/timm_parameters.py\n")
        csv.writer(stream, lineterminator="\n").writerows(counts)

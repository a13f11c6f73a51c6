"""Diagrams of blocks: their numbers are those of the networks, and reading them imports no torch."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import pytest

from res2next.diagram import block_diagram
from res2next.registry import list_models


@pytest.mark.parametrize("name", list_models())
def test_a_diagram_has_the_numbers_of_the_network(name):
    import torch

    from res2next.create import create_model
    from res2next.model import Res2Branch

    with torch.device("meta"):
        network = create_model(name)
    blocks = [module for module in network.modules() if isinstance(module, Res2Branch)]
    first, other = next(pair for pair in pairwise(blocks) if pair[0].first and not pair[1].first)
    for panel, block in zip(block_diagram(name)["panels"], (first, other), strict=True):
        assert [box["text"] for box in panel["boxes"][:3]] == [
            f"{block.conv1.in_channels} channels",
            f"1×1: {block.scale} × {block.width} channels",
            f"1×1: {block.conv3.out_channels} channels",
        ]
        texts = [box["text"] for box in panel["boxes"]]
        assert texts.count("3×3") == len(block.convs)
        assert texts.count("+") == (0 if block.first else len(block.convs) - 1)
        assert ("pool" in texts) == block.first
    groups = first.convs[0].groups
    assert (f"in {groups} groups" in block_diagram(name)["caption"]) == (groups > 1)


def test_a_diagram_needs_no_torch():
    code = "import sys; from res2next.zoo import zoo; zoo.diagram('res2next50'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)

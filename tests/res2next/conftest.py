"""Pairs of networks, ours and timm's, with weights in which every norm tells; and a machine without weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import huggingface_hub
import pytest
import timm
import torch
from convnets import filled
from torch import nn

from res2next import create_model
from res2next.registry import ENTRIES
from res2next.weights import find as find_weights

# the networks are large and the inputs small: threads only get in each other's way
torch.set_num_threads(1)


@dataclass(frozen=True)
class Pair:
    name: str
    ours: nn.Module
    theirs: nn.Module

    def align(self) -> None:
        """Give our network the weights of timm's, strictly."""
        self.ours.load_state_dict(self.theirs.state_dict(), strict=True)


PUBLISHED = [entry.architecture for entry in ENTRIES if entry.weights.url is not None]
"""The two small networks that come with the package exist nowhere else."""


@pytest.fixture(scope="module", params=PUBLISHED)
def pair(request: pytest.FixtureRequest) -> Pair:
    theirs = filled(lambda: timm.create_model(request.param))
    with torch.device("meta"):  # its own fresh weights would be overwritten
        ours = create_model(request.param)
    return Pair(request.param, ours.to_empty(device="cpu"), theirs)


@pytest.fixture
def no_local_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RES2NEXT_WEIGHTS", raising=False)
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    monkeypatch.setattr(find_weights, "BUNDLED", tmp_path / "pretrained")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hf"))

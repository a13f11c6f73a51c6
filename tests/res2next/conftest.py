"""One thread for all tests of networks, and a machine without weights."""

from __future__ import annotations

from pathlib import Path

import huggingface_hub
import pytest
import torch

from res2next.weights import find as find_weights

# the networks are large and the inputs small: threads only get in each other's way
torch.set_num_threads(1)


@pytest.fixture
def no_local_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RES2NEXT_WEIGHTS", raising=False)
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    monkeypatch.setattr(find_weights, "BUNDLED", tmp_path / "pretrained")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hf"))

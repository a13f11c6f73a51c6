"""Records what torch computes of Fashion-MNIST: ``python tests/record_fashion_mnist.py`` takes half a minute.

Engines are compared with it image by image, on those images above all whose two highest logits are the closest.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import NamedTuple

import torch

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "tests" / "res2next" / "fashion_mnist.json"
MODEL = "res2next_small"
CLOSEST = 300


class Recorded(NamedTuple):
    """What torch computed."""

    torch: str
    """Its version."""
    weights: str
    """The file of the weights."""
    predicted: str
    """The class of each test image, a digit each."""
    rank: str
    """Classes with a higher logit than the true one of each test image, a digit each."""
    closest: list[int]
    """The images whose two highest logits are the closest, the closest first."""


def read() -> Recorded:
    """Return what is recorded."""
    return Recorded(**json.loads(FILE.read_text()))


def record() -> Recorded:
    """Compute it anew."""
    from res2next import create_model
    from res2next.datasets import open_dataset
    from res2next.registry import find
    from res2next.transforms import evaluation_transform

    entry = find(MODEL)
    data = open_dataset(entry.dataset, transform=evaluation_transform(entry.preprocessing))
    network = create_model(MODEL, pretrained=True).eval()
    with torch.inference_mode():
        parts = torch.arange(len(data)).split(100)
        logits = torch.cat([network(torch.stack([data[int(index)][0] for index in part])) for part in parts])
    first, second = logits.topk(2).values.unbind(1)
    ranks = (logits > logits.gather(1, torch.tensor(data.labels)[:, None])).sum(1)
    return Recorded(
        torch.__version__,
        entry.weights.file,
        "".join(map(str, logits.argmax(1).tolist())),
        "".join(map(str, ranks.tolist())),
        (first - second).argsort()[:CLOSEST].tolist(),
    )


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    FILE.write_text(json.dumps(record()._asdict(), indent=1) + "\n")

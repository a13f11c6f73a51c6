"""Time the counting of multiply-adds against torch's own FlopCounterMode, on the same networks in the same run.

Prints one JSON object. Every count is compared: a faster count that is not equal is worth nothing.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from cardproof.measure.build import build_on_meta
from cardproof.measure.counts import count
from cardproof.zoos import load_zoo

MODELS = {
    "res2next": ["res2next50", "res2net101_26w_4s", "dla60_res2net"],
    "torchvision": [
        "resnet50",
        "densenet121",
        "vit_b_16",
        "swin_t",
        "convnext_tiny",
        "efficientnet_b0",
        "regnet_y_400mf",
    ],
}
SHAPE = (3, 224, 224)
ROUNDS = 5


def main() -> None:
    """Measure every model and print the figures."""
    torch.set_num_threads(1)
    rows = [_row(zoo, name) for zoo, names in MODELS.items() for name in names]
    print(json.dumps({"torch": torch.__version__, "median ratio": _median(rows), "models": rows}, indent=2))


def _row(zoo_name: str, name: str) -> dict[str, object]:
    zoo = load_zoo(zoo_name)
    builds, ours, peers = [], [], []
    for _ in range(ROUNDS):
        seconds, model = _timed(lambda: build_on_meta(lambda: zoo.build(name)))
        builds.append(seconds)
        seconds, counts = _timed(lambda model=model: count(model, SHAPE))
        ours.append(seconds)
        seconds, peer = _timed(lambda model=model: _peer(model))
        peers.append(seconds)
    assert counts.multiply_adds == peer, f"{name}: {counts.multiply_adds} is not {peer}"
    return {
        "model": f"{zoo_name}/{name}",
        "multiply-adds": peer,
        "build ms": round(1000 * statistics.median(builds), 1),
        "cardproof ms": round(1000 * statistics.median(ours), 1),
        "FlopCounterMode ms": round(1000 * statistics.median(peers), 1),
        "ratio": round(statistics.median(peers) / statistics.median(ours), 2),
    }


def _peer(model: nn.Module) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.empty(1, *SHAPE, device="meta"))
    return counter.get_total_flops() // 2


def _timed(call: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = call()
    return time.perf_counter() - started, result


def _median(rows: list[dict[str, object]]) -> float:
    return statistics.median(float(str(row["ratio"])) for row in rows)


if __name__ == "__main__":
    main()

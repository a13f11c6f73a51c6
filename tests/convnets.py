"""Small networks and helpers for the tests of measuring."""

from __future__ import annotations

import importlib.util
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from cardproof.core.types import Number, Question

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


def flop_counter_multiply_adds(model: nn.Module, shape: tuple[int, int, int]) -> int:
    """Half of what torch's own counter finds on the meta device.

    Batch norm, of which it counts nothing and which keeps the shape, is left out: it would take half of the time.
    """
    image = torch.empty(1, *shape, device="meta")
    without = patch("torch.nn.functional.batch_norm", lambda x, *_, **__: x)
    with without, FlopCounterMode(display=False) as counter:
        model.requires_grad_(False)(image)
    flops = counter.get_total_flops()
    assert flops % 2 == 0
    return flops // 2


def question(field: Any, value: int, quantum: int = 1) -> tuple[Question, ...]:
    return (Question(field, Number(Decimal(value), Decimal(quantum))),)


def toy_module(case: str) -> Any:
    """The toynet.py of a case folder."""
    path = next((SHARED / "cases" / "cards").glob(f"{case}-*/toynet.py"))
    spec = importlib.util.spec_from_file_location(f"toynet_{case}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def convnet(widths: Iterable[int], classes: int = 10, stride: int = 2, bias: bool = False) -> nn.Sequential:
    """Convolution, batch norm, ReLU for each width; pooling; a linear head."""
    layers: list[nn.Module] = []
    channels = 3
    for width in widths:
        layers += [
            nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=bias),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        ]
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))

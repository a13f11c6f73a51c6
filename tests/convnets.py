"""Small networks and helpers for the tests of measuring and of networks."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from cardproof.core.types import Number, Question
from res2next.dla import Dla, DlaFeatures, DlaVariant
from res2next.model import Res2Net, Res2NetFeatures
from res2next.registry import find, list_models
from res2next.variants import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

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


def filled(build: Callable[[], nn.Module]) -> nn.Module:
    """Build a network without drawing its weights, and give it others in which every channel and norm tells."""
    with torch.device("meta"):
        network = build()
    noise = torch.randn(2**16 + 1, generator=torch.Generator().manual_seed(0))
    begun = 0
    for module in network.to_empty(device="cpu").modules():
        for name, tensor in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
            count = tensor.numel()
            values = noise.roll(begun).repeat(count // len(noise) + 1)[:count].view_as(tensor)
            begun += count
            with torch.no_grad():
                tensor.copy_(
                    _of_norm(name, values.tanh()) if tensor.dim() < 2 else values * (2 / tensor[0].numel()) ** 0.5
                )
    return network


def _of_norm(name: str, values: torch.Tensor) -> torch.Tensor:
    """Scales about 0.6, variances about 1.1, means and biases about nothing; values lie between -1 and 1."""
    middle, spread = {"weight": (0.6, 0.2), "running_var": (1.1, 0.3)}.get(name, (0, 0.3))
    return middle + spread * values


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


# --- Networks of res2next as published, but narrow and short: the same code in less time ---

DIFFERENT = tuple(name for name in list_models() if not name.startswith("res2net101"))
"""All but those that have only more blocks than another one."""
QUARTER = (16, 32, 64, 128)
"""Widths of the stages of a narrow Res2Net."""
TREES = (8, 8, 32, 64, 128, 256)
"""Channels of the levels of a narrow DLA, whose trees are as deep as those of the published ones."""
CLASSES = 50


def narrow(name: str, *, widths: tuple[int, ...] = QUARTER, features_only: bool = False, **options: Any) -> nn.Module:
    """A network with the stem, shortcut, scale, base width and groups of this name, and options of its class.

    Two blocks a stage are one of each kind. The small networks of the package are as they are.
    """
    variant = BY_NAME[name]
    options.setdefault("in_chans", find(name).preprocessing.input_size[0])
    if not features_only:
        options.setdefault("num_classes", CLASSES)
    if isinstance(variant, DlaVariant):
        tree = replace(variant, channels=TREES)
        return DlaFeatures(tree, **options) if features_only else Dla(tree, **options)
    if len(variant.widths) == len(QUARTER):
        variant = replace(variant, widths=widths, depths=(2, 2, 2, 2))
    return Res2NetFeatures(variant, **options) if features_only else Res2Net(variant, **options)

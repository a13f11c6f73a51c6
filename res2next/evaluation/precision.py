"""Device and precision of an evaluation."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from res2next.distributed import half_precision
from res2next.inference import Optimized, can_optimize, optimize

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn


@dataclass(frozen=True, slots=True)
class Place:
    """Device and precision of an evaluation."""

    device: torch.device
    numbers: torch.dtype
    """Type of the images: that of the network's parameters."""
    mixed: torch.dtype | None
    """Type of mixed precision; None without."""

    @classmethod
    def of(cls, model: nn.Module, device: torch.device, amp: bool) -> Place:
        """On this device, in mixed precision or in the network's own."""
        parameter = next(model.parameters(), None)
        numbers = torch.float32 if parameter is None else parameter.dtype
        if isinstance(model, Optimized):  # its last layer is always in float32
            numbers = model.dtype
        return cls(device, numbers, half_precision(device) if amp else None)

    @property
    def precision(self) -> str:
        """Type of convolutions, by torch's name without ``torch.``."""
        return str(self.mixed or self.numbers).removeprefix("torch.")


def quickest(model: nn.Module, place: Place) -> nn.Module:
    """The network that gives the same logits fastest: an optimized copy on a CPU, for networks of this package."""
    plain = place.device.type == "cpu" and place.mixed is None and place.numbers == torch.float32
    return optimize(model) if plain and can_optimize(model) else model


@contextmanager
def exact_on(device: torch.device) -> Iterator[None]:
    """Full float32 on GPUs too, where convolutions round their inputs to 10 bits (TF32) by default.

    Only torch's current switches are read and set (``fp32_precision``): torch refuses to read the older ones where a
    caller has used these. Afterwards all are as they were.
    """
    if device.type != "cuda":
        yield
        return
    cudnn, before = torch.backends.cudnn, []
    for switch in SWITCHES:  # outer ones first: a switch that is not set has the value of the one around it
        before.append(switch.fp32_precision)
        switch.fp32_precision = "none" if switch in OUTER else "ieee"
    choice = cudnn.enabled, cudnn.benchmark, cudnn.deterministic
    cudnn.enabled, cudnn.benchmark, cudnn.deterministic = True, False, True
    try:
        yield
    finally:
        cudnn.enabled, cudnn.benchmark, cudnn.deterministic = choice
        for switch, value in zip(SWITCHES, before, strict=True):
            switch.fp32_precision = value


OUTER: tuple[Any, ...] = (torch.backends, torch.backends.cudnn)
SWITCHES = (*OUTER, torch.backends.cudnn.conv, torch.backends.cudnn.rnn, torch.backends.cuda.matmul)  # type: ignore[attr-defined]
"""What has ``fp32_precision``: of everything, of cuDNN, of its convolutions and recurrent layers, of products."""

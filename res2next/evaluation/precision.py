"""Where and how precisely an evaluation computes."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from res2next.distributed import half_precision
from res2next.inference import Optimized, can_optimize, optimize

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn


@dataclass(frozen=True, slots=True)
class Place:
    """Where and how precisely it is computed."""

    device: torch.device
    numbers: torch.dtype
    """Of the images that go in: the type of the network's own numbers."""
    mixed: torch.dtype | None
    """What mixed precision computes in; None without."""

    @classmethod
    def of(cls, model: nn.Module, device: torch.device, amp: bool) -> Place:
        """On this device, in mixed precision or in the network's own."""
        parameter = next(model.parameters(), None)
        numbers = torch.float32 if parameter is None else parameter.dtype
        if isinstance(model, Optimized):  # its last layer is in float32 whatever the others are in
            numbers = model.dtype
        return cls(device, numbers, half_precision(device) if amp else None)

    @property
    def precision(self) -> str:
        """What convolutions are computed in, by torch's name without ``torch.``."""
        return str(self.mixed or self.numbers).removeprefix("torch.")


def quickest(model: nn.Module, place: Place) -> nn.Module:
    """The network that gives the same logits fastest: an optimized copy on a CPU, for networks of this package."""
    plain = place.device.type == "cpu" and place.mixed is None and place.numbers == torch.float32
    return optimize(model) if plain and can_optimize(model) else model


@contextmanager
def exact_on(device: torch.device) -> Iterator[None]:
    """Float32 as such on GPUs too, where convolutions round their inputs to 10 bits (TF32) unless told not to."""
    if device.type != "cuda":
        yield
        return
    matmul = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            yield
    finally:
        torch.set_float32_matmul_precision(matmul)

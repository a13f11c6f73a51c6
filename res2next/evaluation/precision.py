"""Device, precision and engine of an evaluation."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import torch

from res2next.distributed import half_precision
from res2next.inference import Exported, Optimized, can_optimize, optimize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn

    from res2next.inference import Engine


@dataclass(frozen=True, slots=True)
class Place:
    """Device and precision of an evaluation."""

    device: torch.device
    numbers: torch.dtype
    """Type of the images: that of the network's parameters."""
    mixed: torch.dtype | None
    """Type of mixed precision; None without."""
    exported: str | None = None
    """Precision of an exported network; None for others."""

    @classmethod
    def of(cls, model: nn.Module, device: torch.device, amp: bool) -> Place:
        """On this device, in mixed precision or in the network's own."""
        parameter = next(model.parameters(), None)
        numbers = torch.float32 if parameter is None else parameter.dtype
        if isinstance(model, Optimized):  # its last layer is always in float32
            numbers = model.dtype
        exported = model.precision if isinstance(model, Exported) else None
        return cls(device, numbers, half_precision(device) if amp else None, exported)

    @property
    def plain(self) -> bool:
        """Whether it is a CPU, in float32."""
        return self.device.type == "cpu" and self.mixed is None and self.numbers == torch.float32

    @property
    def precision(self) -> str:
        """Type of convolutions: ``int8``, or torch's name without ``torch.``."""
        return self.exported or str(self.mixed or self.numbers).removeprefix("torch.")


def for_streams(model: nn.Module, place: Place, engine: Engine, optimized: bool) -> Callable[[int], nn.Module]:
    """The network that computes for a number of streams: by an engine, or by torch, optimized if possible."""
    if engine != "torch":
        exported = model if isinstance(model, Exported) else Exported(model, engine)
        return cache(exported.in_streams)
    network = optimize(model) if optimized and place.plain and can_optimize(model) else model
    return lambda streams: network


def most_streams(model: nn.Module, place: Place, engine: Engine) -> int:
    """The most streams that may be faster than one: a thread each.

    One on GPUs and in mixed precision; and for foreign networks in torch, which may keep something from one layer to
    another in themselves, and so must not be called by two threads.
    """
    shared = engine != "torch" or can_optimize(model)
    return torch.get_num_threads() if shared and place.plain else 1


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

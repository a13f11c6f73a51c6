"""Devices, and the processes that torchrun starts: ranks and communication."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import distributed

from res2next.errors import Res2NextError

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class World:
    """The processes of a run and the rank of this one; a single process without torchrun."""

    rank: int = 0
    """Number of this process; process 0 writes files and prints."""
    size: int = 1
    device: torch.device = torch.device("cpu")  # noqa: RUF009 - immutable
    """Device of this process."""

    def barrier(self) -> None:
        """Wait until all processes are here."""
        if self.size > 1:
            distributed.barrier()

    def gather(self, mine: T) -> list[T]:
        """The values of all processes in the order of ranks, on rank 0; an empty list on the others."""
        if self.size == 1:
            return [mine]
        everyone: list[T] | None = [mine] * self.size if self.rank == 0 else None
        distributed.gather_object(mine, everyone)
        return everyone or []

    def broadcast(self, value: T) -> T:
        """The value of rank 0, on every process."""
        box = [value]
        if self.size > 1:
            distributed.broadcast_object_list(box)
        return box[0]


def half_precision(device: torch.device) -> torch.dtype:
    """The type of mixed precision: bfloat16, or float16 on GPUs without it."""
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.float16
    return torch.bfloat16


def convolution_precision(device: torch.device, *, mixed: bool) -> str:
    """The type in which convolutions multiply: ``bfloat16`` or ``float16`` if ``mixed``, else ``float32`` or ``tf32``.

    On a GPU torch rounds float32 to TF32 (10 bits of fraction) unless ``torch.backends.cudnn.conv.fp32_precision``, or
    a switch around it, is set to ``ieee``.
    """
    if mixed:
        return str(half_precision(device)).removeprefix("torch.")
    rounded = device.type == "cuda" and torch.backends.cudnn.conv.fp32_precision == "tf32"  # type: ignore[attr-defined]
    return "tf32" if rounded and torch.cuda.is_tf32_supported() else "float32"


class DeviceNotAvailable(Res2NextError, RuntimeError):  # noqa: N818 - a public name: it says what is the matter
    """A GPU was requested, and there is none for this process."""


class ProcessesNotConnected(Res2NextError, RuntimeError):  # noqa: N818 - as above
    """Several processes that do not know where to meet."""


@contextmanager
def join_processes(device: str) -> Iterator[World]:
    """Join the other processes, if the variables of torchrun name any, and leave them at the end.

    These are RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT, whoever set them: torchrun, or a cluster's own starter.

    Args:
        device: ``cpu``; ``cuda``, where process n of a machine uses GPU n; ``auto``: GPUs if available; or another as
            torch writes it, such as ``cuda:1`` or ``mps``, for a single process.

    Raises:
        DeviceNotAvailable: no such device, fewer GPUs than processes, or one GPU for several processes.
        ProcessesNotConnected: there are other processes, and no address to meet them at.
    """
    wanted = device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    try:
        here = torch.device(wanted)
    except RuntimeError:
        raise DeviceNotAvailable(f"{device!r} is not a device of torch: use cpu, cuda, cuda:1 or mps") from None
    number = int(os.environ.get("LOCAL_RANK", "0")) if here.index is None else here.index
    if here.type == "cuda" and number >= (there := torch.cuda.device_count()):
        raise DeviceNotAvailable(
            f"GPU {number} is wanted, and torch sees {there} here: use --device cpu, or fewer processes"
        )
    if here.type not in ("cpu", "cuda"):
        _require(here)
    if "RANK" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield World(device=here)
        return
    if here.index is not None and here.type == "cuda":
        raise DeviceNotAvailable(f"{device} is one GPU, and there are several processes: use --device cuda")
    if missing := [name for name in ("MASTER_ADDR", "MASTER_PORT") if name not in os.environ]:
        raise ProcessesNotConnected(
            f"RANK and WORLD_SIZE are set without {' and '.join(missing)}: start processes with torchrun, or unset both"
        )
    if here.type == "cuda":
        here = torch.device("cuda", number)
        torch.cuda.set_device(here)
    # objects are sent by gloo, between CPUs, also if gradients are sent by nccl
    distributed.init_process_group("cpu:gloo,cuda:nccl" if here.type == "cuda" else "gloo")
    try:
        yield World(distributed.get_rank(), distributed.get_world_size(), here)
    finally:
        distributed.destroy_process_group()


def _require(device: torch.device) -> None:
    try:
        torch.zeros(1, device=device).item()  # "meta" has no numbers
    except (RuntimeError, AssertionError, NotImplementedError) as trouble:
        reason = str(trouble).partition("\n")[0]
        raise DeviceNotAvailable(f"{device} cannot be used here: {reason}") from None

"""Batches of images with their indices in the data set."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, default_collate

from res2next.datasets.base import ArrayImages
from res2next.errors import Res2NextError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from res2next.datasets import ImageSet


Places = NDArray[np.int64]

Batches = Iterable[tuple[Places, torch.Tensor, torch.Tensor]]
"""Places of images in the data set, the images (n, C, H, W), their labels (n,)."""


def loaded(data: ImageSet, places: Places, batch_size: int, workers: int, device: torch.device) -> Batches:
    """The images at ``places`` in batches: places, images (n, C, H, W), labels (n,).

    Raises:
        CorruptImage: one cannot be decoded.
    """
    loader: DataLoader[Any] = DataLoader(
        Indexed(data),  # type: ignore[arg-type] # a map-style data set, without torch's class
        batch_size=batch_size,
        sampler=places.tolist(),
        num_workers=workers,
        collate_fn=collated,
        pin_memory=device.type == "cuda",
    )
    for batch in loader:
        if isinstance(batch, Res2NextError):
            raise batch
        numbers, images, labels = batch
        yield numbers.numpy(), images, labels


def workers_for(data: ImageSet, device: torch.device) -> int:
    """Number of processes that decode images: none for images in memory; with a GPU all cores, up to 8.

    On a CPU one for every four cores: decoding and resizing a photo takes 5 ms, a network 20 to 70 ms of all.
    """
    if isinstance(data, ArrayImages):
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    cores //= int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, min(8, cores) if device.type == "cuda" else cores // 4)


class Indexed:
    """Images with their indices. For one that cannot be decoded the error is returned, for the main process to raise.

    For an error raised in a worker process, torch would replace the message by a traceback.
    """

    def __init__(self, data: ImageSet) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[int, Any, int] | Res2NextError:
        try:
            image, label = self.data[index]
        except Res2NextError as trouble:
            return trouble
        return index, image, label


def collated(items: Sequence[tuple[int, Any, int] | Res2NextError]) -> Any:
    """One batch, or the first error."""
    return next((item for item in items if isinstance(item, Res2NextError)), None) or default_collate(list(items))

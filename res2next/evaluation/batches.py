"""Batches of images with their indices in the data set."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, default_collate

from res2next.datasets.base import ArrayImages, CorruptImage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from res2next.datasets import ImageSet


Places = NDArray[np.int64]

Batch = tuple[Places, torch.Tensor, torch.Tensor]
"""Places of images in the data set, the images (n, C, H, W), their labels (n,)."""


def load_batches(
    data: ImageSet, places: Places, batch_size: int, workers: int, device: torch.device, undecodable: dict[int, str]
) -> Iterator[Batch]:
    """The images at ``places`` in batches.

    Places of images that cannot be decoded, and messages about them, are added to ``undecodable``.
    """
    loader: DataLoader[Any] = DataLoader(
        Indexed(data),  # type: ignore[arg-type] # a map-style data set, without torch's class
        batch_size=batch_size,
        sampler=places.tolist(),
        num_workers=workers,
        collate_fn=collated,
        pin_memory=device.type == "cuda",
    )
    for batch, failed in loader:
        undecodable |= failed
        if batch is not None:
            numbers, images, labels = batch
            yield numbers.numpy(), images, labels


def load_batch(data: ImageSet, places: Places, undecodable: dict[int, str]) -> Batch | None:
    """The images at ``places``, None if none can be decoded; ``undecodable`` as above."""
    indexed = Indexed(data)
    batch, failed = collated([indexed[place] for place in places.tolist()])
    undecodable.update(failed)
    return None if batch is None else (batch[0].numpy(), batch[1], batch[2])


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
    """Images with their indices; for one that cannot be decoded its index and a message."""

    def __init__(self, data: ImageSet) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[int, Any, int] | tuple[int, str]:
        try:
            image, label = self.data[index]
        except CorruptImage as trouble:
            return index, str(trouble)
        return index, image, label


def collated(items: Sequence[tuple[int, Any, int] | tuple[int, str]]) -> tuple[Any, dict[int, str]]:
    """The images of one batch, None without any; and the messages about images that cannot be decoded."""
    failed = {item[0]: item[1] for item in items if len(item) == 2}
    whole = [item for item in items if len(item) == 3]
    return default_collate(whole) if whole else None, failed

"""Scores all images: on a device, in a precision, in batches, by one stream or by several, whichever is faster.

One stream is one batch at a time by all threads, while other processes decode the next. Several streams are batches
that are decoded and scored at the same time, each by its share of the threads, with the same weights. For many
networks several are faster, as nothing waits for the slowest thread of each layer; it depends on the network, its
engine and the processor. So both are timed on the first images, which are scored by that. Counts are the same.
"""

from __future__ import annotations

import os
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, default_collate

from res2next.datasets.arrays import ArrayImages
from res2next.datasets.base import CorruptImage
from res2next.distributed import half_precision
from res2next.errors import Res2NextError
from res2next.evaluation.metrics import Scores, likeliest_labels, score
from res2next.inference import Exported, Optimized, can_optimize, optimize

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from torch import Tensor, nn

    from res2next.datasets import ImageSet
    from res2next.inference import Engine

Indices = NDArray[np.int64]

Batch = tuple[Indices, torch.Tensor, torch.Tensor]
"""Indices of images in the data set, the images (n, C, H, W), their labels (n,)."""

Scored = tuple[Indices, Scores]
"""Indices of images in the data set, and their scores."""

ROUNDS = 3
"""Batches of each stream that are timed, for either number of streams; the first is to warm up, and does not count."""
SHARE = 8
"""Both are timed if that takes at most one of so many images."""
BATCHES, LEAST_BATCH = 64, 8
"""A stream has so many batches, so that all end at about the same time, unless they would be smaller than that."""


class UnfitNetwork(Res2NextError, ValueError):  # noqa: N818 - a public name: it says what is the matter
    """A network whose number of logits is not the number of classes."""


@dataclass(slots=True)
class Scoring:
    """What is scored, and how."""

    network: Callable[[int], nn.Module]
    """The network for a number of streams."""
    data: ImageSet
    settings: DeviceSettings
    flip: bool
    batch_size: int
    workers: int
    """Processes that decode images for one stream."""
    undecodable: dict[int, str] = field(default_factory=dict)
    """Indices of images that cannot be decoded, and messages about them."""
    streams: int = 1
    """The number that was chosen."""

    def run(self, indices: Indices, most: int, chosen: int | None) -> Generator[Scored]:
        """The indices of the images of each batch, and their scores.

        ``chosen`` streams; the faster of 1 and ``most`` unless given, if there are enough images to find out.
        """
        several = most if chosen is None else chosen
        batch = min(self.batch_size, max(LEAST_BATCH, len(indices) // (BATCHES * several)))
        tried = 2 * ROUNDS * several * batch
        self.streams = chosen or 1
        if chosen is None and most > 1 and len(indices) >= SHARE * tried:
            yield from self._try_both(indices[:tried], several, batch)
            indices = indices[tried:]
        if self.streams > 1:
            yield from self._run_streams(indices, batch)
            return
        network = self.network(1)
        device = self.settings.device
        for loaded in load_batches(self.data, indices, self.batch_size, self.workers, device, self.undecodable):
            yield self._score(network, loaded)

    def _try_both(self, indices: Indices, several: int, batch: int) -> Iterator[Scored]:
        """Score images with one stream and with several in turn, and choose the faster."""
        networks = {number: self.network(number) for number in (1, several)}
        seconds: dict[int, list[float]] = {number: [] for number in networks}
        parts = iter(np.split(indices, range(batch, len(indices), batch)))
        with _pool(several) as pool:
            for _ in range(ROUNDS):
                for number, network in networks.items():
                    loaded = [one for one in pool.map(self._load, islice(parts, several)) if one]
                    started = time.perf_counter()
                    if number == 1:  # in this thread, which has all threads of torch
                        found = [self._score(network, one) for one in ([_concatenate(loaded)] if loaded else [])]
                    else:
                        found = list(pool.map(self._score, [network] * len(loaded), loaded))
                    images = sum(len(indices) for indices, _ in found)
                    seconds[number].append((time.perf_counter() - started) / images if images else inf)
                    yield from found
        self.streams = min(seconds, key=lambda number: min(seconds[number][1:]))

    def _run_streams(self, indices: Indices, batch: int) -> Iterator[Scored]:
        network = self.network(self.streams)

        def work(part: Indices) -> Scored | None:
            loaded = self._load(part)
            return self._score(network, loaded) if loaded else None

        with _pool(self.streams) as pool:
            pending: deque[Future[Scored | None]] = deque()
            for first in range(0, len(indices), batch):
                pending.append(pool.submit(work, indices[first : first + batch]))
                if len(pending) > 2 * self.streams and (found := pending.popleft().result()):
                    yield found
            yield from filter(None, (future.result() for future in pending))

    def _load(self, indices: Indices) -> Batch | None:
        return load_batch(self.data, indices, self.undecodable)

    def _score(self, network: nn.Module, batch: Batch) -> Scored:
        indices, images, labels = batch
        kind, mixed = self.settings.device.type, self.settings.mixed
        # not around the loop: the caller's code between two batches is not in inference mode
        with torch.inference_mode(), torch.autocast(kind, mixed, enabled=mixed is not None):
            images = images.to(
                self.settings.device, self.settings.numbers, non_blocking=True, memory_format=torch.channels_last
            )
            logits: Tensor = network(images)  # (n, classes)
            if self.flip:
                logits = (logits + network(images.flip(3))) / 2
        info = self.data.info
        if logits.shape[1:] != (info.num_classes,):
            raise UnfitNetwork(
                f"the network gives {'x'.join(map(str, logits.shape[1:]))} logits an image, and {info.name} "
                f"has {info.num_classes} classes: choose a network for it, or another data set"
            )
        return indices, score(logits, likeliest_labels(logits, labels, self.data.label_sets(indices.tolist())))


# --- Streams ---


def for_streams(
    model: nn.Module, settings: DeviceSettings, engine: Engine, optimized: bool
) -> Callable[[int], nn.Module]:
    """The network that computes for a number of streams: by an engine, or by torch, optimized if possible."""
    if engine != "torch":
        exported = model if isinstance(model, Exported) else Exported(model, engine)
        return cache(exported.in_streams)
    network = optimize(model) if optimized and settings.is_cpu_float32 and can_optimize(model) else model
    return lambda streams: network


def most_streams(model: nn.Module, settings: DeviceSettings, engine: Engine) -> int:
    """The most streams that may be faster than one: a thread each.

    One on GPUs and in mixed precision; and for foreign networks in torch, which may keep something from one layer to
    another in themselves, and so must not be called by two threads.
    """
    shared = engine != "torch" or can_optimize(model)
    return torch.get_num_threads() if shared and settings.is_cpu_float32 else 1


@contextmanager
def _pool(streams: int) -> Iterator[ThreadPoolExecutor]:
    """Threads, each of which has its share of torch's."""
    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(streams, initializer=torch.set_num_threads, initargs=(max(1, threads // streams),))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)  # also of threads to come, which the initializer changed


def _concatenate(batches: Iterable[Batch]) -> Batch:
    """The images of some batches as one."""
    indices, images, labels = zip(*batches, strict=True)
    return np.concatenate(indices), torch.cat(images), torch.cat(labels)


# --- Batches ---


def load_batches(
    data: ImageSet, indices: Indices, batch_size: int, workers: int, device: torch.device, undecodable: dict[int, str]
) -> Iterator[Batch]:
    """The images at ``indices`` in batches.

    Indices of images that cannot be decoded, and messages about them, are added to ``undecodable``.
    """
    loader: DataLoader[Any] = DataLoader(
        Indexed(data),  # type: ignore[arg-type] # a map-style data set, without torch's class
        batch_size=batch_size,
        sampler=indices.tolist(),
        num_workers=workers,
        collate_fn=collate,
        pin_memory=device.type == "cuda",
    )
    for batch, failed in loader:
        undecodable |= failed
        if batch is not None:
            yield batch


def load_batch(data: ImageSet, indices: Indices, undecodable: dict[int, str]) -> Batch | None:
    """The images at ``indices``, None if none can be decoded; ``undecodable`` as above."""
    indexed = Indexed(data)
    batch, failed = collate([indexed[index] for index in indices.tolist()])
    undecodable.update(failed)
    return batch


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


def collate(items: Sequence[tuple[int, Any, int] | tuple[int, str]]) -> tuple[Batch | None, dict[int, str]]:
    """The images of one batch, None without any; and the messages about images that cannot be decoded.

    Indices are not a tensor, which would keep memory of the decoding process open until results are written.
    """
    failed = {item[0]: item[1] for item in items if len(item) == 2}
    whole = [item for item in items if len(item) == 3]
    if not whole:
        return None, failed
    images, labels = default_collate([item[1:] for item in whole])
    return (np.array([item[0] for item in whole], np.int64), images, labels), failed


# --- Device and precision ---


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """Device and precision of an evaluation."""

    device: torch.device
    numbers: torch.dtype
    """Type of the images: that of the network's parameters."""
    mixed: torch.dtype | None
    """Type of mixed precision; None without."""
    exported: str | None = None
    """Precision of an exported network; None for others."""

    @classmethod
    def of(cls, model: nn.Module, device: torch.device, amp: bool) -> DeviceSettings:
        """On this device, in mixed precision or in the network's own."""
        parameter = next(model.parameters(), None)
        numbers = torch.float32 if parameter is None else parameter.dtype
        if isinstance(model, Optimized):  # its last layer is always in float32
            numbers = model.dtype
        exported = model.precision if isinstance(model, Exported) else None
        return cls(device, numbers, half_precision(device) if amp else None, exported)

    @property
    def is_cpu_float32(self) -> bool:
        """Whether it is a CPU, in float32."""
        return self.device.type == "cpu" and self.mixed is None and self.numbers == torch.float32

    @property
    def precision(self) -> str:
        """Type of convolutions: ``int8``, or torch's name without ``torch.``."""
        return self.exported or str(self.mixed or self.numbers).removeprefix("torch.")


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

"""Scores all images, by one stream or by several, whichever is faster.

One stream is one batch at a time by all threads, while other processes decode the next. Several streams are batches
that are decoded and scored at the same time, each by its share of the threads, with the same weights. For many
networks several are faster, as nothing waits for the slowest thread of each layer; it depends on the network, its
engine and the processor. So both are timed on the first images, which are scored by that. Counts are the same.
"""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from math import inf
from typing import TYPE_CHECKING

import numpy as np
import torch

from res2next.errors import Res2NextError
from res2next.evaluation.batches import load_batch, load_batches
from res2next.evaluation.metrics import likeliest, score

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from torch import Tensor, nn

    from res2next.datasets import ImageSet
    from res2next.evaluation.batches import Batch, Places
    from res2next.evaluation.metrics import Scores
    from res2next.evaluation.precision import Place

    Scored = tuple[Places, Scores]

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
    place: Place
    flip: bool
    batch_size: int
    workers: int
    """Processes that decode images for one stream."""
    undecodable: dict[int, str] = field(default_factory=dict)
    """Places of images that cannot be decoded, and messages about them."""
    streams: int = 1
    """The number that was chosen."""

    def run(self, places: Places, most: int, chosen: int | None) -> Generator[Scored]:
        """The places of the images of each batch, and their scores.

        ``chosen`` streams; the faster of 1 and ``most`` unless given, if there are enough images to find out.
        """
        several = most if chosen is None else chosen
        batch = min(self.batch_size, max(LEAST_BATCH, len(places) // (BATCHES * several)))
        tried = 2 * ROUNDS * several * batch
        self.streams = chosen or 1
        if chosen is None and most > 1 and len(places) >= SHARE * tried:
            yield from self._try_both(places[:tried], several, batch)
            places = places[tried:]
        if self.streams > 1:
            yield from self._run_streams(places, batch)
            return
        network = self.network(1)
        device = self.place.device
        for loaded in load_batches(self.data, places, self.batch_size, self.workers, device, self.undecodable):
            yield self._score(network, loaded)

    def _try_both(self, places: Places, several: int, batch: int) -> Iterator[Scored]:
        """Score images with one stream and with several in turn, and choose the faster."""
        networks = {number: self.network(number) for number in (1, several)}
        seconds: dict[int, list[float]] = {number: [] for number in networks}
        parts = iter(np.split(places, range(batch, len(places), batch)))
        with _pool(several) as pool:
            for _ in range(ROUNDS):
                for number, network in networks.items():
                    loaded = [one for one in pool.map(self._load, islice(parts, several)) if one]
                    started = time.perf_counter()
                    if number == 1:  # in this thread, which has all threads of torch
                        found = [self._score(network, one) for one in ([_joined(loaded)] if loaded else [])]
                    else:
                        found = list(pool.map(self._score, [network] * len(loaded), loaded))
                    images = sum(len(indices) for indices, _ in found)
                    seconds[number].append((time.perf_counter() - started) / images if images else inf)
                    yield from found
        self.streams = min(seconds, key=lambda number: min(seconds[number][1:]))

    def _run_streams(self, places: Places, batch: int) -> Iterator[Scored]:
        network = self.network(self.streams)

        def work(part: Places) -> Scored | None:
            loaded = self._load(part)
            return self._score(network, loaded) if loaded else None

        with _pool(self.streams) as pool:
            pending: deque[Future[Scored | None]] = deque()
            for first in range(0, len(places), batch):
                pending.append(pool.submit(work, places[first : first + batch]))
                if len(pending) > 2 * self.streams and (found := pending.popleft().result()):
                    yield found
            yield from filter(None, (future.result() for future in pending))

    def _load(self, places: Places) -> Batch | None:
        return load_batch(self.data, places, self.undecodable)

    def _score(self, network: nn.Module, batch: Batch) -> Scored:
        places, images, labels = batch
        kind, mixed = self.place.device.type, self.place.mixed
        # not around the loop: the caller's code between two batches is not in inference mode
        with torch.inference_mode(), torch.autocast(kind, mixed, enabled=mixed is not None):
            images = images.to(
                self.place.device, self.place.numbers, non_blocking=True, memory_format=torch.channels_last
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
        return places, score(logits, likeliest(logits, labels, self.data.label_sets(places.tolist())))


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


def _joined(batches: Iterable[Batch]) -> Batch:
    """The images of some batches as one."""
    places, images, labels = zip(*batches, strict=True)
    return np.concatenate(places), torch.cat(images), torch.cat(labels)

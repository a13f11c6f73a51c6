"""Measures a network on a data set: exact counts, each image once.

Counts are the same for any batch size, number of worker processes and number of processes of torchrun, as far as
the network's float arithmetic is; :attr:`Evaluation.close_calls` says how many images could ever differ.
"""

from __future__ import annotations

import hashlib
import math
import os
import time
from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, default_collate

from res2next.classify import evaluating
from res2next.datasets.base import ArrayImages
from res2next.distributed import World
from res2next.errors import Res2NextError
from res2next.metrics import (
    Bin,
    Scores,
    calibration,
    calibration_error,
    confusion_matrix,
    correct_within,
    mean_loss,
    score,
    wilson_interval,
)
from res2next.optimize import Optimized, can_optimize, optimize
from res2next.partial_results import Results, in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from torch import nn

    from res2next.datasets import ImageSet


def evaluate(
    model: nn.Module,
    data: ImageSet,
    *,
    device: str = "cpu",
    batch_size: int = 64,
    workers: int | None = None,
    amp: bool = False,
    optimized: bool = True,
    progress: Callable[[int, int], None] | None = None,
    name: str = "",
    weights: str = "",
    world: World = World(),  # noqa: B008 - immutable
    partial: Path | None = None,
) -> Evaluation:
    """Measure ``model`` on all images of ``data``, whose transform makes tensors (C, H, W) of one size.

    Args:
        model: gives logits (n, classes). It is moved to the device, and left in the mode that it was in.
        device: as torch writes it. Float32 is exact there too: TF32 is off. On a CPU a network of this package
            is computed by its optimized copy (:func:`res2next.optimize`), which gives the same sums in another order.
        batch_size: images at a time; changes speed only.
        workers: processes that decode images; chosen by the machine unless given.
        amp: mixed precision: bfloat16, or float16 on GPUs without it. Counts may differ from those of float32, and
            with the batch size: ``close_calls`` is about float32.
        optimized: on a CPU, compute float32 by an optimized copy (:func:`res2next.optimize.optimize`) where ``model``
            is a network of this package: the same sums in another order.
        progress: called with the number of images that this process has done and that it has to do.
        name: of the model, for the record.
        weights: digest of its weights, for the record.
        world: the processes that share the images; each calls this function, and each gets the result.
        partial: folder in which to keep what is done; an evaluation goes on with what it finds there. It stays.

    Raises:
        UnfitNetwork: the network gives another number of logits than there are classes.
        OtherEvaluation: ``partial`` is of another network, other images or another way of evaluating.
        CorruptImage: an image cannot be decoded; none is left out.
        ValueError: ``data`` has no transform, or ``batch_size`` is below 1.
    """
    started = time.perf_counter()
    if data.transform is None:
        raise ValueError("the images are not made ready: open the data set with transform=evaluation_transform(...)")
    place = Place.of(model, torch.device(device), amp)
    computing = quickest(model, place) if optimized else model
    results = Results(partial, inputs_of(model, data, name, weights, place) if partial else {})
    mine = results.missing(len(data), world)
    workers = workers_for(data, place.device) if workers is None else workers
    batches = loaded(data, mine, batch_size, workers, place.device)
    with evaluating(model), exact_on(place.device):
        for places, scores in scored(computing, batches, data, place):
            results.add(places, scores)
            if progress:
                progress(results.added, len(mine))
    results.write()

    known = world.gather((results.places, results.scores, results.added))
    evaluation: Evaluation | None = None
    if known:  # on the first process
        scores = in_order([(places, scores) for places, scores, _ in known], len(data))
        timing = Timing(time.perf_counter() - started, sum(added for *_, added in known))
        evaluation = summarised(scores, data, Subject(name, weights), place, timing)
    evaluation = world.broadcast(evaluation)
    assert evaluation is not None
    return evaluation


# --- The result ---


@dataclass(frozen=True, slots=True)
class ClassResult:
    """The images of one class."""

    name: str
    images: int
    correct: int
    """Those with top-1."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a network gets right on one split of a data set. Results are counts of images; shares follow from them."""

    model: str
    dataset: str
    split: str
    images: int
    top1: int
    """Images whose class has the highest logit; of equal logits, that of the lower class comes first."""
    top5: int
    """Images whose class is among the five highest."""
    top1_interval: tuple[float, float]
    """95 % score interval of top-1 (Wilson, 1927), as fractions."""
    top5_interval: tuple[float, float]
    loss: float
    """Mean cross entropy in nats; NaN if it is for any image."""
    ece: float
    """Expected calibration error in 15 bins (Guo et al., 2017), as a fraction."""
    bins: tuple[Bin, ...]
    classes: tuple[str, ...]
    per_class: tuple[ClassResult, ...]
    confusion: tuple[tuple[int, ...], ...]
    """How often images of a class (row) were taken for another (column)."""
    close_calls: int
    """Images whose count hangs on two logits that differ by less than a ten-thousandth: with none, no batch size,
    number of processes or other order of summation in float32 changes a count."""
    not_numbers: int
    """Images with a logit that is NaN or plus infinity: they count as wrong, and are in no column of ``confusion``."""
    data_digest: str
    weights_digest: str
    preprocessing: str
    device: str
    """Kind of device: ``cpu`` or ``cuda``."""
    precision: str
    """What convolutions are computed in: ``float32`` or, with mixed precision, ``bfloat16`` or ``float16``."""
    seconds: float
    """Wall time, loading of images included; of the last run only where there were several."""
    images_per_second: float
    """Of that run."""

    def to_dict(self) -> dict[str, Any]:
        """For JSON: ``confusion`` lists [row, column, number] of what occurs, and a loss that is no number is null."""
        content = {field.name: getattr(self, field.name) for field in fields(self)}
        rows = enumerate(self.confusion)
        content["confusion"] = [[i, j, n] for i, row in rows for j, n in enumerate(row) if n]
        content["bins"] = [asdict(part) for part in self.bins]
        content["per_class"] = [asdict(part) for part in self.per_class]
        for name in ("classes", "top1_interval", "top5_interval"):
            content[name] = list(content[name])
        content["loss"] = self.loss if math.isfinite(self.loss) else None
        return content

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Evaluation:
        """From what :meth:`to_dict` gave."""
        size = len(content["classes"])
        confusion = [[0] * size for _ in range(size)]
        for row, column, number in content["confusion"]:
            confusion[row][column] = number
        changed = {
            "confusion": tuple(map(tuple, confusion)),
            "bins": tuple(Bin(**part) for part in content["bins"]),
            "per_class": tuple(ClassResult(**part) for part in content["per_class"]),
            "loss": math.nan if content["loss"] is None else content["loss"],
            **{name: tuple(content[name]) for name in ("classes", "top1_interval", "top5_interval")},
        }
        return cls(**{**content, **changed})


class UnfitNetwork(Res2NextError, ValueError):  # noqa: N818 - a public name: it says what is the matter
    """A network that gives another number of logits than the data set has classes."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is evaluated."""

    name: str
    weights: str


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


@dataclass(frozen=True, slots=True)
class Timing:
    """How long it took, and for how many images."""

    seconds: float
    images: int


def summarised(scores: Scores, data: ImageSet, subject: Subject, place: Place, timing: Timing) -> Evaluation:
    """The result, from the scores of all images in order."""
    images, classes = len(data), data.classes
    confusion = confusion_matrix(scores, len(classes))
    bins = calibration(scores)
    top1, top5 = correct_within(scores, 1), correct_within(scores, 5)
    totals = np.bincount(scores.label, minlength=len(classes)).tolist()
    per_class = zip(classes, totals, confusion.diagonal().tolist(), strict=True)
    return Evaluation(
        model=subject.name,
        dataset=data.info.name,
        split=data.split,
        images=images,
        top1=top1,
        top5=top5,
        top1_interval=wilson_interval(top1, images),
        top5_interval=wilson_interval(top5, images),
        loss=mean_loss(scores),
        ece=calibration_error(bins),
        bins=bins,
        classes=classes,
        per_class=tuple(ClassResult(*one) for one in per_class),
        confusion=tuple(map(tuple, confusion.tolist())),
        close_calls=int(scores.close.sum()),
        not_numbers=int((scores.predicted < 0).sum()),
        data_digest=data.digest,
        weights_digest=subject.weights,
        preprocessing=repr(data.transform),
        device=place.device.type,
        precision=place.precision,
        seconds=timing.seconds,
        images_per_second=timing.images / timing.seconds,
    )


# --- Computing ---


Places = NDArray[np.int64]

Batches = Iterable[tuple[Places, torch.Tensor, torch.Tensor]]
"""Places of images in the data set, the images (n, C, H, W), their labels (n,)."""


def scored(model: nn.Module, batches: Batches, data: ImageSet, place: Place) -> Iterator[tuple[Places, Scores]]:
    """The places of the images of each batch, and their scores."""
    model.to(place.device)
    kind, mixed = place.device.type, place.mixed
    for places, images, labels in batches:
        # not around the loop: what the caller does between two batches is not in inference mode
        with torch.inference_mode(), torch.autocast(kind, mixed, enabled=mixed is not None):
            images = images.to(place.device, place.numbers, non_blocking=True, memory_format=torch.channels_last)
            logits = model(images)  # (n, classes)
        if logits.shape[1:] != (data.info.num_classes,):
            raise UnfitNetwork(
                f"the network gives {'x'.join(map(str, logits.shape[1:]))} logits an image, and {data.info.name} "
                f"has {data.info.num_classes} classes: choose a network for it, or another data set"
            )
        yield places, score(logits, labels)


def quickest(model: nn.Module, place: Place) -> nn.Module:
    """The network that gives the same logits fastest: an optimized copy on a CPU, for networks of this package."""
    plain = place.device.type == "cpu" and place.mixed is None and place.numbers == torch.float32
    return optimize(model) if plain and can_optimize(model) else model


def half_precision(device: torch.device) -> torch.dtype:
    """What mixed precision computes in: bfloat16 where the device has it."""
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.float16
    return torch.bfloat16


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


def inputs_of(model: nn.Module, data: ImageSet, name: str, weights: str, place: Place) -> dict[str, str]:
    """What decides the scores, by name: only with the same can an evaluation be gone on with."""
    digest = hashlib.sha256(repr(model).encode())
    for key, value in model.state_dict().items():
        digest.update(f"{key} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return {
        "format": "1",
        "model": name,
        "weights file": weights,
        "network": f"sha256:{digest.hexdigest()}",
        "data set": f"{data.info.name} {data.split} {data.digest}",
        "preprocessing": repr(data.transform),
        "device": place.device.type,
        "precision": place.precision,
    }


# --- Loading images ---


class Indexed:
    """Images with their places. One that cannot be decoded gives the error, to be raised by the main process.

    An error raised in a worker process comes out with torch's traceback for its message.
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
    """How many processes decode images: none for images in memory; all cores beside a GPU, up to 8.

    On a CPU one for every four cores: decoding and resizing a photo takes 5 ms, a network 20 to 70 ms of all.
    """
    if isinstance(data, ArrayImages):
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    cores //= int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, min(8, cores) if device.type == "cuda" else cores // 4)

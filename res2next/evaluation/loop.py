"""Measures a network on a data set: exact counts, each image once.

Counts are the same for any batch size, number of worker processes and number of processes of torchrun, as far as
the network's float arithmetic is; :attr:`Evaluation.close_calls` is the number of images that could differ.
"""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

import torch

from res2next.datasets.base import CorruptImage
from res2next.distributed import World
from res2next.evaluation.partial_results import Results, evaluation_inputs, merge_results
from res2next.evaluation.result import Evaluation, summarize
from res2next.evaluation.scoring import DeviceSettings, Scoring, exact_on, for_streams, most_streams, workers_for
from res2next.inference import Exported, choose_engine, evaluation_mode

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn

    from res2next.datasets import ImageSet
    from res2next.evaluation.metrics import Scores


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
    flip: bool = False,
    changes: tuple[str, ...] = (),
    predictions: Callable[[Scores], None] | None = None,
    engine: str = "torch",
    streams: int | None = None,
    world: World = World(),  # noqa: B008 - immutable
    partial: Path | None = None,
) -> Evaluation:
    """Measure ``model`` on all images of ``data``, whose transform makes tensors (C, H, W) of one size.

    Args:
        model: returns logits (n, classes). It is moved to the device; its mode is restored.
        device: as torch writes it. Float32 is exact there too: TF32 is off. On a CPU a network of this package
            is computed by its optimized copy (:func:`res2next.optimize`), which gives the same sums in another order.
        batch_size: images per batch; changes speed only.
        workers: processes that decode images; chosen by the machine unless given.
        amp: mixed precision: bfloat16, or float16 on GPUs without it. Counts may differ from those of float32, and
            with the batch size: ``close_calls`` is about float32.
        optimized: on a CPU, compute float32 by an optimized copy (:func:`res2next.optimize`) if ``model``
            is a network of this package: the same sums in another order.
        progress: called with the numbers of images done by this process, and of all its images.
        name: of the model, for the record.
        weights: digest of its weights, for the record.
        flip: take the mean of the logits of each image and its mirror image.
        changes: how the preprocessing differs from the published one, for the record.
        predictions: called on the first process with the scores of all images in order.
        engine: ``torch``; on a CPU and in float32 also ``onnxruntime`` or ``openvino``; ``auto`` is the fastest of
            those that are installed. Any engine computes the same sums in another order. A network that was exported or
            quantized (:func:`res2next.inference.quantize`) has its own.
        streams: batches that are computed at the same time, each by its share of torch's threads; the faster of one
            and of one for each thread unless given, which is timed if there are enough images. Changes speed only.
        world: the processes that share the images; each calls this function and gets the result.
        partial: folder for partial results; an evaluation continues with those in it. It is not deleted.

    Raises:
        UnfitNetwork: the number of logits is not the number of classes.
        OtherEvaluation: ``partial`` is of another network, another data set or another way of evaluating.
        UndecodableImages: images cannot be decoded; raised when all others are evaluated and in ``partial``.
        EngineNotAvailable: the engine's package is missing, or it does not compute on the device.
        ExportFailed: the network cannot be exported for the engine, or exported it gives other logits.
        ValueError: ``data`` has no transform; ``batch_size`` or ``streams`` is below 1; an engine other than torch for
            a network that is not in float32, or in mixed precision.
    """
    started = time.perf_counter()
    if data.transform is None:
        raise ValueError("the images are not made ready: open the data set with transform=evaluation_transform(...)")
    if batch_size < 1 or (streams is not None and streams < 1):
        raise ValueError("batch_size and streams must be at least 1")
    settings = DeviceSettings.of(model, torch.device(device), amp)
    if isinstance(model, Exported):
        engine = model.engine
    elif engine == "auto" and not settings.is_cpu_float32:
        engine = "torch"
    chosen = choose_engine(engine, settings.device.type)
    if chosen != "torch" and not settings.is_cpu_float32:
        raise ValueError(f"the engine {chosen} computes in float32, and not in {settings.precision}")
    model.to(settings.device)
    inputs = evaluation_inputs(model, data, name, weights, settings, chosen, flip) if partial else {}
    results = Results(partial, inputs, data)
    mine = results.missing(len(data), world)
    workers = workers_for(data, settings.device) if workers is None else workers
    scoring = Scoring(for_streams(model, settings, chosen, optimized), data, settings, flip, batch_size, workers)
    scored = scoring.run(mine, most_streams(model, settings, chosen), streams)
    with evaluation_mode(model), exact_on(settings.device), closing(scored):
        for indices, scores in scored:
            results.add(indices, scores)
            if progress:
                progress(results.added, len(mine))
    results.write()

    failed = world.broadcast(dict(sorted(item for part in world.gather(scoring.undecodable) for item in part.items())))
    if failed:
        raise UndecodableImages(tuple(failed.values()), len(data))
    known = world.gather((results.indices, results.scores, results.added))
    evaluation: Evaluation | None = None
    if known:  # on the first process
        scores = merge_results([(indices, scores) for indices, scores, _ in known], len(data))
        seconds = time.perf_counter() - started
        if predictions:
            predictions(scores)
        evaluation = summarize(
            scores,
            data,
            settings,
            model=name,
            weights=weights,
            changes=(*changes, *(("flip",) if flip else ())),
            engine=chosen,
            streams=scoring.streams,
            seconds=seconds,
            images_per_second=sum(added for *_, added in known) / seconds,
        )
    evaluation = world.broadcast(evaluation)
    assert evaluation is not None
    return evaluation


class UndecodableImages(CorruptImage):
    """All images of a data set that cannot be decoded: there is no result without them."""

    def __init__(self, messages: tuple[str, ...], images: int) -> None:
        self.messages = messages
        """One for each image, with its name."""
        self.images = images
        """Of the whole data set."""
        super().__init__("; ".join(messages))

    def __reduce__(self) -> tuple[type[UndecodableImages], tuple[tuple[str, ...], int]]:
        return UndecodableImages, (self.messages, self.images)

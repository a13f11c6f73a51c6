"""Evaluation of one model on one data set, as counts; runs in a worker process with all cores."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from msgspec.structs import replace

from cardproof.core.digests import digest_of_large_file
from cardproof.core.measurements import Evaluated, Preprocessing
from cardproof.measure.model_evidence import blank, name_in
from cardproof.plan.needed_evaluations import Job
from cardproof.zoos import load_zoo, preprocessing_of

if TYPE_CHECKING:
    from res2next.registry import Preprocessing as Feeding

MOST_CLASSES = 100
"""Confusion matrices of more classes are not stored, to keep records small."""


def evaluate_job(job: Job, spec: str, threads: int, progress: Callable[[int, int], None]) -> Evaluated | str:
    """Evaluate a model with its weights, on the first CUDA device if there is one; return the result or an error.

    ``progress`` is called with the number of finished images and of all.
    """
    started = time.perf_counter()
    torch.set_num_threads(threads)
    zoo = load_zoo(spec)
    try:
        found, device = _evaluate(job, zoo, name_in(zoo, job.need), progress)
    except Exception as trouble:  # a zoo, a file of weights and a folder of images are foreign, and may raise anything
        return f"{type(trouble).__name__}: {trouble}"
    if found.not_numbers:
        return f"{found.not_numbers} images have logits that are not numbers"
    environment = replace(
        blank(job.need, spec, "").environment, device=device, seconds=round(time.perf_counter() - started, 3)
    )
    few = len(found.classes) <= MOST_CLASSES
    return Evaluated(
        dataset=job.dataset,
        split=found.split,
        images=found.images,
        top1=found.top1,
        top5=found.top5,
        top1_interval=tuple(found.top1_interval),
        top5_interval=tuple(found.top5_interval),
        loss=round(found.loss, 5),
        calibration_error=round(found.ece, 5),
        close_calls=found.close_calls,
        classes=tuple(found.classes) if few else (),
        confusion=tuple(" ".join(str(n) for n in row) for row in found.confusion) if few else (),
        weights=job.weights.name,
        weights_digest=digest_of_large_file(job.weights),
        data_digest=found.data_digest,
        inputs=job.inputs,
        environment=environment,
    )


def _evaluate(job: Job, zoo: Any, name: str, progress: Callable[[int, int], None]) -> tuple[Any, str]:
    from res2next.datasets import open_dataset
    from res2next.evaluation import evaluate
    from res2next.transforms import evaluation_transform
    from res2next.weights import load_weights

    config = preprocessing_of(zoo, name)
    if config is None:
        raise ValueError(f"the zoo does not say how images are made ready for {name}")
    network = zoo.build(name)
    load_weights(network, job.weights)
    data = open_dataset(job.dataset, job.data, split="test", transform=evaluation_transform(_ours(config)))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    # nothing that is timed or installed may decide how a value on record was computed
    return evaluate(network, data, device=device, engine="torch", streams=1, progress=progress), device


def _ours(config: Preprocessing) -> Feeding:
    """Return a zoo's preprocessing as res2next's; missing values are those of ImageNet."""
    from res2next.registry import Preprocessing as Feeding

    usual = Feeding()
    return Feeding(
        config.input_size,
        config.crop_pct or usual.crop_pct,
        config.interpolation or usual.interpolation,
        config.mean or usual.mean,
        config.std or usual.std,
    )

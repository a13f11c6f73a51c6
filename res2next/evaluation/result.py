"""The result of an evaluation: counts of images, values derived from them, and the prediction for each image."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from res2next.evaluation.metrics import (
    Bin,
    Scores,
    calibration,
    calibration_error,
    confusion_matrix,
    correct_within,
    mean_loss,
    wilson_interval,
)
from res2next.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from res2next.datasets import ImageSet
    from res2next.evaluation.scoring import DeviceSettings


@dataclass(frozen=True, slots=True)
class ClassResult:
    """The images of one class."""

    name: str
    images: int
    correct: int
    """Those with top-1."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result of a network on one split of a data set. Results are counts of images."""

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
    """How often images of a class (row) were predicted as each class (column)."""
    close_calls: int
    """Images whose result depends on two logits that differ by at most a ten-thousandth: with none, no batch size,
    number of processes or order of summation in float32 changes a count."""
    not_numbers: int
    """Images with a logit that is NaN or plus infinity: they count as wrong, and are in no column of ``confusion``."""
    data_digest: str
    weights_digest: str
    preprocessing: str
    device: str
    """Kind of device: ``cpu`` or ``cuda``."""
    precision: str
    """Type of convolutions: ``float32``; with mixed precision ``bfloat16`` or ``float16``; quantized ``int8``."""
    seconds: float
    """Wall time, loading of images included; of the last run only if there were several."""
    images_per_second: float
    """Of that run."""
    published: bool = True
    """False for images of one's own: the result is not one on a published split."""
    changes: tuple[str, ...] = ()
    """How the images were evaluated otherwise than published, such as ``crop 1``, ``size 256``, ``flip``."""
    engine: str = "torch"
    """What computed the network: ``torch``, ``onnxruntime`` or ``openvino``."""
    streams: int = 1
    """Batches that were computed at the same time; of the first process, if there were several."""

    @property
    def classes_with_images(self) -> int:
        """Number of classes that have any images."""
        return sum(one.images > 0 for one in self.per_class)

    @property
    def confidence(self) -> float:
        """Mean confidence of the images that have a prediction; 0 without any."""
        images = sum(part.images for part in self.bins)
        return math.fsum(part.images * part.confidence for part in self.bins) / images if images else 0.0

    def to_dict(self) -> dict[str, Any]:
        """For JSON: ``confusion`` lists the nonzero [row, column, number]; a loss that is not finite is null."""
        content = {field.name: getattr(self, field.name) for field in fields(self)}
        rows = enumerate(self.confusion)
        content["confusion"] = [[i, j, n] for i, row in rows for j, n in enumerate(row) if n]
        content["bins"] = [asdict(part) for part in self.bins]
        content["per_class"] = [asdict(part) for part in self.per_class]
        for name in LISTS:
            content[name] = list(content[name])
        content["loss"] = self.loss if math.isfinite(self.loss) else None
        return content

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Evaluation:
        """From what :meth:`to_dict` gave."""
        content = {"changes": (), **content}  # older results do not have it
        size = len(content["classes"])
        confusion = [[0] * size for _ in range(size)]
        for row, column, number in content["confusion"]:
            confusion[row][column] = number
        changed = {
            "confusion": tuple(map(tuple, confusion)),
            "bins": tuple(Bin(**part) for part in content["bins"]),
            "per_class": tuple(ClassResult(**part) for part in content["per_class"]),
            "loss": math.nan if content["loss"] is None else content["loss"],
            **{name: tuple(content[name]) for name in LISTS},
        }
        return cls(**{**content, **changed})


LISTS = ("classes", "top1_interval", "top5_interval", "changes")
"""Fields that are lists in JSON."""


def summarize(
    scores: Scores,
    data: ImageSet,
    settings: DeviceSettings,
    *,
    model: str,
    weights: str,
    changes: tuple[str, ...],
    engine: str,
    streams: int,
    seconds: float,
    images_per_second: float,
) -> Evaluation:
    """The result, from the scores of all images in order; the other arguments are its fields."""
    images, classes = len(data), data.classes
    confusion = confusion_matrix(scores, len(classes))
    bins = calibration(scores)
    top1, top5 = correct_within(scores, 1), correct_within(scores, 5)
    totals = np.bincount(scores.label, minlength=len(classes)).tolist()
    per_class = zip(classes, totals, confusion.diagonal().tolist(), strict=True)
    return Evaluation(
        model=model,
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
        weights_digest=weights,
        preprocessing=repr(data.transform),
        device=settings.device.type,
        precision=settings.precision,
        seconds=seconds,
        images_per_second=images_per_second,
        published=data.info.published,
        changes=changes,
        engine=engine,
        streams=streams,
    )


# --- Predictions ---

PREDICTION_SUFFIXES = (".csv", ".json")
PREDICTION_COLUMNS = ("file", "label", "label_name", "predicted", "predicted_name", "probability")
"""Numbers of classes, and their names, which are not unique for ImageNet; the softmax of the predicted class."""


def write_predictions(path: Path, data: ImageSet, scores: Scores) -> None:
    """Write a row for each image, in the order of the data set; the suffix of ``path`` chooses the format.

    Predictions of images with logits that are not numbers are empty, or null in JSON.
    """
    rows = list(_prediction_rows(data, scores))
    if path.suffix == ".json":
        text = json.dumps([dict(zip(PREDICTION_COLUMNS, row, strict=True)) for row in rows], indent=1) + "\n"
    else:
        written = io.StringIO()
        csv.writer(written, lineterminator="\n").writerows([PREDICTION_COLUMNS, *rows])
        text = written.getvalue()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, text.encode(errors="surrogateescape"))


def _prediction_rows(data: ImageSet, scores: Scores) -> Iterator[tuple[Any, ...]]:
    names = data.classes
    lists = (scores.label.tolist(), scores.predicted.tolist(), scores.confidence.tolist())
    for index, (label, predicted, probability) in enumerate(zip(*lists, strict=True)):
        answer = (predicted, names[predicted], round(probability, 6)) if predicted >= 0 else (None, None, None)
        yield (data.image_path(index), label, names[label], *answer)

"""The prediction for each image, as a table in a CSV or JSON file."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

from res2next.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from res2next.datasets import ImageSet
    from res2next.evaluation.metrics import Scores

SUFFIXES = (".csv", ".json")
COLUMNS = ("file", "label", "label_name", "predicted", "predicted_name", "probability")
"""Numbers of classes, and their names, which are not unique for ImageNet; the softmax of the predicted class."""


def write_predictions(path: Path, data: ImageSet, scores: Scores) -> None:
    """Write a row for each image, in the order of the data set; the suffix of ``path`` chooses the format.

    Predictions of images with logits that are not numbers are empty, or null in JSON.
    """
    rows = list(_rows(data, scores))
    if path.suffix == ".json":
        text = json.dumps([dict(zip(COLUMNS, row, strict=True)) for row in rows], indent=1) + "\n"
    else:
        written = io.StringIO()
        csv.writer(written, lineterminator="\n").writerows([COLUMNS, *rows])
        text = written.getvalue()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, text.encode(errors="surrogateescape"))


def _rows(data: ImageSet, scores: Scores) -> Iterator[tuple[Any, ...]]:
    names = data.classes
    lists = (scores.label.tolist(), scores.predicted.tolist(), scores.confidence.tolist())
    for index, (label, predicted, probability) in enumerate(zip(*lists, strict=True)):
        answer = (predicted, names[predicted], round(probability, 6)) if predicted >= 0 else (None, None, None)
        yield (data.image_path(index), label, names[label], *answer)

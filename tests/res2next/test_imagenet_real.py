"""ImageNet-ReaL on a miniature of six photos and four classes, against counts by hand, and in its published form."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
from PIL import Image
from torch import nn

from res2next.datasets import (
    DataSetDamaged,
    DataSetIncomplete,
    DataSetNotFound,
    WrongLabels,
    find_dataset,
    imagenet,
    imagenet_real,
    open_dataset,
)
from res2next.datasets.imagenet_real import LABELS, TIMM_LABELS, RelabelledPhotos, open_imagenet_real
from res2next.evaluation import evaluate
from res2next.registry import Preprocessing
from res2next.transforms import evaluation_transform

CLASSES = tuple(f"n0000000{number}" for number in range(7))
NAMES = [f"ILSVRC2012_val_{number:08}.JPEG" for number in range(1, 7)]
REAL = [[3], [], [1, 2], [5, 0], [6], [4, 5]]
"""The second photo has no label, and is not counted."""
GREYS = [0, 40, 80, 120, 160, 200]
BEST = [3, 3, 2, 1, 0, 3]
"""The class that the network of the test takes each photo for; the others follow in order, from class 0."""

PHOTOS = replace(imagenet.INFO, num_classes=7, images={"train": 0, "test": 6}, read_class_ids=lambda: CLASSES)
INFO = replace(
    imagenet_real.INFO,
    num_classes=7,
    images={"train": 0, "test": 5},
    read_class_ids=lambda: CLASSES,
    read_classes=lambda: CLASSES,
    anchors={NAMES[2]: CLASSES[1]},
)
TRANSFORM = evaluation_transform(Preprocessing((3, 8, 8), 1.0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)))


class ByGrey(nn.Module):
    """Knows photos by their grey."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        photo = (images.mean((1, 2, 3)) * 255 / 40).round().long()
        logits = -torch.arange(7.0).repeat(len(images), 1)
        logits[torch.arange(len(images)), torch.tensor(BEST)[photo]] = 1.0
        return logits


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "val").mkdir()
    for name, grey in zip(NAMES, GREYS, strict=True):
        Image.new("L", (8, 8), grey).save(tmp_path / "val" / name, quality=95)
    (tmp_path / LABELS).write_text(json.dumps(REAL))
    return tmp_path


def opened(folder: Path, below: str = ".") -> RelabelledPhotos:
    return open_imagenet_real(INFO, folder / below, "test", TRANSFORM, PHOTOS)


def test_a_prediction_is_right_if_it_is_one_of_the_labels_and_photos_without_one_are_not_counted(folder: Path) -> None:
    result = evaluate(ByGrey(), opened(folder), batch_size=2, workers=0)
    # photo 1: class 3 of [3]; photo 3: class 2 of [1, 2]; photo 4: 1, 0, 2, 3, 4 with 0 the second best of [5, 0];
    # photo 5: 0, 1, 2, 3, 4 without 6; photo 6: 3, 0, 1, 2, 4 with 4 the fifth best of [4, 5]
    assert (result.dataset, result.images, result.top1, result.top5) == ("ImageNet-ReaL", 5, 2, 4)
    rows = [(row, column) for row, counts in enumerate(result.confusion) for column, n in enumerate(counts) if n]
    assert rows == [(0, 1), (2, 2), (3, 3), (4, 3), (6, 0)]  # under the likeliest of a photo's labels


def test_the_digest_is_of_all_labels_and_of_the_photos_that_have_one(folder: Path) -> None:
    first = opened(folder)
    assert [first.image_path(index) for index in range(5)] == [NAMES[0], *NAMES[2:]]
    assert opened(folder, "val").digest == first.digest
    (folder / LABELS).write_text(json.dumps([[3], [], [1, 3], *REAL[3:]]))
    assert opened(folder).digest != first.digest


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (REAL[:5], DataSetIncomplete, "has 5 lists"),
        ([[3], [1], *REAL[2:]], DataSetIncomplete, "of which 6 are not empty"),
        ([[7], *REAL[1:]], WrongLabels, r"photo 1, \[7\], are not numbers from 0 to 6"),
        ([*REAL[::-1][:4], [], [3]], WrongLabels, "another order than the photos"),
        ({"a": [1]}, DataSetDamaged, "not a list of lists"),
        ([["3"], *REAL[1:]], DataSetDamaged, "not a list of lists"),
    ],
)
def test_labels_of_other_photos_or_classes_are_refused(folder: Path, labels, error, message) -> None:
    (folder / LABELS).write_text(json.dumps(labels))
    with pytest.raises(error, match=message):
        opened(folder)


def test_a_missing_photo_is_named(folder: Path) -> None:
    (folder / "val" / NAMES[4]).unlink()
    with pytest.raises(DataSetIncomplete, match="missing photo ILSVRC2012_val_00000005"):
        opened(folder)


def test_missing_photos_or_labels_and_training_are_refused_with_what_to_do(folder: Path, monkeypatch) -> None:
    with pytest.raises(DataSetNotFound, match="give the folder of ImageNet with --data"):
        open_dataset("ImageNet-ReaL")
    with pytest.raises(DataSetNotFound, match="nothing to train on"):
        open_dataset("imagenet_real", folder, split="train")
    (folder / LABELS).unlink()
    monkeypatch.setattr(imagenet_real, "find_spec", lambda name: None)
    with pytest.raises(DataSetNotFound, match=r"put real\.json from https://github\.com/google-research"):
        opened(folder)


def test_the_published_labels_which_timm_has_too_fit_the_facts() -> None:
    info, file = find_dataset("ImageNet ReaL"), Path(timm.__file__).parent / TIMM_LABELS
    imagenet_real._check(info, imagenet.INFO, imagenet_real._read(file), file)
    assert (info.images["test"], info.classes) == (46_837, find_dataset("ImageNet").classes)

"""ImageNet-ReaL: ImageNet's validation photos with labels reassessed by people, several or none for a photo.

L. Beyer, O. J. Hénaff, A. Kolesnikov, X. Zhai, A. van den Oord, "Are we done with ImageNet?", 2020, arXiv 2006.07159.
A prediction is correct if it is one of the photo's labels; photos without a label are not counted (section 3.3).
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from res2next.datasets import imagenet
from res2next.datasets.base import DataSetDamaged, DataSetIncomplete, DatasetInfo, DataSetNotFound, Split, WrongLabels
from res2next.datasets.photos import PhotoSet

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from PIL.Image import Image

    from res2next.datasets.photos import Photos

LABELS = "real.json"
"""The published file: for each validation photo, in the order of file names, the list of its labels."""

TIMM_LABELS = Path("data", "_info", "imagenet_real_labels.json")
"""The same file in timm's package."""

INFO = DatasetInfo(
    name="ImageNet-ReaL",
    aliases=("ImageNet ReaL labels", "ReaL"),
    num_classes=1000,
    images={"train": 0, "test": 46_837},
    source="L. Beyer, O. J. Hénaff, A. Kolesnikov et al., 2020, https://github.com/google-research/reassessed-imagenet",
    licence="labels Apache-2.0; photos as ImageNet",
    read_classes=imagenet.class_names,
    read_class_ids=imagenet.class_ids,
    anchors=imagenet.INFO.anchors,
)


class RelabelledPhotos(PhotoSet):
    """The photos that have a label.

    The label of ``data[index]`` is the first of the photo's labels; in an evaluation it is the likeliest of them, under
    which the photo is counted in the loss, the confusions and the results by class.
    """

    def __init__(
        self,
        info: DatasetInfo,
        photos: Photos,
        labels: Sequence[Sequence[int]],
        transform: Callable[[Image], Any] | None,
    ) -> None:
        """Take all validation photos in order, and the labels of each."""
        self.indices = [index for index, some in enumerate(labels) if some]
        self.all_labels = [labels[index] for index in self.indices]
        super().__init__(
            info, "test", PhotoSubset(photos, self.indices), [some[0] for some in self.all_labels], transform
        )

    def label_sets(self, indices: Sequence[int]) -> list[Sequence[int]]:
        """All labels of each photo."""
        return [self.all_labels[index] for index in indices]

    def identity(self, index: int) -> str:
        """File name, size in bytes, labels."""
        labels = ",".join(map(str, self.all_labels[index]))
        return f"{self.photos.names[index]} {self.photos.size(index)} {labels}"


class PhotoSubset:
    """Some of the photos."""

    def __init__(self, photos: Photos, indices: Sequence[int]) -> None:
        self.photos, self.indices = photos, indices
        self.names = [photos.names[index] for index in indices]

    def read(self, index: int) -> bytes:
        return self.photos.read(self.indices[index])

    def size(self, index: int) -> int:
        return self.photos.size(self.indices[index])

    def relative(self, index: int) -> str:
        return self.photos.relative(self.indices[index])

    def where(self, index: int) -> str:
        return self.photos.where(self.indices[index])


def open_imagenet_real(
    info: DatasetInfo,
    path: Path | None,
    split: Split,
    transform: Callable[[Image], Any] | None,
    photos_of: DatasetInfo = imagenet.INFO,
) -> RelabelledPhotos:
    """The validation photos that have a label, in the order of their file names.

    Args:
        path: the folder of ImageNet, in any layout, or its validation photos; ``real.json`` is in it, or next to the
            photos. Without this file the copy in timm's package is read.

    Raises:
        DataSetNotFound: there are no photos or no labels, or ``split`` is ``train``.
        DataSetIncomplete: photos are missing, duplicate or surplus, or lists of labels are missing.
        DataSetDamaged: the file of labels is not one.
        WrongLabels: the labels are of other photos or classes.
    """
    if split == "train":
        raise DataSetNotFound(f"{info.name} has labels of validation photos only: there is nothing to train on")
    photos = None if path is None else imagenet.validation_photos(photos_of, path)
    if path is None or photos is None:
        place = "give the folder of ImageNet with --data" if path is None else f"not in {path}"
        raise DataSetNotFound(f"no validation photos of ImageNet, whose labels {info.name} are: {place}")
    file = _labels_file(path)
    labels = _read(file)
    _check(info, photos_of, labels, file)
    return RelabelledPhotos(info, photos, labels, transform)


def _labels_file(path: Path) -> Path:
    timm = find_spec("timm")
    found = [folder / LABELS for folder in (path, path.parent)]
    found += [Path(timm.origin).parent / TIMM_LABELS] if timm and timm.origin else []
    for file in found:
        if file.is_file():
            return file
    raise DataSetNotFound(
        f"no labels: put {LABELS} from https://github.com/google-research/reassessed-imagenet into {path}"
    )


def _read(file: Path) -> list[list[int]]:
    try:
        labels = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as trouble:
        raise DataSetDamaged(f"{file} cannot be read: {trouble}. Fetch it again") from None
    if isinstance(labels, list) and all(
        isinstance(some, list) and all(type(one) is int for one in some) for some in labels
    ):
        return labels
    raise DataSetDamaged(f"{file} is not a list of lists of labels. Fetch it again")


def _check(info: DatasetInfo, photos_of: DatasetInfo, labels: Sequence[Sequence[int]], file: Path) -> None:
    photos, labelled = photos_of.images["test"], sum(map(bool, labels))
    if (len(labels), labelled) != (photos, info.images["test"]):
        raise DataSetIncomplete(
            f"{file} has {len(labels):,} lists, of which {labelled:,} are not empty; {info.name} has {photos:,} and "
            f"{info.images['test']:,}. It is used whole or not at all"
        )
    ids = info.read_class_ids()
    for number, some in enumerate(labels, 1):
        if any(not 0 <= label < len(ids) for label in some):
            raise WrongLabels(f"{file}: the labels of photo {number}, {some}, are not numbers from 0 to {len(ids) - 1}")
    for name, class_id in info.anchors.items():
        some = labels[int(name.partition(".")[0].rpartition("_")[2]) - 1]
        if ids.index(class_id) not in some:
            raise WrongLabels(f"{file} is in another order than the photos: {name} is of class {class_id}")

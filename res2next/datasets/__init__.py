"""Data sets by the names that model cards use: facts about them, and their images.

Importing this package, or asking for facts, imports neither torch nor scikit-learn.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from res2next.datasets import arrays, folder, imagenet, imagenet_real
from res2next.datasets.base import (
    CorruptImage,
    DataSetDamaged,
    DataSetIncomplete,
    DatasetInfo,
    DataSetNotFound,
    ImageSet,
    Split,
    UnknownDataset,
    WrongLabels,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL.Image import Image

__all__ = [
    "CorruptImage",
    "DataSetDamaged",
    "DataSetIncomplete",
    "DataSetNotFound",
    "DatasetInfo",
    "ImageSet",
    "Split",
    "UnknownDataset",
    "WrongLabels",
    "find_dataset",
    "is_available",
    "list_datasets",
    "open_dataset",
]


@dataclass(frozen=True, slots=True)
class Source:
    """A data set and the function that opens it."""

    info: DatasetInfo
    open_split: Callable[[DatasetInfo, Path | None, Split, Callable[[Image], Any] | None], ImageSet]
    is_installed: Callable[[], bool]
    """Whether the system or a Python package provides the data set."""


SOURCES = {
    source.info.name: source
    for source in (
        Source(imagenet.INFO, imagenet.open_imagenet, lambda: False),
        Source(imagenet_real.INFO, imagenet_real.open_imagenet_real, lambda: False),
        Source(arrays.DIGITS, arrays.open_digits, arrays.has_sklearn),
        Source(arrays.FASHION_MNIST, arrays.open_fashion_mnist, arrays.has_debian_package),
    )
}

FOLDER_VARIABLE = "RES2NEXT_DATA"
"""Environment variable with a folder that has a sub-folder for each data set, of the same name."""


def open_dataset(
    name: str,
    path: Path | None = None,
    *,
    split: Split = "test",
    transform: Callable[[Image], Any] | None = None,
    classes_of: DatasetInfo | None = None,
) -> ImageSet:
    """The images of one split of a data set, verified; or images of one's own, which are no published split.

    Args:
        name: as cards write it; see :func:`find_dataset`. ``folder:PATH`` names the images in class folders below
            PATH; see :mod:`res2next.datasets.folder`.
        path: folder or file of the data set. Default: its sub-folder of the folder in the environment variable
            ``RES2NEXT_DATA``, then the place of a system package. Digits needs none.
        split: ``test``, on which results are stated, or ``train``.
        transform: applied to each PIL image.
        classes_of: for ``folder:PATH``, the data set whose classes the network knows, such as
            ``find_dataset("ImageNet")``: folders may be named by some of its classes.

    Raises:
        UnknownDataset: no such name.
        DataSetNotFound: its files are missing.
        DataSetIncomplete: there are fewer or more classes, images or labels than the data set has.
        DataSetDamaged: a file is cut short, or is not the published one.
        WrongLabels: the labels are in another order than the images.
    """
    if name.startswith(folder.PREFIX):
        if path is not None:
            raise DataSetNotFound(f"{name} says itself where its images are: give no other path")
        return folder.open_folder(Path(name.removeprefix(folder.PREFIX)), split, transform, classes_of=classes_of)
    source = SOURCES[find_dataset(name).name]
    return source.open_split(source.info, _place(source.info, path), split, transform)


def find_dataset(name: str) -> DatasetInfo:
    """The facts about a data set, by any of its names; case, spaces and punctuation do not matter.

    Raises:
        UnknownDataset: no such name; the message suggests similar names.
    """
    for source in SOURCES.values():
        if _plain(name) in _names(source.info):
            return source.info
    raise UnknownDataset(name, SOURCES)


def list_datasets() -> tuple[str, ...]:
    """Names of all data sets."""
    return tuple(SOURCES)


def is_available(info: DatasetInfo, path: Path | None = None) -> bool:
    """Whether :func:`open_dataset` would find files, which are not verified."""
    place = _place(info, path)
    return SOURCES[info.name].is_installed() if place is None else place.exists()


def _place(info: DatasetInfo, path: Path | None) -> Path | None:
    """The place of a data set; None: that of the system package."""
    return _folder_of(info) if path is None else path.expanduser()


def _folder_of(info: DatasetInfo) -> Path | None:
    """The data set's sub-folder of the folder in the environment variable; None if missing."""
    root = os.environ.get(FOLDER_VARIABLE)
    if not root or not Path(root).is_dir():
        return None
    return next((place for place in sorted(Path(root).iterdir()) if _plain(place.name) in _names(info)), None)


def _names(info: DatasetInfo) -> set[str]:
    return {_plain(name) for name in (info.name, *info.aliases)}


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())

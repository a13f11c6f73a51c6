"""Digits: 1,797 handwritten digits of 8x8 pixels, which come with scikit-learn.

The split is by position: the first 1,437 images train, the last 360 test. It separates writers, since images
are in the file writer by writer: 58 % of the images have their nearest neighbour of the same digit at most 130
places away, where 14 % would if the order were random (17 % at most in 200 trials). A nearest-neighbour
classifier gets 95.6 % of the last 360 right, but 98.7 % (standard deviation 0.5) of 360 drawn at random, where
it has seen the same writers. Only the writer at the boundary is in both parts.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from res2next.datasets.base import INSTALL_DATA, ArrayImages, DataSetDamaged, DatasetInfo, DataSetNotFound, Split

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from PIL.Image import Image

WHITE = 16
"""The brightest value of a stored pixel: each is the number of set pixels among 4x4."""

TRAIN = 1437


def class_names() -> tuple[str, ...]:
    """The ten digits."""
    return tuple("0123456789")


INFO = DatasetInfo(
    name="Digits",
    aliases=("Optical Recognition of Handwritten Digits", "sklearn digits", "scikit-learn digits", "UCI digits"),
    num_classes=10,
    images={"train": TRAIN, "test": 360},
    source="E. Alpaydin, C. Kaynak, 1998; UCI Machine Learning Repository, https://doi.org/10.24432/C50P49, "
    "its test part, as it comes with scikit-learn",
    licence="CC BY 4.0",
    read_classes=class_names,
    digests={
        "train": "sha256:9574b33fb757af729b0e4c47928a3f36de0e877f43f46fc021124abc4898b395",
        "test": "sha256:a300d389cc0a03e7feabc79a758049754db9213f713019e89a29d69268aa1f41",
    },
)


def open_digits(
    info: DatasetInfo, path: Path | None, split: Split, transform: Callable[[Image], Any] | None
) -> ArrayImages:
    """The images of a split, from scikit-learn.

    Raises:
        DataSetNotFound: scikit-learn is not installed, or a ``path`` is given, from which nothing would be read.
        DataSetDamaged: the images of scikit-learn do not have the digests.
    """
    if path is not None:
        raise DataSetNotFound(f"{info.name} comes with scikit-learn, and {path} would not be read: give no path for it")
    if not is_installed():
        raise DataSetNotFound(f"{info.name} comes with scikit-learn, which is not installed: {INSTALL_DATA}")
    from sklearn.datasets import load_digits

    bunch = load_digits()
    part = slice(None, TRAIN) if split == "train" else slice(TRAIN, None)
    stored = bunch.images[part].astype("uint8")
    data = ArrayImages(info, split, stored, bunch.target[part].astype("uint8"), transform, white=WHITE)
    if data.digest != info.digests[split]:
        raise DataSetDamaged(
            f"the {split} images of {info.name} in the installed scikit-learn are not those that were published: "
            f"digest {data.digest}, expected {info.digests[split]}. Reinstall scikit-learn"
        )
    return data


def is_installed() -> bool:
    """Whether scikit-learn is installed."""
    return find_spec("sklearn") is not None

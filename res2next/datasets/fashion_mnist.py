"""FashionMNIST: 70,000 grey photos of clothes, 28x28 pixels, in the four files that its authors published.

The files may be packed with gzip or not. Debian repacks them, and gzip writes times and names into its header,
so the SHA-256 of the unpacked file is verified. They are read into memory
(47 MB at most) and nothing is written anywhere.
"""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from res2next.datasets.base import ArrayImages, DataSetDamaged, DatasetInfo, DataSetNotFound, Split

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from PIL.Image import Image

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
"""The folder of Debian's package dataset-fashion-mnist."""


@dataclass(frozen=True, slots=True)
class IdxFile:
    """One published file in the idx format: 0, 0, type 8 (unsigned byte), number of sides, sides, values."""

    name: str
    shape: tuple[int, ...]
    sha256: str
    """Of the unpacked file."""


FILES: dict[Split, tuple[IdxFile, IdxFile]] = {
    "train": (
        IdxFile(
            "train-images-idx3-ubyte",
            (60_000, 28, 28),
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        ),
        IdxFile(
            "train-labels-idx1-ubyte", (60_000,), "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"
        ),
    ),
    "test": (
        IdxFile(
            "t10k-images-idx3-ubyte",
            (10_000, 28, 28),
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        ),
        IdxFile(
            "t10k-labels-idx1-ubyte", (10_000,), "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"
        ),
    ),
}
"""Images and labels of each split. The digests are those of Debian's package
dataset-fashion-mnist, version 0.0~git20200523."""


def class_names() -> tuple[str, ...]:
    """The ten kinds of clothes."""
    return CLASSES


INFO = DatasetInfo(
    name="FashionMNIST",
    aliases=("Fashion-MNIST",),
    num_classes=10,
    images={"train": 60_000, "test": 10_000},
    source="H. Xiao, K. Rasul, R. Vollgraf, 2017, https://github.com/zalandoresearch/fashion-mnist",
    licence="MIT",
    read_classes=class_names,
    digests={
        "train": "sha256:16d82e2b505296aa2b78bd5ea0992634f30419a4c97def7c907d154a35ac6157",
        "test": "sha256:9f1ec356a747bfe4ebab3cfb722d3694c9ca737e2570f6f90cf31d7b6fd689d4",
    },
)


def open_fashion_mnist(
    info: DatasetInfo, path: Path | None, split: Split, transform: Callable[[Image], Any] | None
) -> ArrayImages:
    """The images of a split.

    Args:
        path: a folder with the files of the split, packed (``.gz``) or not, or torchvision's root, which has
            them in ``FashionMNIST/raw``; Debian's folder unless given.

    Raises:
        DataSetNotFound: a file is missing.
        DataSetDamaged: a file is cut short, or is not the published one.
    """
    images, labels = FILES[split]
    folder = _folder_with(images, path)
    if folder is None:
        raise DataSetNotFound(_advice(images, path))
    return ArrayImages(info, split, _read(folder, images), _read(folder, labels), transform)


def is_installed() -> bool:
    """Whether Debian's package is installed."""
    return all(_packed_or_not(DEBIAN, file) for file in FILES["test"])


def _folder_with(file: IdxFile, path: Path | None) -> Path | None:
    root = DEBIAN if path is None else path
    folders = (root, root / "FashionMNIST" / "raw", root / "raw")
    return next((folder for folder in folders if _packed_or_not(folder, file)), None)


def _advice(file: IdxFile, path: Path | None) -> str:
    if path is None:
        return (
            f"FashionMNIST is not installed: {DEBIAN} has no {file.name}.gz. Install it with "
            "'apt-get install dataset-fashion-mnist', or fetch the four files from the address that "
            "https://github.com/zalandoresearch/fashion-mnist states and give their folder"
        )
    return (
        f"no FashionMNIST in {path}: neither it nor its FashionMNIST/raw has {file.name} or {file.name}.gz. "
        "Give the folder that holds the four published files"
    )


def _packed_or_not(folder: Path, file: IdxFile) -> Path | None:
    return next((path for end in ("", ".gz") if (path := folder / f"{file.name}{end}").is_file()), None)


def _read(folder: Path, file: IdxFile) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The values of a file in its shape, verified."""
    import numpy as np

    path = _packed_or_not(folder, file)
    if path is None:
        raise DataSetNotFound(f"{folder} has no {file.name} or {file.name}.gz, which FashionMNIST needs too")
    content = _unpacked(path)
    header = bytes([0, 0, 8, len(file.shape)]) + b"".join(side.to_bytes(4, "big") for side in file.shape)
    expected = len(header) + math.prod(file.shape)
    if content[: len(header)] != header:
        raise DataSetDamaged(
            f"{path} is not FashionMNIST's {file.name}: its header does not say {_words(file.shape)}. {_ADVICE}"
        )
    if len(content) != expected:
        raise DataSetDamaged(f"{path} is damaged: {len(content):,} bytes unpacked, {expected:,} expected. {_ADVICE}")
    if (found := sha256(content).hexdigest()) != file.sha256:
        raise DataSetDamaged(
            f"{path} has the right size but is not FashionMNIST's {file.name}: SHA-256 unpacked {found}, "
            f"expected {file.sha256}. {_ADVICE}"
        )
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(file.shape)


_ADVICE = "Fetch the file again"


def _unpacked(path: Path) -> bytes:
    content = path.read_bytes()
    if path.suffix != ".gz":
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, zlib.error, gzip.BadGzipFile) as trouble:
        raise DataSetDamaged(f"{path} cannot be unpacked, it is cut short or damaged: {trouble}. {_ADVICE}") from None


def _words(shape: tuple[int, ...]) -> str:
    return f"{shape[0]:,} images of {shape[1]}x{shape[2]}" if len(shape) > 1 else f"{shape[0]:,} labels"

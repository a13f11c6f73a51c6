"""Grey images that are held in memory: Digits, which come with scikit-learn, and FashionMNIST.

Digits are 1,797 handwritten digits of 8x8 pixels. The split is by position: the first 1,437 images train, the last 360
test. It separates writers, since images are in the file writer by writer: 58 % of the images have their nearest
neighbour of the same digit at most 130 places away, where 14 % would if the order were random (17 % at most in 200
trials). A nearest-neighbour classifier gets 95.6 % of the last 360 right, but 98.7 % (standard deviation 0.5) of 360
drawn at random, where it has seen the same writers. Only the writer at the boundary is in both parts.

FashionMNIST are 70,000 photos of clothes, 28x28 pixels, in the four files that its authors published, packed with gzip
or not. Debian repacks them, and gzip writes times and names into its header, so the SHA-256 of the unpacked file is
verified. They are read into memory (47 MB at most) and nothing is written anywhere.
"""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from res2next.datasets.base import INSTALL_DATA, DataSetDamaged, DatasetInfo, DataSetNotFound, ImageSet, Split

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from PIL.Image import Image


class ArrayImages(ImageSet):
    """Grey images in memory.

    The digest is of the bytes of all pixels, then of all labels, one byte each.
    """

    def __init__(
        self,
        info: DatasetInfo,
        split: Split,
        stored: np.ndarray[Any, np.dtype[np.uint8]],
        labels: np.ndarray[Any, np.dtype[np.uint8]],
        transform: Callable[[Image], Any] | None,
        *,
        white: int = 255,
    ) -> None:
        """Take images (N, H, W) as stored, with values 0 to ``white``, and labels (N,)."""
        super().__init__(info, split, labels.tolist(), transform)
        self._read = sha256(stored.tobytes() + labels.tobytes()).hexdigest()
        self.pixels = ((stored.astype("uint16") * 255 + white // 2) // white).astype("uint8")
        """(N, H, W), grey levels 0 to 255, rounded to nearest."""

    def image(self, index: int) -> Image:
        """One grey image (mode L)."""
        from PIL.Image import fromarray

        return fromarray(self.pixels[index])

    def image_name(self, index: int) -> str:
        """A name with the index in the split, from 0."""
        return f"{self.info.name} {self.split} image {index}"

    def identity(self, index: int) -> str:
        """The digest of all images, which are read at once, and the index."""
        return f"{self.digest} {index}"

    def _digest(self) -> str:
        return f"sha256:{self._read}"


# --- Digits ---

DIGITS_WHITE = 16
"""The brightest value of a stored pixel: each is the number of set pixels among 4x4."""

DIGITS_TRAIN = 1437
"""Images that train."""


def _digit_names() -> tuple[str, ...]:
    return tuple("0123456789")


DIGITS = DatasetInfo(
    name="Digits",
    aliases=("Optical Recognition of Handwritten Digits", "sklearn digits", "scikit-learn digits", "UCI digits"),
    num_classes=10,
    images={"train": DIGITS_TRAIN, "test": 360},
    source="E. Alpaydin, C. Kaynak, 1998; UCI Machine Learning Repository, https://doi.org/10.24432/C50P49, "
    "its test part, as it comes with scikit-learn",
    licence="CC BY 4.0",
    read_classes=_digit_names,
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
    if not has_sklearn():
        raise DataSetNotFound(f"{info.name} comes with scikit-learn, which is not installed: {INSTALL_DATA}")
    from sklearn.datasets import load_digits

    bunch = load_digits()
    part = slice(None, DIGITS_TRAIN) if split == "train" else slice(DIGITS_TRAIN, None)
    stored = bunch.images[part].astype("uint8")
    data = ArrayImages(info, split, stored, bunch.target[part].astype("uint8"), transform, white=DIGITS_WHITE)
    if data.digest != info.digests[split]:
        raise DataSetDamaged(
            f"the {split} images of {info.name} in the installed scikit-learn are not those that were published: "
            f"digest {data.digest}, expected {info.digests[split]}. Reinstall scikit-learn"
        )
    return data


def has_sklearn() -> bool:
    """Whether scikit-learn is installed."""
    return find_spec("sklearn") is not None


# --- FashionMNIST ---

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


def _clothing_names() -> tuple[str, ...]:
    return CLASSES


FASHION_MNIST = DatasetInfo(
    name="FashionMNIST",
    aliases=("Fashion-MNIST",),
    num_classes=10,
    images={"train": 60_000, "test": 10_000},
    source="H. Xiao, K. Rasul, R. Vollgraf, 2017, https://github.com/zalandoresearch/fashion-mnist",
    licence="MIT",
    read_classes=_clothing_names,
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


def has_debian_package() -> bool:
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

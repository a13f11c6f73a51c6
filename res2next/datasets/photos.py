"""Photos in folders, or in tar files that are read without unpacking; and images as people have them.

The former are decoded as published evaluations did, the latter upright and with 8 bits per channel. Pillow and numpy
are imported for decoding only.
"""

from __future__ import annotations

import io
import os
from array import array
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Protocol

from res2next.datasets.base import CorruptImage, DataSetDamaged, DatasetInfo, ImageSet, Split
from res2next.errors import UnreadableImage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from PIL.Image import Image

PHOTO_SUFFIXES = (".jpeg", ".jpg", ".png")
"""Suffixes of the photos of published data sets; other files, such as lists and checksums, are ignored."""

IMAGE_SUFFIXES = (*PHOTO_SUFFIXES, ".webp", ".bmp")
"""Suffixes of image files in other folders."""


class Photos(Protocol):
    """Photos as bytes; can be pickled for worker processes, each of which opens files."""

    @property
    def names(self) -> Sequence[str]:
        """Names of the photos as published, without folders."""

    def read(self, index: int) -> bytes:
        """The bytes of a photo."""

    def size(self, index: int) -> int:
        """Bytes of a photo."""

    def relative(self, index: int) -> str:
        """The path of a photo below the folder, or its name in the tar file."""

    def where(self, index: int) -> str:
        """The place of a photo, for messages."""


class PhotoSet(ImageSet):
    """The photos of one split, decoded on access.

    The digest is of the sorted lines "file name, size in bytes, label", and so the same for every layout. The content
    of 6 GB of photos is not hashed.
    """

    ADVICE = "Take it anew from the published archive"
    """What to do about a photo that cannot be decoded."""

    def __init__(
        self,
        info: DatasetInfo,
        split: Split,
        photos: Photos,
        labels: Sequence[int],
        transform: Callable[[Image], Any] | None,
    ) -> None:
        super().__init__(info, split, labels, transform)
        self.photos = photos

    def image(self, index: int) -> Image:
        """One photo, red-green-blue. Grey and CMYK ones are converted, and a PNG named JPEG is read as what it is.

        Raises:
            CorruptImage: it cannot be decoded.
        """
        import PIL.Image

        try:
            return self.decoded(self.photos.read(index))
        except _decoder_errors() as trouble:
            reason = "it is no image" if isinstance(trouble, PIL.UnidentifiedImageError) else str(trouble)
            raise CorruptImage(f"{self.image_name(index)} cannot be decoded: {reason}. {self.ADVICE}") from None

    def decoded(self, content: bytes) -> Image:
        """The photo in the bytes of a file."""
        import PIL.Image

        return PIL.Image.open(io.BytesIO(content)).convert("RGB")

    def image_name(self, index: int) -> str:
        """The place of the photo."""
        return self.photos.where(index)

    def image_path(self, index: int) -> str:
        """The path of the photo below the folder of its data set."""
        return self.photos.relative(index)

    def identity(self, index: int) -> str:
        """File name, size in bytes, label."""
        return f"{self.photos.names[index]} {self.photos.size(index)} {self.labels[index]}"

    def _digest(self) -> str:
        lines = sorted(f"{self.identity(index)}\n" for index in range(len(self)))
        return f"sha256:{sha256(''.join(lines).encode()).hexdigest()}"


class FolderPhotos:
    """Photos in files below a folder."""

    def __init__(self, root: Path, paths: Sequence[str]) -> None:
        """Take paths relative to ``root``, with forward slashes."""
        self.root = root
        self.paths = paths
        self.names = [path.rpartition("/")[2] for path in paths]

    def read(self, index: int) -> bytes:
        """The bytes of a photo."""
        return (self.root / self.paths[index]).read_bytes()

    def size(self, index: int) -> int:
        """How many bytes a photo has."""
        return (self.root / self.paths[index]).stat().st_size

    def relative(self, index: int) -> str:
        """The path of a photo below the root."""
        return self.paths[index]

    def where(self, index: int) -> str:
        """The path of a photo."""
        return str(self.root / self.paths[index])


class TarPhotos:
    """Photos in a tar file, by the offsets of their bytes.

    The file is opened for each photo: that takes 20 microseconds, decoding takes milliseconds, and workers do not share
    a file position.
    """

    def __init__(self, path: Path, members: Iterable[Member]) -> None:
        self.path = path
        self.names: list[str] = []
        self.offsets = array("q")
        self.sizes = array("q")
        for member in members:
            self.names.append(member.name)
            self.offsets.append(member.offset)
            self.sizes.append(member.size)

    def read(self, index: int) -> bytes:
        """The bytes of a photo."""
        with self.path.open("rb") as file:
            file.seek(self.offsets[index])
            return file.read(self.sizes[index])

    def size(self, index: int) -> int:
        """How many bytes a photo has."""
        return self.sizes[index]

    def relative(self, index: int) -> str:
        """The name of a photo in the tar file."""
        return self.names[index]

    def where(self, index: int) -> str:
        """The tar file and the name in it."""
        return f"{self.path}: {self.names[index]}"


class Member:
    """One file in a tar file."""

    __slots__ = ("name", "offset", "size")

    def __init__(self, name: str, offset: int, size: int) -> None:
        self.name = name
        self.offset = offset
        self.size = size


def is_photo(name: str) -> bool:
    """Whether a file is a photo of a published data set, by its name; hidden files are not."""
    return name.lower().endswith(PHOTO_SUFFIXES) and not name.startswith(".")


def photos_in_tar(path: Path) -> Iterator[Member]:
    """The photos of a tar file, in its order.

    Raises:
        DataSetDamaged: it is not a tar file, or is cut short.
    """
    yield from (member for member in _members(path) if is_photo(member.name))


def photos_in_nested_tar(path: Path) -> Iterator[tuple[str, Member]]:
    """The photos of a tar file of tar files, each with the name of the inner file without ``.tar``.

    Raises:
        DataSetDamaged: one of them is not a tar file, or is cut short.
    """
    for inner in _members(path):
        if inner.name.endswith(".tar"):
            for member in _members(path, inner.offset):
                if is_photo(member.name):
                    yield inner.name.removesuffix(".tar"), member


def _members(path: Path, begins: int = 0) -> Iterator[Member]:
    """The plain files of the tar archive that begins at a position of a file."""
    import tarfile  # facts about data sets are asked for without it

    with path.open("rb") as file:
        file.seek(begins)
        try:
            with tarfile.open(fileobj=file, mode="r:") as archive:
                for info in archive:
                    if info.isreg() and not info.issparse():
                        yield Member(PurePosixPath(info.name).name, info.offset_data, info.size)
        except tarfile.TarError as trouble:
            raise DataSetDamaged(
                f"{path} is no tar file, or is cut short: {trouble}. Compare its size with the published one"
            ) from None


# --- Images as people have them ---


def is_image_name(name: str) -> bool:
    """Whether a file is an image, by its name; hidden files are not."""
    return name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")


def find_images(path: Path) -> list[Path]:
    """``path`` itself; of a folder the images in it and in its sub-folders, sorted by path.

    Raises:
        UnreadableImage: a folder without images.
    """
    if not path.is_dir():
        return [path]
    found = [Path(folder) / name for folder, _, names in os.walk(path) for name in names if is_image_name(name)]
    if not found:
        raise UnreadableImage(path, f"the folder has no file that ends in {', '.join(IMAGE_SUFFIXES)}")
    return sorted(found)


def open_image(path: Path) -> Image:
    """The image in a file, upright and with 8 bits per channel.

    Raises:
        UnreadableImage: Pillow cannot decode it.
        OSError: no such file, or no permission.
    """
    import PIL.Image

    with path.open("rb") as file:
        try:
            return prepare_image(PIL.Image.open(file))
        except PIL.UnidentifiedImageError:
            raise UnreadableImage(path, "it is in no format that Pillow knows") from None
        except _decoder_errors() as trouble:
            raise UnreadableImage(path, str(trouble)) from trouble


def prepare_image(image: Image) -> Image:
    """The image rotated by its EXIF orientation, with 8 bits per channel.

    Pillow's ``convert`` clips 16-bit grey at 255, which leaves white; here it is scaled.
    """
    import numpy as np
    from PIL import ImageOps
    from PIL.Image import fromarray

    image = ImageOps.exif_transpose(image)
    if image.mode == "LAB":
        return image.convert("RGB")  # the only mode that Pillow converts it to
    if image.mode == "F":
        raise ValueError("an image of floating-point values does not say which of them is white: convert it to 8 bits")
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        if image.mode != "I" or values.max() > 255:
            values = (values.clip(0, 65535) + 128) // 257
        return fromarray(values.clip(0, 255).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        return image.convert("RGBA")  # Pillow warns without it; the colours are unchanged
    return image


def _decoder_errors() -> tuple[type[Exception], ...]:
    """Errors of Pillow's decoders for damaged files; OSError for a truncated one."""
    from PIL.Image import DecompressionBombError

    return (OSError, SyntaxError, ValueError, EOFError, DecompressionBombError)

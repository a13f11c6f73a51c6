"""Photos in folders, or in tar files that are read without unpacking."""

from __future__ import annotations

import io
from array import array
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Protocol

from res2next.datasets.base import CorruptImage, DataSetDamaged, DatasetInfo, ImageSet, Split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from PIL.Image import Image

SUFFIXES = (".jpeg", ".jpg", ".png")
"""Suffixes of photos; other files, such as lists and checksums, are ignored."""


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
        # errors of decoders for damaged files; Pillow raises OSError for a truncated one
        except (OSError, SyntaxError, ValueError, EOFError, PIL.Image.DecompressionBombError) as trouble:
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
    """Whether a file is a photo, by its name."""
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


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

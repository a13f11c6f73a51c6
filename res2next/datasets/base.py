"""Data sets: facts (:class:`DatasetInfo`), images (:class:`ImageSet`), errors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from res2next.errors import Res2NextError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from PIL.Image import Image

Split = Literal["train", "test"]
"""Results are on ``test``: for ImageNet, whose test labels are secret, its validation images."""

INSTALL_DATA = "pip install 'cardproof[data]'"
"""The command that installs the packages with which some data sets are read."""


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """Facts about a data set, available without its files."""

    name: str
    aliases: tuple[str, ...]
    """Other names that cards use; case, spaces and punctuation do not matter."""
    num_classes: int
    images: Mapping[Split, int]
    """Number of images of each split."""
    source: str
    """Authors, year, and address."""
    licence: str
    read_classes: Callable[[], tuple[str, ...]]
    """Returns the names of the classes, in the order of the labels; for ImageNet it imports torchvision."""
    digests: Mapping[Split, str] = field(default_factory=dict)
    """The digest of each split, to verify it; empty for ImageNet."""
    read_class_ids: Callable[[], tuple[str, ...]] = tuple
    """Returns the WordNet ids of ImageNet's classes, in the order of the labels; empty for others."""
    anchors: Mapping[str, str] = field(default_factory=dict)
    """File names of some images -> class ids, to detect labels in another order; empty for data sets with digests."""
    published: bool = True
    """False for images of one's own: no result on them is one on a published split."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes: that of label 0 first."""
        return self.read_classes()


class ImageSet(ABC):
    """The images of one split with their labels, in a fixed order: a map-style data set for torch's DataLoader.

    ``data[index]`` is ``(transform(image), label)``, or ``(image, label)`` with a PIL image if there is no
    transform. It can be pickled for worker processes.
    """

    def __init__(
        self, info: DatasetInfo, split: Split, labels: Sequence[int], transform: Callable[[Image], Any] | None
    ) -> None:
        self.info = info
        self.split = split
        self.labels = labels
        """Labels of all images, 0 to ``num_classes`` - 1, available without decoding."""
        self.transform = transform

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes: that of label 0 first."""
        return self.info.classes

    @cached_property
    def digest(self) -> str:
        """``sha256:<hex>`` of the content that the subclass documents."""
        return self._digest()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        """One image and its label.

        Raises:
            CorruptImage: the image cannot be decoded; the message names it.
            IndexError: there are not so many images.
        """
        label = int(self.labels[index])
        image = self.image(index)
        return (image if self.transform is None else self.transform(image)), label

    def label_sets(self, indices: Sequence[int]) -> Sequence[Sequence[int]] | None:
        """All right labels of some images, if images may have several; None if each has its label only."""
        return None

    @abstractmethod
    def image(self, index: int) -> Image:
        """One image, before the transform."""

    @abstractmethod
    def image_name(self, index: int) -> str:
        """Name of an image for messages and lists."""

    def image_path(self, index: int) -> str:
        """Path of an image below the folder of the data set; its name if it is not a file."""
        return self.image_name(index)

    @abstractmethod
    def identity(self, index: int) -> str:
        """What is equal as long as an image and its label are: one line."""

    @abstractmethod
    def _digest(self) -> str: ...


# --- Errors ---


class UnknownDataset(Res2NextError, ValueError):  # noqa: N818 - a public name: it says what is the matter
    """A name that is not one of a data set of this package."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name
        known = tuple(known)
        lower = {candidate.lower(): candidate for candidate in known}
        self.close = tuple(lower[match] for match in get_close_matches(name.lower(), lower, n=3))
        """Up to three similar names, best first."""
        advice = f"did you mean {' or '.join(self.close)}?" if self.close else f"there are {', '.join(known)}"
        super().__init__(f"res2next has no data set {name!r}: {advice}")


class DataSetNotFound(Res2NextError, FileNotFoundError):  # noqa: N818 - as above
    """The files of a data set are missing; the message states their expected place."""


class DataSetIncomplete(Res2NextError, ValueError):  # noqa: N818 - as above
    """Too few or too many classes, images or labels."""


class DataSetDamaged(Res2NextError, ValueError):  # noqa: N818 - as above
    """A file of the data set is truncated, or is not the published one."""


class WrongLabels(Res2NextError, ValueError):  # noqa: N818 - as above
    """Labels in another order of classes or images."""


class CorruptImage(Res2NextError, OSError):  # noqa: N818 - as above
    """An image that cannot be decoded; no result leaves it out.

    The only argument is a message, so that torch can send it from worker processes.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)


def first_names(names: Sequence[str]) -> str:
    """The first three names, and how many more there are, for a message."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")

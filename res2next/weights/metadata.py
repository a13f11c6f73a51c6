"""What a file of weights says about itself: its network, its classes and how images are made ready.

Training on images of one's own writes it into the header of the safetensors file, so that the file can be used without
anything else. The header of a file from elsewhere is untrusted text, which is checked and bounded.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from res2next.datasets import DatasetInfo
from res2next.errors import UnknownModel, UnreadableWeights
from res2next.registry import Preprocessing, find
from res2next.weights.read import read_state_dict

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = "res2next"
"""Of the header's entry."""

MOST_CHARACTERS = 2**22
MOST_CLASSES = 100_000
MOST_IN_A_NAME = 255
MOST_PIXELS = 4096
"""Limits of what is read: of the entry, of the classes, of the name of one, of the side of an image."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """The network, classes and preprocessing that a file of weights states."""

    model: str
    """An architecture of :func:`res2next.list_models`."""
    classes: tuple[str, ...]
    """Names of the network's outputs, in their order."""
    preprocessing: Preprocessing

    def dataset(self, name: str) -> DatasetInfo:
        """The classes as those of a data set that was not published."""
        names: Callable[[], tuple[str, ...]] = partial(tuple[str, ...], self.classes)
        return DatasetInfo(name, (), len(self.classes), {}, "", "unknown", names, read_class_ids=names, published=False)


def as_header(metadata: Metadata) -> dict[str, str]:
    """The entries of a safetensors header."""
    return {KEY: json.dumps(asdict(metadata))}


def read_metadata(path: Path) -> Metadata | None:
    """What a file states; None for other formats, and for files without the entry.

    Raises:
        UnreadableWeights: the entry is not one that this package writes, or the file is damaged.
    """
    if path.suffix != ".safetensors" or not path.is_file():
        return None
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
    except (SafetensorError, ValueError, RuntimeError, MemoryError) as trouble:
        raise UnreadableWeights(path, f"is not a whole safetensors file ({trouble})", "fetch it again") from None
    if KEY not in header:
        return None
    try:
        return _checked(header[KEY])
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError, UnknownModel) as trouble:
        reason = f"states its network in a way that cannot be read ({trouble})"
        raise UnreadableWeights(path, reason, "give weights that this package wrote") from None


def count_outputs(path: Path) -> int | None:
    """The number of classes that the weights in a file are for; None if the file has no head.

    Raises:
        UnreadableWeights: as :func:`read_state_dict`.
    """
    if metadata := read_metadata(path):
        return len(metadata.classes)
    head = read_state_dict(path).get("fc.weight")
    return None if head is None or head.ndim == 0 else head.shape[0]


def _checked(text: str) -> Metadata:
    """The entry's values. Raises ValueError, or what comes of values of other types."""
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"it has {len(text):,} characters")
    values: dict[str, Any] = json.loads(text)
    classes, architecture = values["classes"], find(values["model"]).architecture
    if not isinstance(classes, list) or not 1 <= len(classes) <= MOST_CLASSES:
        raise ValueError(f"classes must be a list of 1 to {MOST_CLASSES:,} names")
    if not all(isinstance(name, str) and len(name) <= MOST_IN_A_NAME and name.isprintable() for name in classes):
        raise ValueError(f"a name of a class has at most {MOST_IN_A_NAME} characters, which can be printed")
    if len(set(classes)) < len(classes):
        raise ValueError("two classes have the same name")
    return Metadata(architecture, tuple(classes), _preprocessing(values["preprocessing"]))


def _preprocessing(values: dict[str, Any]) -> Preprocessing:
    size, mean, std = (tuple(values[name]) for name in ("input_size", "mean", "std"))
    crop, interpolation = float(values["crop_pct"]), values["interpolation"]
    if len(size) != 3 or not all(type(side) is int and 1 <= side <= MOST_PIXELS for side in size):
        raise ValueError("input_size must be channels, height and width")
    if size[0] not in (1, 3) or len(mean) != size[0] or len(std) != size[0]:
        raise ValueError("images have 1 or 3 channels, with a mean and a deviation each")
    if not all(math.isfinite(float(value)) for value in mean) or not all(0 < float(value) < math.inf for value in std):
        raise ValueError("means must be finite, and deviations above 0")
    if not 0.1 <= crop <= 1 or interpolation not in ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"):
        raise ValueError("crop_pct must be from 0.1 to 1, and interpolation a filter of Pillow")
    return Preprocessing(size, crop, interpolation, tuple(map(float, mean)), tuple(map(float, std)))

"""Classifies images: names of classes with their probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from res2next.create import create_model
from res2next.datasets import find_dataset
from res2next.errors import NoAnswer, UnreadableImage
from res2next.inference import evaluating
from res2next.registry import find
from res2next.transforms import evaluation_transform

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from res2next.registry import Entry, Preprocessing


@dataclass(frozen=True, slots=True)
class Prediction:
    """One class that an image may show."""

    name: str
    """Not unique: two classes of ImageNet differ in case only (264 is a dog, "Cardigan", 474 a garment)."""
    index: int
    """Number of the network's output, from 0."""
    probability: float
    """Softmax over all classes, in [0, 1]."""


def classify(
    image: Image.Image | Path | str,
    model: str | nn.Module,
    *,
    top: int = 5,
    preprocessing: Preprocessing | None = None,
    classes: Sequence[str] | None = None,
) -> tuple[Prediction, ...]:
    """The ``top`` most probable classes of an image, in descending order.

    Args:
        image: a Pillow image, or the path of a file that Pillow reads. An orientation in its EXIF data is
            applied, 16-bit grey is scaled to 8 bit, transparency is dropped.
        model: a name of the registry, whose trained weights are loaded when it is first used in a process; or a
            network, which needs ``preprocessing`` and ``classes``. It is run in evaluation mode, on the device and in
            the type of its parameters; its mode is restored.
        top: number of classes; all if there are fewer.
        preprocessing: of the image; the registry's unless given.
        classes: names of the outputs in their order; those of the registry's data set unless given.

    Raises:
        UnreadableImage: the file is not an image, is damaged, or so narrow that it cannot be resized.
        NoAnswer: the network's outputs are not all finite numbers.
        UnknownModel: no such name.
        TypeError: a network without ``preprocessing`` or ``classes``.
        ValueError: ``top`` below 1, another number of names than the network has outputs, or a Pillow image of a
            form that cannot be converted.
        WeightsNotAvailable, TruncatedWeights, WrongWeights: as :func:`res2next.weights.weights_path`.
    """
    if isinstance(model, str):
        classifier = load_classifier(model)
        network = classifier.network
        preprocessing = preprocessing or classifier.preprocessing
        classes = classifier.classes if classes is None else classes
    else:
        network = model
    if preprocessing is None or classes is None:
        raise TypeError("a network does not say how its images are made ready: give preprocessing and classes")
    return Classifier(network, preprocessing, tuple(classes)).classify(image, top)


@dataclass(frozen=True, slots=True, eq=False)
class Classifier:
    """A network with the preprocessing of its images and the names of its classes."""

    network: nn.Module
    preprocessing: Preprocessing
    classes: tuple[str, ...]
    """Names of the network's outputs, in their order."""

    def classify(self, image: Image.Image | Path | str, top: int = 5) -> tuple[Prediction, ...]:
        """As :func:`classify`."""
        if top < 1:
            raise ValueError(f"top is {top}: ask for at least one class")
        transform = evaluation_transform(self.preprocessing)
        if isinstance(image, Image.Image):
            tensor = transform(prepare_image(image))
        else:
            opened = open_image(Path(image))
            try:
                tensor = transform(opened)
            except ValueError as trouble:
                raise UnreadableImage(Path(image), str(trouble)) from trouble
        logits = self.logits(tensor)
        if len(logits) != len(self.classes):
            raise ValueError(f"the network has {len(logits)} outputs, and there are {len(self.classes)} class names")
        if not logits.isfinite().all():
            raise NoAnswer(int((~logits.isfinite()).sum()), len(logits))
        # stable, so that equal probabilities come in the order of their classes
        probabilities, order = logits.softmax(0).sort(descending=True, stable=True)
        best = zip(order[:top].tolist(), probabilities[:top].tolist(), strict=True)
        return tuple(Prediction(self.classes[index], index, probability) for index, probability in best)

    def logits(self, image: Tensor) -> Tensor:
        """(C, H, W) -> (number of outputs,), float32, on the CPU."""
        batch = image[None]
        parameter = next(self.network.parameters(), None)
        if parameter is not None:
            batch = batch.to(parameter)
        with evaluating(self.network), torch.inference_mode():
            logits: Tensor = self.network(batch)[0]
            return logits.float().cpu()


def load_classifier(name: str, *, weights: Path | None = None, device: str = "cpu") -> Classifier:
    """A network of the registry with trained weights, its preprocessing and class names; loaded once a process.

    Args:
        name: ``architecture`` or ``architecture.tag``.
        weights: as ``given`` in :func:`res2next.weights.weights_path`.
        device: where the network is put, as torch writes it.
    """
    return _load(find(name), weights, device)


@cache
def _load(entry: Entry, weights: Path | None, device: str) -> Classifier:
    network = create_model(entry.name, pretrained=True, weights=weights).eval().to(device)
    return Classifier(network, entry.preprocessing, find_dataset(entry.dataset).classes)


# --- Image files ---


def open_image(path: Path) -> Image.Image:
    """The image in a file, upright and with 8 bits per channel.

    Raises:
        UnreadableImage: Pillow cannot decode it.
        OSError: no such file, or no permission.
    """
    with path.open("rb") as file:
        try:
            return prepare_image(Image.open(file))
        except UnidentifiedImageError:
            raise UnreadableImage(path, "it is in no format that Pillow knows") from None
        # errors of decoders for damaged files; Pillow raises OSError for a truncated one
        except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as trouble:
            raise UnreadableImage(path, str(trouble)) from trouble


def prepare_image(image: Image.Image) -> Image.Image:
    """The image rotated by its EXIF orientation, with 8 bits per channel.

    Pillow's ``convert`` clips 16-bit grey at 255, which leaves white; here it is scaled.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode == "LAB":
        return image.convert("RGB")  # the only mode that Pillow converts it to
    if image.mode == "F":
        raise ValueError("an image of floating-point values does not say which of them is white: convert it to 8 bits")
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        if image.mode != "I" or values.max() > 255:
            values = (values.clip(0, 65535) + 128) // 257
        return Image.fromarray(values.clip(0, 255).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        return image.convert("RGBA")  # Pillow warns without it; the colours are unchanged
    return image

"""Classifies images: names of classes with their probabilities."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from PIL import Image

from res2next.create import create_model
from res2next.datasets import find_dataset
from res2next.datasets.photos import open_image, prepare_image
from res2next.errors import NoAnswer, UnreadableImage, UnreadableWeights
from res2next.inference import Exported, Optimized, can_optimize, choose_engine, evaluation_mode, optimize
from res2next.registry import find
from res2next.transforms import evaluation_transform
from res2next.weights import load_weights
from res2next.weights.read import read_metadata

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor, nn

    from res2next.registry import Entry, Preprocessing
    from res2next.weights.read import Metadata


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
    model: str | Path | nn.Module,
    *,
    top: int = 5,
    preprocessing: Preprocessing | None = None,
    classes: Sequence[str] | None = None,
) -> tuple[Prediction, ...]:
    """The ``top`` most probable classes of an image, in descending order.

    Args:
        image: a Pillow image, or the path of a file that Pillow reads. An orientation in its EXIF data is
            applied, 16-bit grey is scaled to 8 bit, transparency is dropped.
        model: a name of the registry, whose trained weights are loaded when it is first used in a process; the
            path of weights that state their network and classes, as fine-tuning writes them; or a network, which
            needs ``preprocessing`` and ``classes``. It is run in evaluation mode, on the device and in the type of
            its parameters; its mode is restored.
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
        UnreadableWeights: a file that states no network, or cannot be read.
    """
    if isinstance(model, str | Path):
        classifier = load_classifier(model) if isinstance(model, str) else load_classifier(weights=model)
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
        _check_top(top)
        (found,) = self._predictions([self.tensor(image)], top)
        return found

    def classify_files(
        self, paths: Sequence[Path], top: int = 5, batch_size: int = 16
    ) -> Iterator[tuple[Path, tuple[Prediction, ...] | UnreadableImage]]:
        """Each path with the most probable classes, or with the error if it cannot be read.

        Images are computed in batches, which changes speed, and probabilities by rounding.

        Raises:
            NoAnswer, ValueError: as :func:`classify`.
        """
        _check_top(top)
        for first in range(0, len(paths), batch_size):
            opened = [(path, self._tensor_or_error(path)) for path in paths[first : first + batch_size]]
            readable = [tensor for _, tensor in opened if not isinstance(tensor, UnreadableImage)]
            found = iter(self._predictions(readable, top) if readable else ())
            for path, tensor in opened:
                yield path, tensor if isinstance(tensor, UnreadableImage) else next(found)

    def optimized(self) -> Classifier:
        """The same with the network's optimized copy, on a CPU and for a network of this package; else unchanged."""
        on_cpu = all(parameter.device.type == "cpu" for parameter in self.network.parameters())
        return replace(self, network=optimize(self.network)) if on_cpu and can_optimize(self.network) else self

    def by_engine(self, engine: str) -> Classifier:
        """The same computed by an engine: ``torch``, ``onnxruntime``, ``openvino`` or ``auto``, for networks on a CPU.

        Raises:
            EngineNotAvailable, ValueError: as :func:`res2next.inference.choose_engine`.
        """
        parameter = next(self.network.parameters(), None)
        chosen = choose_engine(engine, "cpu" if parameter is None else parameter.device.type)
        return self if chosen == "torch" else replace(self, network=Exported(self.network, chosen))

    def tensor(self, image: Image.Image | Path | str) -> Tensor:
        """The network's input for an image, (C, H, W).

        Raises:
            UnreadableImage, OSError, ValueError: as :func:`classify`.
        """
        transform = evaluation_transform(self.preprocessing)
        if isinstance(image, Image.Image):
            return transform(prepare_image(image))
        opened = open_image(Path(image))
        try:
            return transform(opened)
        except ValueError as trouble:
            raise UnreadableImage(Path(image), str(trouble)) from trouble

    def logits(self, images: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, number of outputs), float32, on the CPU."""
        parameter = next(self.network.parameters(), None)
        if parameter is not None and not isinstance(self.network, Optimized):
            images = images.to(parameter)
        with evaluation_mode(self.network), torch.inference_mode():
            logits: Tensor = self.network(images)
            return logits.float().cpu()

    def _predictions(self, images: list[Tensor], top: int) -> list[tuple[Prediction, ...]]:
        logits = self.logits(torch.stack(images))
        if logits.shape[1] != len(self.classes):
            raise ValueError(
                f"the network has {logits.shape[1]} outputs, and there are {len(self.classes)} class names"
            )
        if not logits.isfinite().all():
            first = next(row for row in logits if not row.isfinite().all())
            raise NoAnswer(int((~first.isfinite()).sum()), len(first))
        return [self._best(row, top) for row in logits]

    def _best(self, logits: Tensor, top: int) -> tuple[Prediction, ...]:
        # stable, so that equal probabilities come in the order of their classes
        probabilities, order = logits.softmax(0).sort(descending=True, stable=True)
        best = zip(order[:top].tolist(), probabilities[:top].tolist(), strict=True)
        return tuple(Prediction(self.classes[index], index, probability) for index, probability in best)

    def _tensor_or_error(self, path: Path) -> Tensor | UnreadableImage:
        try:
            return self.tensor(path)
        except UnreadableImage as trouble:
            return trouble
        except OSError as trouble:
            return UnreadableImage(path, trouble.strerror or str(trouble))


def _check_top(top: int) -> None:
    if top < 1:
        raise ValueError(f"top is {top}: ask for at least one class")


def load_classifier(name: str | None = None, *, weights: Path | None = None, device: str = "cpu") -> Classifier:
    """A network with trained weights, its preprocessing and class names; loaded once for each state of their file.

    Args:
        name: ``architecture`` or ``architecture.tag`` of the registry; the network that ``weights`` state unless given.
        weights: as ``given`` in :func:`res2next.weights.weights_path`. If they state their classes and preprocessing,
            these are used instead of the registry's.
        device: where the network is put, as torch writes it.

    Raises:
        UnreadableWeights: no name is given, and the weights state no network; or they state another than ``name``.
    """
    stated = None if weights is None else read_metadata(weights.expanduser())
    if name is None and stated is None:
        advice = "name the model that they are for"
        raise UnreadableWeights(Path(weights or "."), "does not state its network", advice)
    entry = find(name or (stated.model if stated else ""))
    if stated is not None and weights is not None:
        if stated.model != entry.architecture:
            raise UnreadableWeights(weights, f"is for {stated.model}, not for {entry.name}", "leave the model out")
        return _load_stated(weights.expanduser(), stated, device, _state_of_file(weights))
    return _load(entry, weights, device, _state_of_file(weights))


def _state_of_file(weights: Path | None) -> object:
    """The state of a file of weights; a file that has changed is loaded again."""
    found = weights.expanduser() if weights else None
    return (found.stat().st_mtime_ns, found.stat().st_size) if found and found.is_file() else None


@lru_cache(maxsize=4)
def _load_stated(weights: Path, stated: Metadata, device: str, stamp: object) -> Classifier:
    network = create_model(stated.model, num_classes=len(stated.classes))
    load_weights(network, weights)
    return Classifier(network.eval().to(device), stated.preprocessing, stated.classes)


@lru_cache(maxsize=4)
def _load(entry: Entry, weights: Path | None, device: str, stamp: object) -> Classifier:
    network = create_model(entry.name, pretrained=True, weights=weights).eval().to(device)
    return Classifier(network, entry.preprocessing, find_dataset(entry.dataset).classes)

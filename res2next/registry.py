"""Which networks have published weights, and what is known of these: one entry per ``architecture.tag``.

Facts only, and without torch. Results stand nowhere here: those are measured, or cited on the cards.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any

from res2next.errors import UnknownModel

PAPER = "https://arxiv.org/abs/1904.01169"


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How an image is made ready: resized, cropped from the centre, scaled to [0, 1], normalised."""

    input_size: tuple[int, int, int] = (3, 224, 224)
    """Channels, height, width of one image."""
    crop_pct: float = 0.875
    """Side of the crop by shorter side of the resized image: 224 / 256 pixels."""
    interpolation: str = "bilinear"
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    """Of the training images, one value a channel, on values in [0, 1]; here ImageNet's, red-green-blue."""
    std: tuple[float, ...] = (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True)
class Weights:
    """One published file of weights."""

    file: str
    """Name of the file; it ends in the first eight hexadecimal digits of the file's SHA-256."""
    source: str
    """Who trained them and where they were first published."""
    url: str | None = None
    """Where the file is published; None where it comes with this package."""
    size: int | None = None
    """Bytes of the file, where they are known."""
    licence: str = "non-commercial, as the official Res2Net repository states"
    """Of the weights. The code of this package is Apache-2.0, and its own."""
    licence_url: str | None = "https://github.com/Res2Net/Res2Net-PretrainedModels"

    @property
    def sha256_prefix(self) -> str:
        """The first eight hexadecimal digits of the file's SHA-256."""
        return self.file.rpartition(".")[0].rpartition("-")[2]


@dataclass(frozen=True, slots=True)
class Entry:
    """An architecture with one set of published weights."""

    architecture: str
    weights: Weights
    recipe: str | None
    """Name of the recipe, a file of ``res2next/recipes``; None where nobody published how the weights were trained."""
    tag: str = "in1k"
    """What the weights were trained on: ``in1k`` is ImageNet-1k."""
    dataset: str = "ImageNet"
    """The data set that the classes are those of, by its name in :mod:`res2next.datasets`."""
    num_classes: int = 1000
    preprocessing: Preprocessing = Preprocessing()
    paper: str = PAPER

    @property
    def name(self) -> str:
        """``architecture.tag``."""
        return f"{self.architecture}.{self.tag}"


AUTHORS = "trained by the authors of Res2Net; https://github.com/Res2Net/Res2Net-PretrainedModels"
RELEASE = "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-res2net"
"""timm's mirror of the authors' files."""
BUCKET = "https://shanghuagao.oss-cn-beijing.aliyuncs.com/res2net"
"""The authors' own server: the only place with the v1b files under their own names."""

PAPER_RECIPE = "res2next50_imagenet"


def _mirrored(architecture: str, file: str, size: int | None = None) -> Entry:
    return Entry(architecture, Weights(file, AUTHORS, f"{RELEASE}/{file}", size), PAPER_RECIPE)


def _v1b(architecture: str, file: str) -> Entry:
    return Entry(architecture, Weights(file, AUTHORS, f"{BUCKET}/{file}"), recipe=None)


def _bundled(file: str) -> Weights:
    return Weights(file, "trained with this package by the recipe that comes with it", None, None, "Apache-2.0", None)


ENTRIES = (
    _mirrored("res2next50", "res2next50_4s-6ef7e7bf.pth", 99_019_592),
    _mirrored("res2net50_48w_2s", "res2net50_48w_2s-afed724a.pth", 101_421_406),
    _mirrored("res2net50_26w_4s", "res2net50_26w_4s-06e79181.pth", 103_110_087),
    _mirrored("res2net50_14w_8s", "res2net50_14w_8s-6527dddc.pth", 100_638_543),
    _mirrored("res2net50_26w_6s", "res2net50_26w_6s-19041792.pth", 148_603_239),
    _mirrored("res2net50_26w_8s", "res2net50_26w_8s-2c7c9f12.pth", 194_085_165),
    _mirrored("res2net101_26w_4s", "res2net101_26w_4s-02a759a1.pth", 181_456_059),
    _v1b("res2net50d", "res2net50_v1b_26w_4s-3cf99910.pth"),
    _v1b("res2net101d", "res2net101_v1b_26w_4s-0812c246.pth"),
    _mirrored("dla60_res2net", "res2net_dla60_4s-d88db7f9.pth"),
    _mirrored("dla60_res2next", "res2next_dla60_4s-d327927b.pth"),
    Entry(
        "res2next_tiny",
        _bundled("res2next_tiny-digits-c512c7cb.safetensors"),
        recipe="res2next_tiny_digits",
        tag="digits",
        dataset="Digits",
        num_classes=10,
        preprocessing=Preprocessing((1, 8, 8), 1.0, mean=(0.305,), std=(0.376,)),
    ),
    Entry(
        "res2next_small",
        _bundled("res2next_small-fashion_mnist-a71970c9.safetensors"),
        recipe="res2next_small_fashion_mnist",
        tag="fashion_mnist",
        dataset="FashionMNIST",
        num_classes=10,
        preprocessing=Preprocessing((1, 28, 28), 1.0, mean=(0.286,), std=(0.353,)),
    ),
)
"""In the order of the tables of variants. Sizes of published files are those that the timm documentation states."""


def list_models(pattern: str = "*") -> tuple[str, ...]:
    """Names of all architectures that match a pattern such as ``*50*``, in the order of the tables of variants."""
    return tuple(entry.architecture for entry in ENTRIES if fnmatchcase(entry.architecture, pattern))


def pretrained_cfg(entry: Entry) -> dict[str, Any]:
    """An entry's preprocessing and classes under the keys that timm reads."""
    return {
        "architecture": entry.architecture,
        "tag": entry.tag,
        "num_classes": entry.num_classes,
        "url": entry.weights.url,
        **asdict(entry.preprocessing),
    }


def find(name: str) -> Entry:
    """The entry of an architecture or of an ``architecture.tag``.

    Raises:
        UnknownModel: the registry has no such entry.
    """
    for entry in ENTRIES:
        if name in (entry.architecture, entry.name):
            return entry
    raise UnknownModel(name, list_models())

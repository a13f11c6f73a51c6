"""Which networks have published weights, and what is known of these: one entry per ``architecture.tag``.

Facts only, and without torch. Results stand nowhere here: those are measured, or cited on the cards.
"""

from __future__ import annotations

from dataclasses import dataclass

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
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    """Of ImageNet, red-green-blue, on values in [0, 1]."""
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True)
class Weights:
    """One published file of weights."""

    url: str
    source: str
    """Who trained them and where they were first published."""
    licence: str = "non-commercial, as the official Res2Net repository states"
    """Of the weights. The code of this package is Apache-2.0, and its own."""
    licence_url: str = "https://github.com/Res2Net/Res2Net-PretrainedModels"

    @property
    def file(self) -> str:
        """Name of the file."""
        return self.url.rpartition("/")[2]

    @property
    def sha256_prefix(self) -> str:
        """The first eight hexadecimal digits of the file's SHA-256, which its name ends in."""
        return self.file.removesuffix(".pth").rpartition("-")[2]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How weights were trained."""

    data: str
    optimizer: str
    learning_rate: float
    momentum: float
    weight_decay: float
    batch_size: int
    epochs: int
    schedule: str
    hardware: str
    source: str
    """Where this is stated."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An architecture with one set of published weights."""

    architecture: str
    weights: Weights
    recipe: Recipe | None
    """None where the authors published weights without saying how they trained them."""
    tag: str = "in1k"
    """``in1k``: trained on ImageNet-1k."""
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

PAPER_RECIPE = Recipe(
    data="ImageNet-1k",
    optimizer="SGD",
    learning_rate=0.1,
    momentum=0.9,
    weight_decay=1e-4,
    batch_size=256,
    epochs=100,
    schedule="divided by 10 every 30 epochs",
    hardware="4 Titan Xp",
    source=f"{PAPER}, section 4.1",
)


def _mirrored(architecture: str, file: str) -> Entry:
    return Entry(architecture, Weights(f"{RELEASE}/{file}", AUTHORS), PAPER_RECIPE)


def _v1b(architecture: str, file: str) -> Entry:
    return Entry(architecture, Weights(f"{BUCKET}/{file}", AUTHORS), recipe=None)


ENTRIES = (
    _mirrored("res2next50", "res2next50_4s-6ef7e7bf.pth"),
    _mirrored("res2net50_48w_2s", "res2net50_48w_2s-afed724a.pth"),
    _mirrored("res2net50_26w_4s", "res2net50_26w_4s-06e79181.pth"),
    _mirrored("res2net50_14w_8s", "res2net50_14w_8s-6527dddc.pth"),
    _mirrored("res2net50_26w_6s", "res2net50_26w_6s-19041792.pth"),
    _mirrored("res2net50_26w_8s", "res2net50_26w_8s-2c7c9f12.pth"),
    _mirrored("res2net101_26w_4s", "res2net101_26w_4s-02a759a1.pth"),
    _v1b("res2net50d", "res2net50_v1b_26w_4s-3cf99910.pth"),
    _v1b("res2net101d", "res2net101_v1b_26w_4s-0812c246.pth"),
    _mirrored("dla60_res2net", "res2net_dla60_4s-d88db7f9.pth"),
    _mirrored("dla60_res2next", "res2next_dla60_4s-d327927b.pth"),
)
"""In the order of the tables of variants."""


def list_models() -> tuple[str, ...]:
    """Names of all architectures, in the order of the tables of variants."""
    return tuple(entry.architecture for entry in ENTRIES)


def find(name: str) -> Entry:
    """The entry of an architecture or of an ``architecture.tag``.

    Raises:
        UnknownModel: the registry has no such entry.
    """
    for entry in ENTRIES:
        if name in (entry.architecture, entry.name):
            return entry
    raise UnknownModel(name, list_models())

"""Training recipes as data, one YAML file of this folder each; read without torch."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import asdict, dataclass
from importlib.resources import files
from math import cos, pi
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from res2next.recipes.parser import Range, RecipeError, UnknownRecipe, build_dataclass, parse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "Augmentation",
    "Recipe",
    "RecipeError",
    "Schedule",
    "UnknownRecipe",
    "changed",
    "learning_rate",
    "list_recipes",
    "load_recipe",
    "make_recipe",
]

Positive = Annotated[int, Range(least=1)]
Share = Annotated[float, Range(least=0, below=1)]
NotNegative = Annotated[float, Range(least=0)]

LEAST_AREA = 0.08
"""Of a random resized crop (Szegedy et al., 2015, section 6)."""

MAGNITUDE = 9
"""Strength of random operations on images, as torchvision's; its scale ends at 30, that of the paper's code at 10."""

GAMMA = 0.1
"""Factor of the learning rate at each drop of a step schedule."""

PRETRAINED = "pretrained"
"""Initial weights: the published ones of the model."""

OWN_IMAGES = "folder"
"""The data set of a recipe for the user's own images, whose folder is given when it is used."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """How the learning rate falls after warm-up; :func:`learning_rate` has the formulas."""

    kind: Literal["step", "cosine"]
    gamma: Annotated[float, Range(above=0, most=1)] = GAMMA
    """``step``: factor of the learning rate."""
    every: Positive | None = None
    """``step``: epochs between two drops."""
    milestones: tuple[Positive, ...] = ()
    """``step``: or the epochs of the drops, counted from the start of training."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Changes of a training image, in this order."""

    crop: Literal["random-resized", "pad-and-crop", "none"]
    """``random-resized``: a part of the image, resized (Szegedy et al., 2015);
    ``pad-and-crop``: black borders, then a crop of the original size, for small images of the network's size;
    ``none``: such images unchanged."""
    least_area: Annotated[float, Range(above=0, most=1)] = LEAST_AREA
    """``random-resized``: smallest share of the image's area; the largest is all of it."""
    pad: Annotated[int, Range(least=0)] = 0
    """``pad-and-crop``: pixels added on each side."""
    flip: bool = False
    """Left to right, for every second image."""
    randaugment: Annotated[int, Range(least=0)] = 0
    """Random operations on each image (Cubuk et al., 2020, arXiv 1909.13719, section 3); 0: off."""
    magnitude: Annotated[int, Range(least=0, most=30)] = MAGNITUDE
    """``randaugment``: strength of the operations, from 0 to 30."""
    erasing: Annotated[float, Range(least=0, most=1)] = 0.0
    """Probability that a rectangle of 2 to 40 % of the image is set to the mean (Zhong et al., 2020)."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """All settings that determine the trained weights, given the images."""

    name: str
    """The file name without its suffix."""
    model: str
    """Architecture, as in :func:`res2next.list_models`."""
    dataset: str
    epochs: Positive
    batch_size: Positive
    """Images in one update: over all processes and accumulated parts."""
    learning_rate: Annotated[float, Range(above=0)]
    schedule: Schedule
    augmentation: Augmentation
    source: str
    """Publication of the recipe."""
    hardware: str | None = None
    """Hardware used by the source."""
    optimizer: Literal["SGD", "AdamW"] = "SGD"
    """``AdamW`` (Loshchilov and Hutter, 2019, arXiv 1711.05101) has torch's betas, 0.9 and 0.999, and epsilon, 1e-8."""
    momentum: Share = 0.0
    nesterov: bool = False
    weight_decay: NotNegative = 0.0
    decay_norm_and_bias: bool = True
    """Whether weight decay applies to norms and biases too, as in the paper."""
    warmup_epochs: NotNegative = 0.0
    """Epochs in which the learning rate climbs linearly, update by update (Goyal et al., 2017)."""
    clip_norm: Annotated[float, Range(above=0)] | None = None
    """Largest norm of all gradients together; larger ones are scaled down to it (Pascanu et al., 2013, section 3.2)."""
    loss: Literal["cross-entropy", "bce"] = "cross-entropy"
    """``bce``: binary cross entropy, each class apart (Wightman et al., 2021, arXiv 2110.00476, section 2)."""
    label_smoothing: Share = 0.0
    """Share of the target that is spread over all classes (Szegedy et al., 2016)."""
    mixup: NotNegative = 0.0
    """Alpha of the Beta distribution of the mixing share (Zhang et al., 2018); 0: off."""
    cutmix: NotNegative = 0.0
    """The same for images with a part of another pasted in (Yun et al., 2019). With both, each update uses either."""
    drop_rate: Share = 0.0
    """Probability of dropout before the head (Srivastava et al., 2014)."""
    drop_path: Share = 0.0
    """Probability that the last block is skipped, growing evenly from 0 in the first (Huang et al., 2016)."""
    ema_decay: Share | None = None
    """Decay of the exponential moving average of the weights, which is then the result."""
    accumulate: Positive = 1
    """Number of parts in which a batch is computed, if it does not fit into memory."""
    mixed_precision: bool = False
    sync_batch_norm: bool = False
    """Normalise over the images of all processes, on GPUs, instead of those of each."""
    zero_init_last: bool = False
    """Start with the last norm of every block at zero (Goyal et al., 2017, section 5.1)."""
    seed: Annotated[int, Range(least=0, below=2**63)] = 0
    initial_weights: str | None = None
    """Start from these weights, with a fresh head: ``pretrained`` for the published ones, or a file."""
    trunk_rate: Annotated[float, Range(least=0, most=1)] = 1.0
    """Factor of the learning rate for all layers but the head; 0 freezes them, and the statistics of their norms."""
    keep: Literal["last", "best"] = "last"
    """``best``: the result is the weights after the epoch with the most held-out images right."""

    @property
    def techniques(self) -> tuple[str, ...]:
        """The recipe's techniques, by their names in model cards."""
        used = {
            "AdamW" if self.optimizer == "AdamW" else "SGD with Momentum" if self.momentum else "SGD": True,
            "Nesterov Accelerated Gradient": self.nesterov,
            "Weight Decay": self.weight_decay > 0,
            "Step Decay": self.schedule.kind == "step",
            "Cosine Annealing": self.schedule.kind == "cosine",
            "Linear Warmup": self.warmup_epochs > 0,
            "Gradient Clipping": self.clip_norm is not None,
            "Binary Cross-Entropy": self.loss == "bce",
            "Label Smoothing": self.label_smoothing > 0,
            "Mixup": self.mixup > 0,
            "CutMix": self.cutmix > 0,
            "Random Resized Crop": self.augmentation.crop == "random-resized",
            "Random Crop": self.augmentation.crop == "pad-and-crop",
            "Random Horizontal Flip": self.augmentation.flip,
            "RandAugment": self.augmentation.randaugment > 0,
            "Random Erasing": self.augmentation.erasing > 0,
            "Dropout": self.drop_rate > 0,
            "Stochastic Depth": self.drop_path > 0,
            "Exponential Moving Average": self.ema_decay is not None,
            "Mixed Precision": self.mixed_precision,
            "SyncBN": self.sync_batch_norm,
            "Zero-Initialised Residual": self.zero_init_last,
        }
        return tuple(name for name, on in used.items() if on)


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """The learning rate of update ``step``, counted from 0.

    Warm-up of w updates: (step + 1) / w of the recipe's rate, so that update w-1 has the full rate (Goyal et al.,
    "Accurate, Large Minibatch SGD", 2017, section 2.2). Warm-up counts as part of the epochs. After it:

    - ``step``: times gamma at each milestone that has passed, in whole epochs from the start of training;
    - ``cosine``: times (1 + cos(pi t)) / 2, with t from 0, after warm-up, to 1, the end of training
      (Loshchilov and Hutter, "SGDR", 2017, equation 5, with one period and a minimum of 0).
    """
    warmup = round(recipe.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    if recipe.schedule.kind == "cosine":
        share = (step - warmup) / (recipe.epochs * steps_per_epoch - warmup)
        return recipe.learning_rate * (1 + cos(pi * share)) / 2
    return recipe.learning_rate * recipe.schedule.gamma ** count_drops(recipe.schedule, step // steps_per_epoch)


def count_drops(schedule: Schedule, epoch: int) -> int:
    """How often a step schedule has lowered the learning rate when ``epoch``, counted from 0, begins."""
    if schedule.every is not None:
        return epoch // schedule.every
    return bisect_right(sorted(schedule.milestones), epoch)


def list_recipes() -> tuple[str, ...]:
    """Names of the recipes that come with the package, sorted."""
    folder = files("res2next.recipes")
    return tuple(sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml")))


def load_recipe(name_or_path: str | Path) -> Recipe:
    """The recipe of that name, or of a file: a path with a separator or the suffix ``.yaml``.

    Raises:
        UnknownRecipe: no such name; the message lists the names.
        RecipeError: an unreadable file, an unknown, missing or duplicate key, or a value that is not allowed.
    """
    given = str(name_or_path)
    if isinstance(name_or_path, Path) or given.endswith((".yaml", ".yml")) or Path(given).name != given:
        path = Path(name_or_path)
        try:
            text = path.read_bytes()
        except OSError as trouble:
            raise RecipeError(given, None, f"cannot be read ({trouble.strerror})") from None
        return make_recipe({"name": path.stem, **parse(text, given)}, given)
    if given not in list_recipes():
        raise UnknownRecipe(given, list_recipes())
    file = files("res2next.recipes").joinpath(f"{given}.yaml")
    return make_recipe({"name": given, **parse(file.read_bytes(), file.name)}, file.name)


def changed(recipe: Recipe, settings: Sequence[str]) -> Recipe:
    """``recipe`` with settings ``key=value`` applied, such as ``epochs=5`` or ``schedule.kind=cosine``.

    Values are read as in a recipe's file.

    Raises:
        RecipeError: not of that form, an unknown key, or a value that is not allowed.
    """
    where = "--set"
    values = _with_lists(asdict(recipe))
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise RecipeError(where, setting, "needs the form key=value")
        value = parse(f"value: {text}".encode(), f"{where} {key}")["value"]
        first, dot, second = key.partition(".")
        if dot and isinstance(values.get(first), dict):
            values[first] = {**values[first], second: value}
        else:
            values[key] = value
    return make_recipe(values, where)


def make_recipe(values: Mapping[str, Any], where: str) -> Recipe:
    """A recipe from plain values, as in a file or a training log.

    Raises:
        RecipeError: an unknown or missing key, or a value that is not allowed.
    """
    recipe = build_dataclass(Recipe, values, where)
    steps = recipe.schedule.every is not None, bool(recipe.schedule.milestones)
    if recipe.schedule.kind == "step" and sum(steps) != 1:
        raise RecipeError(where, "schedule", "a step schedule needs either `every` or `milestones`")
    if recipe.schedule.kind == "cosine" and any(steps):
        raise RecipeError(where, "schedule", "a cosine schedule has no `every` and no `milestones`")
    if recipe.schedule.kind == "cosine" and recipe.schedule.gamma != GAMMA:
        raise RecipeError(where, "schedule.gamma", "belongs to a step schedule, and only to it")
    if (recipe.augmentation.crop == "pad-and-crop") != (recipe.augmentation.pad > 0):
        raise RecipeError(where, "augmentation.pad", "pixels to add belong to the crop pad-and-crop, and only to it")
    if recipe.augmentation.crop != "random-resized" and recipe.augmentation.least_area != LEAST_AREA:
        raise RecipeError(where, "augmentation.least_area", "belongs to the crop random-resized, and only to it")
    if recipe.trunk_rate < 1 and recipe.initial_weights is None:
        raise RecipeError(where, "trunk_rate", "a trunk that learns more slowly needs initial_weights")
    if recipe.zero_init_last and recipe.initial_weights is not None:
        raise RecipeError(where, "zero_init_last", "belongs to fresh weights, and initial_weights would replace them")
    if recipe.augmentation.magnitude != MAGNITUDE and not recipe.augmentation.randaugment:
        raise RecipeError(where, "augmentation.magnitude", "belongs to randaugment, and only to it")
    if recipe.optimizer == "AdamW" and (recipe.momentum or recipe.nesterov):
        key = "momentum" if recipe.momentum else "nesterov"
        raise RecipeError(where, key, "belongs to SGD; AdamW has its own averages of gradients")
    if recipe.nesterov and not recipe.momentum:
        raise RecipeError(where, "nesterov", "needs a momentum above 0")
    if recipe.warmup_epochs >= recipe.epochs:
        raise RecipeError(where, "warmup_epochs", f"must be below the {recipe.epochs} epochs of training")
    if recipe.batch_size % recipe.accumulate:
        raise RecipeError(where, "accumulate", f"must divide batch_size, which is {recipe.batch_size}")
    return recipe


def _with_lists(values: dict[str, Any]) -> dict[str, Any]:
    """``asdict``'s result with lists for tuples, as in YAML."""
    return {
        key: _with_lists(value) if isinstance(value, dict) else list(value) if isinstance(value, tuple) else value
        for key, value in values.items()
    }

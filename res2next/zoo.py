"""The package as a zoo for cardproof, ``res2next.zoo:zoo``; only ``build`` imports torch."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from res2next.recipes import load_recipe
from res2next.registry import find, list_models
from res2next.training_log import logged_curve, logged_recipe
from res2next.weights import local_weights

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from res2next.recipes import Recipe
    from res2next.registry import Preprocessing, Weights
    from res2next.training_log import TrainingCurve

NETWORK_SOURCES = ("model.py", "dla.py", "variants.py", "registry.py")
"""The source files that determine the network and the preprocessing of a name."""


class Res2NextZoo:
    """The networks of this package. Every method takes ``architecture`` or ``architecture.tag``.

    Raises:
        UnknownModel: from each method but ``digest``, for a name that the registry does not have.
    """

    name = "res2next"

    def models(self) -> tuple[str, ...]:
        """Names of all architectures, in the order of the tables of variants."""
        return list_models()

    def build(self, name: str) -> nn.Module:
        """The classifier of the registry's entry, with fresh weights, on torch's current default device."""
        from res2next.variants import build

        return build(find(name))

    def preprocessing(self, name: str) -> Preprocessing:
        """The preprocessing of images."""
        return find(name).preprocessing

    def weights(self, name: str) -> Weights:
        """The published weights: file, address, digest, licence."""
        return find(name).weights

    def find_weights(self, name: str, given: Path | None = None) -> Path | None:
        """The verified local file of the weights, with its published name; None if missing.

        Raises:
            TruncatedWeights, WrongWeights: a file of that name is not the published one.
            WeightsNotAvailable: ``given`` does not exist.
        """
        entry = find(name)
        if given is not None and given.is_dir() and not (given / entry.weights.file).is_file():
            given = None  # one folder serves all models
        if given is not None and given.is_file() and given.name != entry.weights.file:
            given = None
        path = local_weights(entry, given)
        return path if path and path.name == entry.weights.file else None

    def recipe(self, name: str) -> Recipe | None:
        """The recipe of the published weights; None if unpublished."""
        recipe = find(name).recipe
        return None if recipe is None else load_recipe(recipe)

    def training_log(self, name: str) -> tuple[str, Recipe] | None:
        """Name and recipe of the training log of bundled weights; None for others.

        Raises:
            LogError: the log is missing or damaged.
        """
        entry = find(name)
        recipe = logged_recipe(entry)
        return None if recipe is None else (entry.weights.file.rpartition(".")[0] + ".csv", recipe)

    def training_curve(self, name: str) -> TrainingCurve | None:
        """The course of training from the log of bundled weights; None for others.

        Raises:
            LogError: the log is missing or damaged.
        """
        return logged_curve(find(name))

    def diagram(self, name: str) -> dict[str, Any]:
        """How the network's blocks are built, as boxes and arrows."""
        from res2next.diagram import block_diagram

        return block_diagram(find(name).architecture)

    def digest(self, name: str) -> str:
        """``sha256:<hex>`` of the networks' source files; the same for every name."""
        return _digest_of_sources()


@cache
def _digest_of_sources() -> str:
    digest = sha256()
    package = files("res2next")
    for name in NETWORK_SOURCES:
        # read as text, so that line ends do not matter
        source = package.joinpath(name).read_text(encoding="utf-8").encode()
        digest.update(f"{name} {len(source)}\n".encode())
        digest.update(source)
    return f"sha256:{digest.hexdigest()}"


zoo = Res2NextZoo()

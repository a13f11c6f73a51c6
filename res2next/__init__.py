"""Res2Net and Res2NeXt image classifiers: networks, trained weights, training and inference.

Importing the package does not import torch; a name that needs it is imported when it is first used. ``__version__`` is
that of the distribution ``cardproof``.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from res2next.errors import (
    Res2NextError,
    TruncatedWeights,
    UnfitWeights,
    UnknownModel,
    UnreadableImage,
    UnreadableWeights,
    WeightsNotAvailable,
    WrongWeights,
)
from res2next.registry import list_models

if TYPE_CHECKING:
    from res2next.classification import Prediction, classify
    from res2next.create import create_model
    from res2next.inference import optimize
    from res2next.weights import load_weights

LAZY = {
    "Prediction": "res2next.classification",
    "classify": "res2next.classification",
    "create_model": "res2next.create",
    "load_weights": "res2next.weights",
    "optimize": "res2next.inference",
}
"""Public names that need torch -> modules, which are imported when a name is first used."""

__all__ = [
    "Prediction",
    "Res2NextError",
    "TruncatedWeights",
    "UnfitWeights",
    "UnknownModel",
    "UnreadableImage",
    "UnreadableWeights",
    "WeightsNotAvailable",
    "WrongWeights",
    "classify",
    "create_model",
    "example_photo",
    "list_models",
    "load_weights",
    "optimize",
]


def example_photo() -> Path:
    """The path of a JPEG of a cat, 256x170 pixels, that comes with the package and is in the public domain (CC0)."""
    return Path(__file__).with_name("data") / "chelsea.jpg"


def __getattr__(name: str) -> object:
    if name == "__version__":
        return import_module("importlib.metadata").version("cardproof")
    if name not in LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})

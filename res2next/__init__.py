"""Res2Net and Res2NeXt image classifiers: networks, trained weights, and what it takes to use them.

Importing the package does not import torch; a name that needs it is imported when it is first used.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
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
from res2next.photo import example_photo
from res2next.registry import list_models

if TYPE_CHECKING:
    from res2next.classify import Prediction, classify
    from res2next.create import create_model
    from res2next.optimize import optimize
    from res2next.weights import load_weights

LAZY = {
    "Prediction": "res2next.classify",
    "classify": "res2next.classify",
    "create_model": "res2next.create",
    "load_weights": "res2next.weights",
    "optimize": "res2next.optimize",
}
"""Public names that come with torch, and the modules that they are imported from when they are first used."""

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


def __getattr__(name: str) -> object:
    if name not in LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """Keeps ``res2next.classify`` the function, where the import system would put the module of that name."""

    def __setattr__(self, name: str, value: object) -> None:
        if isinstance(value, ModuleType) and LAZY.get(name) == value.__name__:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package

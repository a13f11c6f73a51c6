"""Res2Net and Res2NeXt image classifiers: the networks, and where their published weights come from.

Importing the package does not import torch; :func:`create_model` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from res2next.errors import UnknownModel, WeightsNotAvailable
from res2next.photo import example_photo
from res2next.registry import list_models

if TYPE_CHECKING:
    from res2next.create import create_model

__all__ = ["UnknownModel", "WeightsNotAvailable", "create_model", "example_photo", "list_models"]


def __getattr__(name: str) -> object:
    """``create_model``, imported when it is first asked for, since torch comes with it."""
    if name != "create_model":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from res2next.create import create_model

    return create_model


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

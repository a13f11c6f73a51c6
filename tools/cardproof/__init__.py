"""Cardproof: model cards whose claims are checked while they are rendered.

The names in ``PUBLIC`` are the public API. Each is imported when it is first used, so that importing the package is
cheap; everything else may change with any version.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cardproof.build import audit, render
    from cardproof.core.settings import Settings
    from cardproof.core.types import Claim, Finding, Judgement
    from cardproof.zoos import Zoo

__version__ = "0.1.0"
__all__ = ["Claim", "Finding", "Judgement", "Settings", "Zoo", "audit", "render"]

PUBLIC = {
    "audit": "cardproof.build",
    "render": "cardproof.build",
    "Settings": "cardproof.core.settings",
    "Zoo": "cardproof.zoos",
    "Claim": "cardproof.core.types",
    "Finding": "cardproof.core.types",
    "Judgement": "cardproof.core.types",
}
"""The module that defines each public name."""


def __getattr__(name: str) -> object:
    if name not in PUBLIC:
        raise AttributeError(f"module 'cardproof' has no attribute '{name}'")
    return getattr(import_module(PUBLIC[name]), name)


class _CallableRoom(ModuleType):
    """The package ``render``, which has the name of the public function: calling it calls the function."""

    def __call__(self, *arguments: Any, **options: Any) -> object:
        return import_module(PUBLIC["render"]).render(*arguments, **options)


import_module("cardproof.render").__class__ = _CallableRoom

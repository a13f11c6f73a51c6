"""Cardproof: model cards whose claims are checked while they are rendered.

A README states that a network has 9.9K parameters, and the function ``create`` in mynet.py returns that network:

>>> from pathlib import Path
>>> from cardproof import Settings, audit
>>> run = audit([Path("README.md")], Settings(zoo="mynet.py:create"))
>>> for judgement in run.judgements:
...     print(judgement.claim.field, judgement.claim.stated, judgement.found, judgement.verdict)
Parameters 9.9K 1792 refuted
>>> [(str(finding.place), finding.severity) for finding in run.findings]
[('README.md:5:11', 'error')]
>>> run.exit
1

``audit`` judges cards and writes nothing. ``render`` does what ``cardproof render`` does: it measures, judges and
renders the site of some settings, such as ``load_settings(Path("mkdocs.yml"))``. Both return a ``Run``, take
``MeasureOptions``, and raise ``InputError`` for an input that cannot be read.

The names in ``__all__`` are the public API. Each is imported when it is first used, so that importing the package is
cheap; everything else may change with any version.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cardproof.build import audit, render
    from cardproof.core.errors import InputError
    from cardproof.core.settings import Settings, load_settings
    from cardproof.core.types import Claim, Finding, Judgement
    from cardproof.plan.options import MeasureOptions
    from cardproof.report.finished_run import Run
    from cardproof.zoos import Zoo

__version__ = "0.1.0"
__all__ = [
    "Claim",
    "Finding",
    "InputError",
    "Judgement",
    "MeasureOptions",
    "Run",
    "Settings",
    "Zoo",
    "audit",
    "load_settings",
    "render",
]

PUBLIC = {
    "audit": "cardproof.build",
    "render": "cardproof.build",
    "Run": "cardproof.report.finished_run",
    "Settings": "cardproof.core.settings",
    "load_settings": "cardproof.core.settings",
    "MeasureOptions": "cardproof.plan.options",
    "InputError": "cardproof.core.errors",
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


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _CallableRoom(ModuleType):
    """The package ``render``, which has the name of the public function: calling it calls the function."""

    def __call__(self, *arguments: Any, **options: Any) -> object:
        return import_module(PUBLIC["render"]).render(*arguments, **options)


import_module("cardproof.render").__class__ = _CallableRoom

"""Run cardproof on a shared case: a copy of its folder with a zoo file beside its ``toynet.py``."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from cardproof.core.settings import Settings, SnippetSettings

if TYPE_CHECKING:
    from pathlib import Path

ZOO = '''
"""Networks of one case: ``toynet_W`` is ``ToyNet(width=W)``."""

import toynet


class Zoo:
    def build(self, name):
        return toynet.ToyNet(width=int(name.split("_")[1]))

    def preprocessing(self, name):
        return getattr(toynet, "preprocess", None)
'''


def copy_case(shared: Path, name: str, to: Path) -> Path:
    """Copy the case whose folder starts with ``name``; return the copy."""
    (folder,) = (shared / "cases" / "cards").glob(f"{name}*")
    copy = to / folder.name
    shutil.copytree(folder, copy)
    if (copy / "toynet.py").is_file():
        (copy / "zoo.py").write_text(ZOO)
    return copy


def settings_of(case: Path, **options) -> Settings:
    """Return settings for a case: its own zoo where it has one, its own folder as templates, pages in ``out``."""
    zoo = f"{case / 'zoo.py'}:Zoo" if (case / "zoo.py").is_file() else None
    options.setdefault("snippets", SnippetSettings(run=False))
    return Settings(base=case, zoo=zoo, templates=case, out=case / "out", evidence=case / "out" / "evidence", **options)

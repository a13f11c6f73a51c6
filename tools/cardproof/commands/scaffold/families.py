"""Families: which models share a card, by the module that defines their networks."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cardproof.core.types import Evidence
    from cardproof.zoos.published import Published

TAKEN = frozenset({"index", "compare", "readme", "page"})
"""Names of pages that a site has beside those of its models."""


class Family(Struct, frozen=True):
    """Models whose networks one module defines."""

    name: str
    """The class of most of them."""
    file: str
    """Of its card, without a suffix."""
    module: str
    """Empty where the networks are put together of torch's own classes."""
    models: tuple[tuple[Published, Evidence], ...]


def families(models: Iterable[tuple[Published, Evidence]], other: str) -> list[Family]:
    """Return the families of measured models, by their files; ``other`` names the one of networks without a class."""
    by_module: dict[str, list[tuple[Published, Evidence]]] = {}
    for published, evidence in models:
        assert evidence.counts
        module = evidence.counts.source.partition(":")[0]
        by_module.setdefault("" if module.startswith("torch.") else module, []).append((published, evidence))
    names: dict[str, str] = {}
    files: dict[str, str] = {}
    for module, members in by_module.items():
        classes = Counter(evidence.counts.source.partition(":")[2] for _, evidence in members if evidence.counts)
        name = min(classes, key=lambda name: (-classes[name], name)).rpartition(".")[2] if module else other
        names[module] = name if name not in names.values() else f"{name} of {module}"
        files[module] = _file(module.rpartition(".")[2] or other, module, set(files.values()))
    found = [Family(names[module], files[module], module, tuple(members)) for module, members in by_module.items()]
    return sorted(found, key=lambda family: family.file)


def _file(name: str, module: str, taken: set[str]) -> str:
    """Return a file name that nothing else of the site has."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "models"
    if plain in TAKEN | taken:
        plain = re.sub(r"[^a-z0-9]+", "-", module.lower()).strip("-") if plain in taken else f"{plain}-models"
    while plain in TAKEN | taken:
        plain += "-2"
    return plain

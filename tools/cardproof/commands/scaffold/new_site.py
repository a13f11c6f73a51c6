"""Make a new site for a zoo: list its models, measure, write the files; rendering it is the usual build."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from cardproof.commands.scaffold.site import CITED, FIXED, site_texts
from cardproof.core.clock import now
from cardproof.core.errors import InputError
from cardproof.core.files import replace_files, show_path, writing
from cardproof.core.settings import Settings
from cardproof.core.types import Evidence, Finding, Need
from cardproof.measure.gather import MeasureOptions, gather
from cardproof.measure.list_models import list_models
from cardproof.read.claims import file_of_link
from cardproof.zoos.published import ModelList

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cardproof.measure.gather import Progress
    from cardproof.zoos.published import Published


class Wish(Struct, frozen=True):
    """What a new site shall be."""

    zoo: str
    patterns: tuple[str, ...]
    folder: Path
    name: str | None = None
    """Of the site; made from the zoo's where it is None."""
    limit: int | None = None
    """The most models."""
    force: bool = False
    """Write over files that are there."""


class Scaffolded(Struct, frozen=True):
    """What was written."""

    files: tuple[Path, ...]
    models: int
    findings: tuple[Finding, ...]
    """Models that could not be measured, and have no card."""


def chosen_models(wish: Wish, engine: str | None = None) -> ModelList:
    """Return the models that a site is wished for. Raises InputError where there are none, or files are in the way."""
    _refuse(wish, [*FIXED, CITED])
    found = list_models(wish.zoo, wish.patterns, engine=engine)
    return replace(found, models=found.models[: wish.limit])


def new_site(
    wish: Wish, found: ModelList, *, workers: int | None = None, progress: Progress | None = None, engine: str = "local"
) -> Scaffolded:
    """Measure the models and write the files of the site, all or none; raises as :func:`chosen_models` does."""
    measured, findings = _measured(wish.zoo, found.models, workers, progress, engine)
    if not measured:
        raise InputError(f"none of {len(found.models)} models could be measured; {findings[0].message}")
    name = wish.name or f"Models of {found.title}"
    texts = site_texts(wish.zoo, found, measured, name, now()[:10], wish.folder)
    _refuse(wish, texts)
    paths = {wish.folder / path: text for path, text in texts.items()}
    with writing(wish.folder / "docs" / "evidence"):
        replace_files(paths)
    return Scaffolded(tuple(paths), len(measured), findings)


def _measured(
    zoo: str, models: Sequence[Published], workers: int | None, progress: Progress | None, engine: str
) -> tuple[list[tuple[Published, Evidence]], tuple[Finding, ...]]:
    """Measure models by the usual engines, each at the size that the zoo states for it."""
    needs = {published: Need(published.model, file_of_link(published.weights), None, ()) for published in models}
    wanted = list(needs.values())
    proved = gather(wanted, set(wanted), Settings(zoo=zoo), None, workers, progress, MeasureOptions(engine=engine))
    measured, findings = [], []
    for published, need in needs.items():
        evidence = proved.evidence[need]
        if evidence.counts:
            measured.append((published, evidence))
        else:
            message = f"{published.model} was not measured, and has no card: {evidence.error}"
            findings.append(Finding(published.place, "unknown-model", "error", message))
    return measured, tuple(findings)


def _refuse(wish: Wish, files: Sequence[str] | dict[str, str]) -> None:
    """Raise InputError for files that are there, unless they may be written over."""
    there = [show_path(wish.folder / path) for path in files if (wish.folder / path).exists()]
    if there and not wish.force:
        more = f" and {len(there) - 3} more" if len(there) > 3 else ""
        names = ", ".join(there[:3]) + more
        raise InputError(f"there already: {names}; --force writes over them")

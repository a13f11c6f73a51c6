"""Folders of a site: where its templates and outputs lie, and which templates become pages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cardproof.render.stamp import template_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from cardproof.render.templates import Templates
    from cardproof.settings import Settings

LAYOUTS = Path(__file__).parent.parent / "layouts"


@dataclass(frozen=True, slots=True)
class Folders:
    """Where a site's templates and outputs lie."""

    root: Path
    """Templates and what they include."""
    cards: Path
    """Templates of pages: ``models`` below the root, or the root itself where there is no such folder."""
    out: Path
    evidence: Path
    base: Path
    """Paths on pages are written relative to it."""
    fallback: Path | None = None
    """A second folder in which includes are looked for."""

    @property
    def bound(self) -> Path:
        """The folder below which an index may import: the site's, or the cards' own where they lie elsewhere."""
        return self.base if self.cards.resolve().is_relative_to(self.base.resolve()) else self.cards


def folders_of(settings: Settings) -> Folders:
    """Return the folders of a site; templates of pages are in ``models`` where there is such a folder."""
    root, includes = settings.path(settings.templates), settings.path(settings.includes)
    return Folders(
        root=root,
        cards=root / "models" if (root / "models").is_dir() else root,
        out=settings.path(settings.out),
        evidence=settings.path(settings.evidence),
        base=settings.base,
        fallback=includes if includes != root else None,
    )


def page_templates(
    folders: Folders, show: Callable[[Path], str], known: Mapping[Path, Iterable[str]] | None = None
) -> list[Path]:
    """Return the templates that become pages: not layouts, not what another template includes.

    ``known`` has what some of them include, by their paths as ``show`` writes them.
    """
    known = known or {}
    paths = sorted(folders.cards.rglob("*.md"))
    found = [path for path in paths if Path(show(path)) in known or _is_template(path, folders)]
    templates: Templates | None = None
    included: set[Path] = set()
    for path in found:
        names = known.get(Path(show(path)))
        if names is None:
            templates = templates or templates_of(folders, show)
            names = templates.includes(_text(path))
        for name in names:
            included |= {(folder / name).resolve() for folder in (folders.root, folders.cards)} - {path.resolve()}
    layout = (folders.root / "page.md").resolve()
    return [
        path for path in found if path.resolve() not in included and path.resolve() != layout and path.name[0] != "_"
    ]


def _is_template(path: Path, folders: Folders) -> bool:
    """Return whether a file may be a template: not an output, wherever that lies."""
    return path.is_file() and not path.is_relative_to(folders.out) and template_of(_text(path)) is None


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def templates_of(folders: Folders, show: Callable[[Path], str]) -> Templates:
    """Return the templates of a site; Jinja is imported here, since a build that remembers all its cards needs none."""
    from cardproof.render.templates import Templates

    search = [folders.root, folders.cards, *([folders.fallback] if folders.fallback else [])]
    return Templates(list(dict.fromkeys(search)), LAYOUTS, show)

"""Folders of a site: where its templates and outputs lie, and which templates become pages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from cardproof.render.output.stamp import template_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from cardproof.core.settings import Settings
    from cardproof.render.templates import Templates

LAYOUTS = Path(__file__).parent.parent / "layouts"


class Folders(Struct, frozen=True):
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

    def is_committed(self, path: Path) -> bool:
        """Return whether a file is a page or a record of evidence; all else is derived, and no check fails for it."""
        path = path.resolve()
        is_page = path.suffix == ".md" and path.is_relative_to(self.out.resolve())
        return is_page or path.is_relative_to(self.evidence.resolve())


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
    folders: Folders, show: Callable[[Path], str], known: Mapping[str, Iterable[str]] | None = None
) -> dict[str, Path]:
    """Return the templates that become pages, by what ``show`` writes: not layouts, not what another one includes.

    ``known`` has what some of them include, by the same names.
    """
    known = known or {}
    paths = {show(path): path for path in sorted(folders.cards.rglob("*.md"), key=lambda path: path.parts)}
    found = {shown: path for shown, path in paths.items() if shown in known or _is_template(path, folders)}
    templates: Templates | None = None
    users: dict[str, set[Path]] = {}
    for shown, path in found.items():
        names = known.get(shown)
        if names is None:
            templates = templates or templates_of(folders, show)
            names = templates.includes(_text(path))
        for name in names:
            users.setdefault(name, set()).add(path)
    users.setdefault("page.md", set())
    included = _Included(folders, users)
    return {shown: path for shown, path in found.items() if path.name[0] != "_" and path not in included}


class _Included:
    """The templates that others include; it looks at the disk only for those whose names say that they may be."""

    def __init__(self, folders: Folders, users: Mapping[str, set[Path]]) -> None:
        """``users`` are the templates that include each name."""
        self._users: dict[Path, set[Path]] = {}
        for name, including in users.items():
            for folder in (folders.root, folders.cards):
                self._users.setdefault((folder / name).resolve(), set()).update(including)
        self._layout = (folders.root / "page.md").resolve()
        self._names = {path.name for path in self._users}

    def __contains__(self, path: Path) -> bool:
        if path.name not in self._names and not path.is_symlink():
            return False
        place = path.resolve()
        return place == self._layout or bool(self._users.get(place, set()) - {path})


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

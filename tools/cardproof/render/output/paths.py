"""Folders of a site, the templates that become pages, and addresses in the finished site."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import quote, urljoin

from msgspec import Struct

from cardproof.core.errors import InputError
from cardproof.core.paths import files_below, is_inside, is_regular, real_path, root_of, show_path
from cardproof.render.output.text import read_stamp

if TYPE_CHECKING:
    from cardproof.core.settings import Settings
    from cardproof.render.templates import Templates


class Folders(Struct, frozen=True):
    """The folders of a site's templates and outputs."""

    root: Path
    """Templates and the files that they include."""
    cards: Path
    """Templates of pages: ``models`` below the root, or the root itself if there is no such folder."""
    out: Path
    evidence: Path
    base: Path
    """Paths on pages are written relative to it."""
    fallback: Path | None = None
    """A second folder for included files."""
    generated: tuple[Path, ...] = ()
    """Folders of further outputs: catalog, assets, reference."""
    docs: Path = Path("docs")
    """The root of the built site."""

    @property
    def bound(self) -> Path:
        """The folder below which an index may import: the site's, or the cards' folder if that is outside of it."""
        return self.base if self.cards.resolve().is_relative_to(self.base.resolve()) else self.cards

    @property
    def sources(self) -> tuple[Path, ...]:
        """The folders below which templates and what they include must be after links are followed."""
        return tuple(dict.fromkeys(root_of(folder, self.base) for folder in self._named_sources))

    @property
    def targets(self) -> tuple[Path, ...]:
        """The folders below which outputs must be after links are followed."""
        return tuple(dict.fromkeys(root_of(folder, self.base) for folder in self._named_targets))

    @property
    def _named_sources(self) -> tuple[Path, ...]:
        return (self.root, self.cards, *([self.fallback] if self.fallback else []))

    @property
    def _named_targets(self) -> tuple[Path, ...]:
        return (self.out, self.evidence, self.docs, *self.generated)

    def folder_linked_outside(self) -> Path | None:
        """Return a folder that lies outside of the site by a link; None if the settings name all folders outside."""
        named = (*self._named_sources, *self._named_targets)
        return next((folder for folder in named if not is_inside(folder, [root_of(folder, self.base)])), None)

    def is_committed(self, path: Path) -> bool:
        """Return whether a file is a page or a record of evidence; all else is derived, and no check fails for it."""
        path = real_path(path)
        is_page = path.suffix == ".md" and path.is_relative_to(self.out.resolve())
        return is_page or path.is_relative_to(self.evidence.resolve())


def site_folders(settings: Settings) -> Folders:
    """Return the folders of a site; templates of pages are in ``models`` if there is such a folder."""
    root, includes = settings.path(settings.templates), settings.path(settings.includes)
    return Folders(
        root=root,
        cards=root / "models" if (root / "models").is_dir() else root,
        out=settings.path(settings.out),
        evidence=settings.path(settings.evidence),
        base=settings.base,
        fallback=includes if includes != root else None,
        generated=tuple(settings.path(f) for f in (settings.catalog, settings.assets, settings.reference) if f),
        docs=settings.path(settings.site.docs),
    )


def page_templates(folders: Folders, known: Mapping[str, Iterable[str]]) -> dict[str, Path]:
    """Return the templates that become pages, by their names in reports: no layouts, and none that another includes.

    ``known`` has the names that some of them include, by the same names of templates.
    """
    below = files_below(folders.cards, (".md",), on_error=_refuse_unreadable)
    paths = {show_path(path): path for path in sorted(below, key=lambda path: path.parts) if path.suffix == ".md"}
    found = {shown: path for shown, path in paths.items() if shown in known or _is_template(path, folders)}
    templates: Templates | None = None
    users: dict[str, set[Path]] = {}
    for shown, path in found.items():
        names = known.get(shown)
        if names is None:
            templates = templates or site_templates(folders)
            names = templates.includes(_text(path, folders))
        for name in names:
            users.setdefault(name, set()).add(path)
    places: dict[Path, set[Path]] = {(folders.root / "page.md").resolve(): {folders.root}}  # the layout of all pages
    for name, including in users.items():
        for folder in (folders.root, folders.cards):
            places.setdefault(real_path(folder / name), set()).update(including)
    names = {place.name for place in places}  # a path is resolved only if its name, or a link, may be one of them

    def is_included(path: Path) -> bool:
        return (path.name in names or path.is_symlink()) and bool(places.get(real_path(path), set()) - {path})

    return {shown: path for shown, path in found.items() if path.name[0] != "_" and not is_included(path)}


def _is_template(path: Path, folders: Folders) -> bool:
    """Return whether a file may be a template: not an output, in any folder."""
    return not path.is_relative_to(folders.out) and read_stamp(_text(path, folders)) is None


def _text(path: Path, folders: Folders) -> str:
    """Return the text of a template; empty if it is not read, which is reported when it is."""
    if not is_regular(path) or not is_inside(path, folders.sources):
        return ""
    return path.read_text(encoding="utf-8", errors="replace")


def _refuse_unreadable(error: OSError) -> NoReturn:
    raise InputError(f"{show_path(Path(error.filename))}: this folder of templates cannot be read: {error.strerror}")


def site_templates(folders: Folders) -> Templates:
    """Return the templates of a site; imports Jinja, which a warm build does not need."""
    from cardproof.render.templates import Templates

    search = [folders.root, folders.cards, *([folders.fallback] if folders.fallback else [])]
    return Templates(list(dict.fromkeys(search)), folders.sources)


def relative(path: Path, start: Path) -> str:
    """Return a path as seen from a folder, with ``/``."""
    return Path(os.path.relpath(path, start)).as_posix()


class Urls(Struct, frozen=True):
    """Addresses of files in the built site."""

    root: Path
    """The folder that becomes the root of the site."""
    directory_urls: bool = True
    """Whether a page becomes a folder: ``models/a.md`` is ``models/a/``."""
    site: str = ""
    """The address of the site; empty if unknown."""

    def of(self, path: Path, anchor: str = "") -> str:
        """Return the address of a page or file, relative to the root of the site."""
        address = relative(path, self.root)
        if address.endswith(".md"):
            stem = address.removesuffix(".md")
            folder = stem.rpartition("/")[0] if posixpath.basename(stem) in ("index", "README") else stem
            if not self.directory_urls:
                address = f"{folder}/index.html".lstrip("/") if folder != stem else f"{stem}.html"
            else:
                address = f"{folder}/" if folder else "./"
        return quote(address) + (f"#{quote(anchor)}" if anchor else "")

    def between(self, target: Path, here: Path, anchor: str = "") -> str:
        """Return the address of a page or file as seen from the page ``here``."""
        base, found = posixpath.dirname(self.of(here)), self.of(target)
        address = posixpath.relpath(found.rstrip("/") or ".", base or ".")
        folder = "/" if found.endswith("/") and not address.endswith("/") else ""
        return f"{address}{folder}" + (f"#{quote(anchor)}" if anchor else "")

    def full(self, address: str) -> str:
        """Return the full form of an address relative to the root, if the address of the site is known."""
        return urljoin(self.site.rstrip("/") + "/", address) if self.site else address


def site_urls(settings: Settings, folders: Folders) -> Urls:
    """Return the addresses of a site; its root is the folder of pages if that is outside of ``docs_dir``."""
    docs = settings.path(settings.site.docs)
    root = docs if folders.out.resolve().is_relative_to(docs.resolve()) else folders.out
    return Urls(root, settings.site.directory_urls, settings.site.url)

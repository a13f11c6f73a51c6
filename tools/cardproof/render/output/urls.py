"""Addresses of pages and files as the finished site has them."""

from __future__ import annotations

import os
import posixpath
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin

from msgspec import Struct

if TYPE_CHECKING:
    from cardproof.core.settings import Settings
    from cardproof.render.output.folders import Folders


class Urls(Struct, frozen=True):
    """Where files of a folder of documents are found once the site is built."""

    root: Path
    """The folder that becomes the root of the site."""
    directory_urls: bool = True
    """Whether a page becomes a folder: ``models/a.md`` is ``models/a/``."""
    site: str = ""
    """The address of the site, where it is known."""

    def of(self, path: Path, anchor: str = "") -> str:
        """Return the address of a page or file, relative to the root of the site."""
        relative = Path(os.path.relpath(path, self.root)).as_posix()
        if relative.endswith(".md"):
            stem = relative.removesuffix(".md")
            folder = stem.rpartition("/")[0] if posixpath.basename(stem) in ("index", "README") else stem
            if not self.directory_urls:
                relative = f"{folder}/index.html".lstrip("/") if folder != stem else f"{stem}.html"
            else:
                relative = f"{folder}/" if folder else "./"
        return quote(relative) + (f"#{quote(anchor)}" if anchor else "")

    def between(self, target: Path, here: Path, anchor: str = "") -> str:
        """Return the address of a page or file as seen from the page ``here``."""
        base, found = posixpath.dirname(self.of(here)), self.of(target)
        relative = posixpath.relpath(found.rstrip("/") or ".", base or ".")
        folder = "/" if found.endswith("/") and not relative.endswith("/") else ""
        return f"{relative}{folder}" + (f"#{quote(anchor)}" if anchor else "")

    def full(self, relative: str) -> str:
        """Return an address relative to the root as a full one, where the address of the site is known."""
        return urljoin(self.site.rstrip("/") + "/", relative) if self.site else relative


def urls_of(settings: Settings, folders: Folders) -> Urls:
    """Return the addresses of a site; its root is the folder of pages where that lies outside of ``docs_dir``."""
    docs = settings.path(settings.site.docs)
    root = docs if folders.out.resolve().is_relative_to(docs.resolve()) else folders.out
    return Urls(root, settings.site.directory_urls, settings.site.url)

"""Files of a site on disk: compares them with rendered texts, writes all or none, finds orphans."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Container, Iterable, Mapping
from errno import ENAMETOOLONG
from functools import cache
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from cardproof.core.journal import site_lock
from cardproof.core.paths import existing_text, files_below, is_inside, is_regular, show_path
from cardproof.render.output.text import add_asset_stamp, is_edited, read_stamp

if TYPE_CHECKING:
    from cardproof.render.output.paths import Folders

ASSETS = Path(__file__).parent.parent / "assets"
STYLES = ("cardproof.css", "compare.css")
SCRIPTS = ("cardproof.js", "compare.js", "evidence.js")
"""Scripts of every page; each applies to some pages only."""
ERROR_PAGE_SCRIPTS = ("not-found.js",)
"""For a theme's ``404.html``, which has to link it itself."""

_UNNEEDED = re.compile(r"^[ \t]*+/\*(?:(?!\*/).)*+\*/[ \t]*+\n|^[ \t]++", re.MULTILINE)
"""In style sheets and scripts: comments that have a line of their own, and indents."""

Status = Literal["new", "changed", "unchanged", "removed", "edited", "foreign"]


class Change(Struct, frozen=True):
    """A difference between a file on disk and the rendered text."""

    path: Path
    status: Status
    """``edited``: the file was edited since it was rendered; ``foreign``: it was not rendered by cardproof, or a link
    leads out of the site."""
    old: str
    new: str

    @property
    def differs(self) -> bool:
        return self.status != "unchanged"

    def diff(self, shown: str) -> str:
        lines = difflib.unified_diff(
            self.old.splitlines(keepends=True),
            self.new.splitlines(keepends=True),
            f"{shown} (on disk)",
            f"{shown} (rendered)",
        )
        return "".join(line if line.endswith("\n") else line + "\n" for line in lines)


def asset_text(name: str) -> str:
    """Return a style sheet or script as pages load it: a sixth smaller than its source."""
    return _UNNEEDED.sub("", (ASSETS / name).read_text(encoding="utf-8"))


def compare(outputs: Mapping[Path, str], gone: Iterable[Path], roots: Iterable[Path]) -> list[Change]:
    """Return a change for each rendered text, and for the files to remove, ``gone``.

    What a link leads out of ``roots`` is neither read nor written or removed, nor is a folder, device or pipe.
    """
    changes = []
    inside = cache(lambda folder: is_inside(folder, roots))  # links are rare, and folders are few
    for path, new in sorted(outputs.items()):
        if not inside(path.parent) or (path.is_symlink() and not is_inside(path, roots)) or _is_special(path):
            changes.append(Change(path, "foreign", "", new))
            continue
        try:
            old = path.read_text(encoding="utf-8", errors="replace")
        except OSError as trouble:  # missing, or not allowed to be read
            missing = isinstance(trouble, FileNotFoundError)
            changes.append(Change(path, "new" if missing else "foreign", "", new))
            continue
        changes.append(Change(path, _status(old, new), old, new))
    for path in sorted(gone):
        if inside(path.parent) and (old := _text_of_output(path)):
            changes.append(Change(path, "removed", old, ""))
    return changes


def change_since(change: Change, old: str | None) -> Change:
    """Return a change relative to an earlier content of the file, None if there was no file."""
    if old is None:
        return Change(change.path, "new", "", change.new)
    return Change(change.path, _status(old, change.new), old, change.new)


def _status(old: str, new: str) -> Status:
    if old == new:
        return "unchanged"
    from cardproof.evidence.records import is_record  # only after a change: these imports are slow
    from cardproof.render.catalog.files import is_catalog_file

    if read_stamp(old) is None and not is_record(old) and not is_catalog_file(old):
        return "foreign"
    return "edited" if is_edited(old) else "changed"


def find_orphans(pages: Path, records: Path | None, base: Path, keep: Container[str]) -> list[Path]:
    """Return rendered pages whose template is gone, and with ``records`` the evidence records in that folder.

    The stamp of a page names its template, relative to ``base``. Pages whose template exists are left out, and so are
    the files to ``keep``, named as in reports.
    """
    found = []
    for path in sorted(files_below(pages, (".md",))):
        if show_path(path) in keep:
            continue
        template = read_stamp(_text_of_output(path))
        if template is not None and _is_missing(base / template):
            found.append(path)
    for path in sorted(files_below(records, (".json",))) if records else []:
        if show_path(path) not in keep:
            from cardproof.evidence.records import is_record  # as in _status

            if is_record(_text_of_output(path)):
                found.append(path)
    return found


def orphaned_model_files(models: Path, kept: Container[str]) -> list[Path]:
    """Return the files in folders of models that no longer exist; ``kept`` are the names of the other folders."""
    others = sorted(path for path in models.glob("*") if path.name not in kept)
    gone = [path for path in others if not path.is_symlink() and path.is_dir()]  # a link may lead nowhere
    return [path for folder in gone for path in sorted(folder.iterdir()) if _is_catalog_output(path)]


def orphaned_badges(folders: Iterable[Path], kept: Container[Path]) -> list[Path]:
    """Return the badges in models' folders whose claims no longer exist."""
    found = (path for folder in folders for path in sorted(folder.glob("*.svg")))
    return [path for path in found if path not in kept and _is_catalog_output(path)]


def _is_catalog_output(path: Path) -> bool:
    from cardproof.render.catalog.files import is_catalog_file  # as in _status

    return is_catalog_file(_text_of_output(path))


def _text_of_output(path: Path) -> str:
    """Return the text of a file that may be an output; empty if it cannot be read, or is a link: no build makes one."""
    is_link = os.path.islink(path)  # noqa: PTH114  (Path.is_symlink fails in a folder that cannot be read)
    return "" if is_link else existing_text(path) or ""


def _is_special(path: Path) -> bool:
    return not is_regular(path) and path.exists()


def _is_missing(path: Path) -> bool:
    """Return whether there is no such file; False if that is unknown, as in a folder that cannot be read."""
    try:
        return not S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return True
    except OSError as error:
        return error.errno == ENAMETOOLONG


def write(changes: Iterable[Change], folders: Folders) -> None:
    """Write and remove files of a site, all or none, while no other build of it writes.

    Files that have the new content already, such as evidence that was stored at once, are not written again.
    """
    changes = [change for change in changes if change.differs]
    if not changes:
        return
    from cardproof.core.journal import replace_files

    with site_lock(folders.evidence):
        new = {change.path: change.new for change in changes if _needs_write(change)}
        gone = [change.path for change in changes if change.status == "removed"]
        replace_files(new, gone=gone, roots=folders.targets)


def _needs_write(change: Change) -> bool:
    if change.status == "removed":
        return False
    try:
        return change.path.read_bytes() != change.new.encode()
    except FileNotFoundError:
        return True


def asset_texts(folder: Path) -> dict[Path, str]:
    """Return the texts of the assets in a folder of the site, by path."""
    return {
        folder / name: add_asset_stamp(asset_text(name), f"cardproof/render/assets/{name}")
        for name in (*STYLES, *SCRIPTS, *ERROR_PAGE_SCRIPTS)
    }

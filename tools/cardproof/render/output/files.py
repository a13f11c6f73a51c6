"""Files of a site on disk: compares them with rendered texts, writes all or none, finds orphans."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Container, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal

from msgspec import Struct

from cardproof.render.output.text import add_asset_stamp, is_edited, read_stamp

ASSETS = Path(__file__).parent.parent / "assets"
STYLES = ("cardproof.css", "compare.css")
SCRIPTS = ("cardproof.js", "compare.js", "evidence.js")
"""Scripts of every page; each applies to some pages only."""
ERROR_PAGE_SCRIPTS = ("not-found.js",)
"""For a theme's ``404.html``, which has to link it itself."""

Status = Literal["new", "changed", "unchanged", "removed", "edited", "foreign"]


class Change(Struct, frozen=True):
    """A difference between a file on disk and the rendered text."""

    path: Path
    status: Status
    """``edited``: the file was edited since it was rendered; ``foreign``: it was not rendered by cardproof."""
    old: str
    new: str

    @property
    def differs(self) -> bool:
        return self.status != "unchanged"

    def diff(self, shown: str) -> str:
        """Return the change as a unified diff."""
        lines = difflib.unified_diff(
            self.old.splitlines(keepends=True),
            self.new.splitlines(keepends=True),
            f"{shown} (on disk)",
            f"{shown} (rendered)",
        )
        return "".join(line if line.endswith("\n") else line + "\n" for line in lines)


def compare(outputs: Mapping[Path, str], gone: Iterable[Path]) -> list[Change]:
    """Return a change for each rendered text, and for the files to remove, ``gone``."""
    changes = []
    for path, new in sorted(outputs.items()):
        if path.exists() and not path.is_file():  # reading a pipe would wait forever
            changes.append(Change(path, "foreign", "", new))
            continue
        try:
            old = path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            changes.append(Change(path, "new", "", new))
            continue
        changes.append(Change(path, _status(old, new), old, new))
    for path in sorted(gone):
        with suppress(FileNotFoundError):  # another build removed it
            changes.append(Change(path, "removed", path.read_text(encoding="utf-8", errors="replace"), ""))
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
    from cardproof.render.catalog.files import is_ours

    if read_stamp(old) is None and not is_record(old) and not is_ours(old):
        return "foreign"
    return "edited" if is_edited(old) else "changed"


def find_orphans(
    pages: Path, records: Path | None, base: Path, show: Callable[[Path], str], keep: Container[str] = ()
) -> list[Path]:
    """Return rendered pages whose template is gone, and with ``records`` the evidence records in that folder.

    The stamp of a page names its template, relative to ``base``. Pages whose template exists are left out, and so are
    the files to ``keep``, named as by ``show``.
    """
    found = []
    for path in sorted(pages.rglob("*.md")) if pages.is_dir() else []:
        if show(path) in keep:
            continue
        template = read_stamp(path.read_text(encoding="utf-8", errors="replace")) if path.is_file() else None
        if template is not None and not (base / template).is_file():
            found.append(path)
    others = sorted(records.rglob("*.json")) if records and records.is_dir() else []
    for path in others:
        if show(path) not in keep and path.is_file():
            from cardproof.evidence.records import is_record  # as in _status

            if is_record(path.read_text(encoding="utf-8", errors="replace")):
                found.append(path)
    return found


def write(changes: Iterable[Change], site: Path) -> None:
    """Write and remove files, while no other build of the site writes; ``site`` is its folder of evidence.

    Files that have the new content already, such as evidence that was stored at once, are not written again.
    """
    changes = [change for change in changes if change.differs]
    if not changes:
        return
    from cardproof.core.files import replace_files, site_lock

    with site_lock(site):
        replace_files({change.path: change.new for change in changes if _needs_write(change)})
        for change in changes:
            if change.status == "removed":
                change.path.unlink(missing_ok=True)
                with suppress(OSError):  # not empty
                    change.path.parent.rmdir()


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
        folder / name: add_asset_stamp((ASSETS / name).read_text(encoding="utf-8"), f"cardproof/render/assets/{name}")
        for name in (*STYLES, *SCRIPTS, *ERROR_PAGE_SCRIPTS)
    }

"""Files of a site on disk: compared with what was rendered, written all or none, and removed without a source."""

from __future__ import annotations

import difflib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from cardproof.render.output.text import is_edited, stamped_asset, stamped_source

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping

ASSETS = Path(__file__).parent.parent / "assets"
STYLES = ("cardproof.css", "compare.css")
SCRIPTS = ("cardproof.js", "compare.js", "evidence.js")
"""Every page names these; each does something on pages of its own only."""
OTHERS = ("not-found.js",)
"""For a page ``404.html`` of the theme, which names it itself."""

Status = Literal["new", "changed", "unchanged", "removed", "edited", "foreign"]


class Change(Struct, frozen=True):
    """What has to happen to one file."""

    path: Path
    status: Status
    """``edited``: the file on disk was changed by hand since it was rendered; ``foreign``: it was never rendered."""
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
    """Return what differs between the disk and what was rendered; ``gone`` are files to remove."""
    changes = []
    for path, new in sorted(outputs.items()):
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


def as_of(change: Change, old: str | None) -> Change:
    """Return a change as seen from when the file said ``old``; None: from when it was not there."""
    if old is None:
        return Change(change.path, "new", "", change.new)
    return Change(change.path, _status(old, change.new), old, change.new)


def _status(old: str, new: str) -> Status:
    if old == new:
        return "unchanged"
    from cardproof.evidence.records import is_record  # if something changed: it costs more to import than all of this
    from cardproof.render.catalog.files import is_ours

    if stamped_source(old) is None and not is_record(old) and not is_ours(old):
        return "foreign"
    return "edited" if is_edited(old) else "changed"


def orphans(
    pages: Path, records: Path | None, base: Path, show: Callable[[Path], str], kept: Container[str] = ()
) -> list[Path]:
    """Return rendered pages whose template is gone, and with ``records`` the records of evidence in that folder.

    The stamp of a page names its template, relative to ``base``; pages of other templates that exist are left alone,
    and so are the files that are ``kept``, by what ``show`` writes.
    """
    found = []
    for path in sorted(pages.rglob("*.md")) if pages.is_dir() else []:
        if show(path) in kept:
            continue
        template = stamped_source(path.read_text(encoding="utf-8", errors="replace")) if path.is_file() else None
        if template is not None and not (base / template).is_file():
            found.append(path)
    others = sorted(records.rglob("*.json")) if records and records.is_dir() else []
    for path in others:
        if show(path) not in kept and path.is_file():
            from cardproof.evidence.records import is_record  # as in _status

            if is_record(path.read_text(encoding="utf-8", errors="replace")):
                found.append(path)
    return found


def write(changes: Iterable[Change], site: Path) -> None:
    """Make the disk as rendered, while no other build of the site writes; ``site`` is its folder of evidence.

    Files that say already what they shall, as evidence does that is stored at once, are not written again.
    """
    changes = [change for change in changes if change.differs]
    if not changes:
        return
    from cardproof.core.files import replace_files, site_lock

    with site_lock(site):
        replace_files({change.path: change.new for change in changes if _is_due(change)})
        for change in changes:
            if change.status == "removed":
                change.path.unlink(missing_ok=True)
                with suppress(OSError):  # others are in it
                    change.path.parent.rmdir()


def _is_due(change: Change) -> bool:
    if change.status == "removed":
        return False
    try:
        return change.path.read_bytes() != change.new.encode()
    except FileNotFoundError:
        return True


def asset_texts(folder: Path) -> dict[Path, str]:
    """Return what the assets in a folder of the site shall say, by their paths."""
    return {
        folder / name: stamped_asset((ASSETS / name).read_text(encoding="utf-8"), f"cardproof/render/assets/{name}")
        for name in (*STYLES, *SCRIPTS, *OTHERS)
    }

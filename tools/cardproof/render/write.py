"""Outputs on disk: compared, written beside and renamed, so that an error leaves the old site whole."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cardproof.render.stamp import is_edited, is_rendered

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

Status = Literal["new", "changed", "unchanged", "removed", "edited"]


@dataclass(frozen=True, slots=True)
class Change:
    """What has to happen to one file."""

    path: Path
    status: Status
    """``edited``: the file on disk was changed by hand since it was rendered."""
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
        status: Status = "unchanged" if old == new else "edited" if is_edited(old) else "changed"
        changes.append(Change(path, status, old, new))
    for path in sorted(gone):
        changes.append(Change(path, "removed", path.read_text(encoding="utf-8", errors="replace"), ""))
    return changes


def rendered_files(folder: Path, pattern: str = "*.md") -> list[Path]:
    """Return the files below a folder that carry the stamp of a rendered page."""
    if not folder.is_dir():
        return []
    return [
        path
        for path in sorted(folder.rglob(pattern))
        if is_rendered(path.read_text(encoding="utf-8", errors="replace"))
    ]


def write(changes: Iterable[Change]) -> None:
    """Make the disk as rendered: all new texts are written beside their files first, then renamed."""
    changes = [change for change in changes if change.differs]
    staged: list[tuple[Path, Path]] = []
    try:
        for change in changes:
            if change.status != "removed":
                change.path.parent.mkdir(parents=True, exist_ok=True)
                beside = change.path.with_name(f".{change.path.name}.{os.getpid()}.tmp")
                staged.append((beside, change.path))
                beside.write_text(change.new, encoding="utf-8", newline="\n")
        for beside, path in staged:
            beside.replace(path)
        for change in changes:
            if change.status == "removed":
                change.path.unlink(missing_ok=True)
    finally:
        for beside, _ in staged:
            beside.unlink(missing_ok=True)

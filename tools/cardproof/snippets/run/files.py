"""Files: reading and removing what code of a page wrote, which may be anything but what it should be."""

from __future__ import annotations

import os
import stat
from pathlib import Path

_MOST = 1 << 16
"""Bytes that are read."""
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)


def first_bytes(descriptor: int) -> str:
    """Return the beginning of a regular file that this process opened itself; others may write it without end."""
    return os.pread(descriptor, _MOST, 0).decode("utf-8", "replace")


def last_bytes(descriptor: int) -> str:
    """Return the end of such a file."""
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, _MOST, max(0, size - _MOST)).decode("utf-8", "replace")


def remove_folder(folder: Path) -> bool:
    """Remove a folder that no process uses any more, whatever was done to it, and return whether it is gone.

    Links are removed and not followed, closed folders are opened, and any depth is one loop with one descriptor.
    """
    try:
        if folder.is_dir() and not folder.is_symlink():
            folder.chmod(stat.S_IRWXU)
            _empty(os.open(folder, _FOLDER))
            folder.rmdir()
        else:
            folder.unlink(missing_ok=True)
    except OSError:
        return False
    return True


def _empty(here: int) -> None:
    """Remove all that is in an open folder, and close it."""
    above: list[str] = []
    try:
        while True:
            below = _remove_files(here)
            if below is not None:
                os.chmod(below, stat.S_IRWXU, dir_fd=here)
                above.append(below)
                here = _moved(here, below)
            elif above:
                here = _moved(here, "..")
                os.rmdir(above.pop(), dir_fd=here)
            else:
                return
    finally:
        os.close(here)


def _remove_files(here: int) -> str | None:
    """Remove the files and links of a folder up to its first folder; return its name."""
    with os.scandir(here) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                return entry.name
            os.unlink(entry.name, dir_fd=here)
    return None


def _moved(here: int, name: str) -> int:
    there = os.open(name, _FOLDER, dir_fd=here)
    os.close(here)
    return there

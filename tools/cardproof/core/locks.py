"""Writing into a site: one build at a time, each file beside its old one and then renamed, nothing left behind.

Files are written beside only by whoever holds the site's lock. So what lies there when a build takes the lock was left
by a build that was killed, and is removed.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cardproof.core.errors import InputError
from cardproof.core.files import cache_folder, show_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from filelock import BaseFileLock

SUFFIX = ".cardproof-new"
"""End of the name of a file that is not yet in its place; a dot at its start keeps it out of sites."""

PATIENCE = 60.0
"""Seconds to wait for another build's writing, which takes milliseconds; longer than that it hangs."""


@contextmanager
def writing(site: Path) -> Iterator[None]:
    """Hold the lock of a site, which its folder of evidence stands for, while the block runs.

    The lock lies in the user's cache folder, not in the site. Where that cannot be written there is no lock: then every
    file is whole all the same, and only two builds at once may mix pages of theirs. Raises InputError where another
    build holds the lock for more than :data:`PATIENCE` seconds.
    """
    lock = _acquired(site)
    try:
        yield
    finally:
        if lock:
            lock.release()


def replace_files(texts: Mapping[Path, str]) -> None:
    """Give files new texts: all are written beside their places first, then renamed. Call it under the lock."""
    staged: dict[Path, Path] = {}
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            beside = staged[path] = path.with_name(f".{path.name}.{os.getpid()}{SUFFIX}")
            beside.write_text(text, encoding="utf-8", newline="\n")
        for path, beside in staged.items():
            beside.replace(path)
    finally:
        for beside in staged.values():
            beside.unlink(missing_ok=True)


def sweep(site: Path, folders: Iterable[Path]) -> None:
    """Remove what killed builds left in these folders; a lock is taken only where something is there."""
    found = [path for folder in folders for path in _unplaced(folder)]
    if found:
        with writing(site):
            for path in found:
                path.unlink(missing_ok=True)


def _unplaced(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder that were never renamed."""
    for place, _, names in os.walk(folder):
        yield from (Path(place, name) for name in names if name.endswith(SUFFIX) and name.startswith("."))


def _acquired(site: Path) -> BaseFileLock | None:
    """Wait for the lock of a site and take it; None where there can be none."""
    from filelock import FileLock, Timeout  # imported by builds that write, and not by warm ones

    folder = cache_folder()
    name = hashlib.sha256(str(site.resolve()).encode()).hexdigest()[:24]
    lock = FileLock(folder / f"{name}.lock")
    with suppress(OSError, NotImplementedError):  # a folder that cannot be written, a file system without locks
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=PATIENCE)
        except Timeout:
            message = f"another build has been writing into the site of {show_path(site)} for {PATIENCE:.0f} seconds"
            raise InputError(f"{message}: end it, and try again") from None
        return lock
    return None

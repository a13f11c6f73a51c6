"""Files of a site: their paths as reports show them, new content whole or not at all, one build at a time.

Files are written beside their places only by whoever holds the site's lock. So what lies there when a build takes the
lock was left by a build that was killed, and is removed.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cardproof.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from filelock import BaseFileLock

SUFFIX = ".cardproof-new"
"""End of the name of a file that is not yet in its place; a dot at its start keeps it out of sites."""

PATIENCE = 60.0
"""Seconds to wait for another build's writing, which takes milliseconds; longer than that it hangs."""


def show_path(path: Path) -> str:
    """Write a path as people pass it on: relative to the working directory where it lies below it, with ``/``."""
    here = os.getcwd().replace(os.sep, "/")  # noqa: PTH109  (for each file of a site; Path.cwd takes five times as long)
    text = path.as_posix()
    absolute = text if text.startswith("/") or path.is_absolute() else f"{here}/{text}"
    if absolute == here:
        return "."
    return absolute[len(here) + 1 :] if absolute.startswith(f"{here}/") else text


def cache_folder() -> Path:
    """Return the folder of what can be made again: below ``XDG_CACHE_HOME``, or ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cardproof"


def replace_files(contents: Mapping[Path, str | bytes]) -> None:
    """Give files new content: all are written beside their places first, then renamed. Raises OSError.

    An error leaves the old files whole. Their modes stay; of a path that is a link, the file that it leads to is
    replaced.
    """
    staged: list[tuple[Path, Path]] = []
    try:
        for path, content in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            target = path.resolve()
            handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=SUFFIX)
            beside = Path(name)
            staged.append((beside, target))
            with os.fdopen(handle, "wb") as stream:
                stream.write(content.encode() if isinstance(content, str) else content)
            beside.chmod(target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask())
        for beside, target in staged:
            beside.replace(target)
    finally:
        for beside, _ in staged:
            beside.unlink(missing_ok=True)


def write_report(path: Path, text: str) -> None:
    """Write a report into a file, whose folder is made if it is missing; into a device or pipe as it is.

    What UTF-8 cannot hold, such as bytes of a file's name that are no text, is written as escapes. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    data = text.encode("utf-8", "backslashreplace")
    if path.exists() and not path.is_file():
        with path.open("wb") as stream:
            stream.write(data)
    else:
        replace_files({path: data})


def _umask() -> int:
    """Return which bits new files do not get; it can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


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

"""Digests and stamps of the inputs of results, made without importing them."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from stat import S_ISREG
from typing import Any

ABSENT = "absent"
"""The stamp of a missing file."""

RACY = 2 * 10**9
"""A file younger than this (nanoseconds) may change again within one tick of the clock: it is compared by content."""


def digest_of_file(path: Path) -> str:
    """Return ``sha256:<hex>`` of a file. Raises OSError."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def digest_of_large_file(path: Path) -> str:
    """Return the digest of a file that is asked for often; it is read again once it has changed. Raises OSError."""
    found = path.stat()
    if found.st_mtime_ns > time.time_ns() - RACY:
        return digest_of_file(path)
    return _kept_digest(path.absolute(), found.st_mtime_ns, found.st_size, found.st_ino)


@cache
def _kept_digest(path: Path, *stamp: int) -> str:
    return digest_of_file(path)


def digest_of_files(files: Iterable[Path]) -> str:
    """Return ``sha256:…`` over the names and contents of files, in the order given."""
    total = hashlib.sha256()
    for path in files:
        total.update(path.name.encode() + b"\0")
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return f"sha256:{total.hexdigest()}"


@cache
def digest_of_distribution(name: str) -> str:
    """Return ``name version sha256:…`` of an installed distribution, from its version and its ``RECORD``, if any."""
    from importlib.metadata import distribution  # a warm build needs no versions

    found = distribution(name)
    record = found.read_text("RECORD") or ""
    return f"{name} {found.version} sha256:{hashlib.sha256(record.encode()).hexdigest()}"


def digest_of_package(folder: Path) -> str:
    """Return ``sha256:…`` over the paths and contents of the Python files in a package's folder."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        text = path.read_bytes().replace(b"\r\n", b"\n")  # a checkout with other line ends is the same code
        total.update(path.relative_to(folder).as_posix().encode() + b"\0" + hashlib.sha256(text).digest())
    return f"sha256:{total.hexdigest()}"


def digest_of_data(data: Any) -> str:
    """Return ``sha256:…`` of plain data; the order of its keys does not count."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


class Stamps:
    """Stamps of files: size, time of change, and SHA-256; each file is read once."""

    def __init__(self) -> None:
        self._now = time.time_ns()
        self.unchanged = cache(self._unchanged)
        self.digest = cache(self._digest)

    def stamp(self, path: Path | str) -> str:
        try:
            found = Path(path).stat()
        except (OSError, ValueError):
            return ABSENT
        when = found.st_mtime_ns if found.st_mtime_ns < self._now - RACY else 0
        return f"{found.st_size} {when} {self.digest(str(path))}"

    def _unchanged(self, path: str, stamp: str) -> bool:
        """Return whether a file is as it was when it got this stamp."""
        try:
            found = os.stat(path)  # noqa: PTH116  (for each file of a site)
        except (OSError, ValueError):  # a name that no file can have
            return stamp == ABSENT
        size, when, digest = stamp.split(" ") if stamp.count(" ") == 2 else ("", "", "")
        same_size = str(found.st_size) == size
        return same_size and (str(found.st_mtime_ns) == when or self.digest(path) == digest)

    def _digest(self, path: str) -> str:
        """Return the SHA-256 of a file, or of the names in a folder; empty if it cannot be read."""
        try:
            if Path(path).is_file():
                content = Path(path).read_bytes()
            else:
                with os.scandir(path) as files:  # a site may have a folder for each model; fails for a pipe
                    content = "\0".join(sorted(file.name for file in files)).encode()
        except OSError:
            return ""
        return hashlib.sha256(content).hexdigest()


def stamp_of_tree(top: Path) -> list[tuple[str, int, int]]:
    """Return name, size and time of change of a file, or of all files below a folder, to notice changed code."""
    files = [str(top)] if top.is_file() else []
    for folder, folders, names in os.walk(top):
        folders[:] = [name for name in folders if name != "__pycache__"]
        files += [f"{folder}/{name}" for name in names]
    found = []
    for name in sorted(files):
        with suppress(OSError):  # removed meanwhile
            state = os.stat(name)  # noqa: PTH116  (for each file of the package)
            if S_ISREG(state.st_mode):
                found.append((name, state.st_size, state.st_mtime_ns))
    return found

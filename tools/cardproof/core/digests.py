"""Digests of what a measurement depends on, made without importing it."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import TYPE_CHECKING, Any

from cardproof.core.packages import record_of, version_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def digest_of_files(files: Iterable[Path]) -> str:
    """Return ``sha256:…`` over the names and contents of files, in the order given."""
    total = hashlib.sha256()
    for path in files:
        total.update(path.name.encode() + b"\0")
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return f"sha256:{total.hexdigest()}"


@cache
def digest_of_distribution(name: str) -> str:
    """Return ``name version sha256:…`` of an installed distribution, from its version and its record of files.

    An editable or hand-made installation may have no record; then the version alone stands for it.
    """
    record = record_of(name)
    return f"{name} {version_of(name)} sha256:{hashlib.sha256(record.encode()).hexdigest()}"


def digest_of_package(folder: Path) -> str:
    """Return ``sha256:…`` over the Python files of a package's folder, with their places in it."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        text = path.read_bytes().replace(b"\r\n", b"\n")  # a checkout with other line ends is the same code
        total.update(path.relative_to(folder).as_posix().encode() + b"\0" + hashlib.sha256(text).digest())
    return f"sha256:{total.hexdigest()}"


def digest_of_data(data: Any) -> str:
    """Return ``sha256:…`` of plain data, whatever the order of its keys."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"

"""What this machine lets a build use: cores and memory."""

from __future__ import annotations

import os
from pathlib import Path

MEMORY = Path("/proc/meminfo")
LIMIT = Path("/sys/fs/cgroup/memory.max")
USED = Path("/sys/fs/cgroup/memory.current")
"""Limit of the container and what it uses, where there is one (control groups, version 2)."""


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def available_memory() -> int | None:
    """Return how many bytes may be used before the system swaps or ends the container; None where it is not told."""
    found = [bytes_ for bytes_ in (_of_system(), _of_container()) if bytes_ is not None]
    return min(found) if found else None


def _of_system() -> int | None:
    try:
        lines = MEMORY.read_text().splitlines()
    except OSError:
        return None
    available = next((line for line in lines if line.startswith("MemAvailable:")), "")
    return int(available.split()[1]) * 1024 if available else None


def _of_container() -> int | None:
    try:
        return max(0, int(LIMIT.read_text()) - int(USED.read_text()))
    except (OSError, ValueError):  # no such files, or no limit: ``max``
        return None

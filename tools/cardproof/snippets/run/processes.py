"""What a page leaves: find, measure and kill its processes, whatever their group and session; remove its folder."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import time
from collections.abc import Collection
from pathlib import Path

_PROC = Path("/proc")
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)


def descendants(pid: int, spare: Collection[int] = ()) -> list[int]:
    """Return the living descendants of a process, parents first; without zombies, and without those to spare."""
    children: dict[int, list[int]] = {}
    zombies = set()
    for child, parent, state in _process_table():
        if child not in spare:
            children.setdefault(parent, []).append(child)
        if state == "Z":
            zombies.add(child)
    found = [pid]
    for parent in found:
        found += children.get(parent, [])
    return [child for child in found[1:] if child not in zombies]


def _process_table() -> list[tuple[int, int, str]]:
    if not _PROC.is_dir():
        return _table_of_ps()
    found = []
    for name in os.listdir(_PROC):  # noqa: PTH208 - several times a second: no Path objects
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
                state, parent = file.read().rpartition(b") ")[2].split(b" ", 2)[:2]
                found.append((int(name), int(parent), state.decode()))
    return found


def _table_of_ps() -> list[tuple[int, int, str]]:
    """Return the same for systems without ``/proc``."""
    command = ["ps", "-A", "-o", "pid=,ppid=,state="]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)  # nosec B607  # where PATH has it
    rows = (line.split() for line in listed.stdout.splitlines())
    return [(int(row[0]), int(row[1]), row[2][0]) for row in rows if len(row) == 3]


def memory(pids: list[int]) -> int:
    """Return the bytes of memory that processes hold for themselves, pages that they share counted in each."""
    return sum(_kilobytes(pid, "status", (b"RssAnon:", b"RssShmem:")) for pid in pids) * 1024


def proportional_memory(pids: list[int]) -> int:
    """Return the bytes of memory of processes, each shared page counted once; slower than ``memory``."""
    return sum(_kilobytes(pid, "smaps_rollup", (b"Pss_Anon:", b"Pss_Shmem:")) for pid in pids) * 1024


def _kilobytes(pid: int, name: str, keys: tuple[bytes, ...]) -> int:
    """Return the sum of some lines; another line has the process's name, which may be any bytes but line feeds."""
    with contextlib.suppress(OSError):
        lines = (_PROC / str(pid) / name).read_bytes().split(b"\n")
        return sum(int(line.split()[1]) for line in lines if line.startswith(keys))
    return 0


def kill_descendants(pid: int, spare: Collection[int] = (), seconds: float = 5.0) -> None:
    """Kill all descendants of a process, except those to spare and their descendants.

    They are stopped first, until no new one appears: some fork faster than they can be killed.
    """
    end = time.monotonic() + seconds
    while (found := descendants(pid, spare)) and time.monotonic() < end:
        stopped: set[int] = set()
        while new := set(found) - stopped:
            _signal(new, signal.SIGSTOP)
            stopped |= new
            found = descendants(pid, spare)
        _signal(stopped, signal.SIGKILL)


def reap() -> list[tuple[int, int]]:
    """Return id and wait status of this process's children that have ended."""
    ended = []
    with contextlib.suppress(ChildProcessError):
        while (child := os.waitpid(-1, os.WNOHANG))[0]:
            ended.append(child)
    return ended


def close_descriptors(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _signal(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def remove_folder(folder: Path) -> bool:
    """Remove a folder that no process uses any more, also with changed permissions, and return whether it is gone.

    Links are removed and not followed, closed folders are opened, and any depth is one loop with one descriptor.
    """
    try:
        if folder.is_dir() and not folder.is_symlink():
            folder.chmod(stat.S_IRWXU)
            _empty_folder(os.open(folder, _FOLDER))
            folder.rmdir()
        else:
            folder.unlink(missing_ok=True)
    except OSError:
        return False
    return True


def _empty_folder(here: int) -> None:
    """Remove all that is in an open folder, and close it."""
    above: list[str] = []
    try:
        while True:
            below = _remove_files(here)
            if below is not None:
                os.chmod(below, stat.S_IRWXU, dir_fd=here)
                above.append(below)
                here = _enter_folder(here, below)
            elif above:
                here = _enter_folder(here, "..")
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


def _enter_folder(here: int, name: str) -> int:
    there = os.open(name, _FOLDER, dir_fd=here)
    os.close(here)
    return there

"""Supervise: a parent of each page's process that adopts all its descendants, and ends them.

If namespaces are permitted, the page's processes live in one of their own: none can leave it, see or signal processes
outside, or outlive its first process. Otherwise the supervisor adopts orphans and kills all its descendants.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import select
import signal
import socket
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal, NoReturn

from msgspec import Struct

from cardproof.snippets.run.confine import confine
from cardproof.snippets.run.files import remove_folder
from cardproof.snippets.run.processes import close_descriptors, kill_descendants, reap

Reach = Literal["all", "network", "none"]
"""Which namespaces are permitted here: of processes, mounts and network; of the network; none."""

END = b"k"
"""Sent by the runner to end the page; a lifeline that closes without it means that the runner is gone."""
STATUS = struct.Struct("i")
"""The page's wait status on the lifeline."""

_NEW_NS, _NEW_USER, _NEW_PID, _NEW_NET = 0x00020000, 0x10000000, 0x20000000, 0x40000000
_PRIVATE, _REC, _NOSUID, _NODEV, _NOEXEC = 1 << 18, 1 << 14, 2, 4, 8
_SET_PDEATHSIG, _SET_CHILD_SUBREAPER = 1, 36
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 0x1
_RUNNER_GONE, _NOT_PERMITTED = 3, 4


class SupervisedPage(Struct, frozen=True):
    lifeline: socket.socket
    """The supervisor's connection with the runner."""
    descriptors: tuple[int, ...]
    """Descriptors that only the page's process keeps open."""
    folder: Path
    """The page's temporary folder; removed here if the runner is gone."""
    reach: Reach
    network: bool
    """The page may need the network."""
    become_page: Callable[[], NoReturn]


def supervise(page: SupervisedPage) -> NoReturn:
    """Run the page below this process until the runner ends it; kill its processes, then exit."""
    adopt_orphans()
    _enter_namespaces(page.reach, page.network)
    if page.reach == "all":
        ended_by_runner = _run_in_namespace(page)
    else:
        ended_by_runner = _run(page)
        kill_descendants(os.getpid())
    if not ended_by_runner:
        remove_folder(page.folder)
    os._exit(0)


def _run_in_namespace(page: SupervisedPage) -> bool:
    """Fork the first process of the namespace, and wait until it and all others in it are gone."""
    first = os.fork()
    if first == 0:
        _die_with_parent()
        _mount_own()
        os._exit(0 if _run(page) else _RUNNER_GONE)
    close_descriptors(*page.descriptors)
    return os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]) != _RUNNER_GONE


def _run(page: SupervisedPage) -> bool:
    """Fork the page, adopt and reap orphans, report the page's end; return whether the runner ended it."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    child = os.fork()
    if child == 0:
        _die_with_parent()
        page.lifeline.close()
        close_descriptors(reader, writer)
        page.become_page()
    close_descriptors(*page.descriptors)
    while True:
        ready = select.select([page.lifeline.fileno(), reader], [], [])[0]
        if reader in ready:
            os.read(reader, 4096)
        for pid, status in reap():
            if pid == child:
                with contextlib.suppress(OSError):
                    page.lifeline.send(STATUS.pack(status))
        if page.lifeline.fileno() in ready:
            try:
                return page.lifeline.recv(1) == END
            except OSError:
                return False


def permitted_reach() -> Reach:
    """Find out in a child process which namespaces are permitted here."""
    if not Path("/proc/self/ns/pid").exists():
        return "none"
    reaches: tuple[Reach, ...] = ("all", "network")
    return next((reach for reach in reaches if _succeeds(partial(_try, reach))), "none")


def is_exposed(pid: int) -> bool:
    """Find out in a child process whether a page could read another process of its user."""
    return _succeeds(partial(_read, pid))


def _read(pid: int) -> None:
    confine()
    Path(f"/proc/{pid}/environ").read_bytes()


def _try(reach: Reach) -> None:
    _enter_namespaces(reach, False)
    if reach == "all" and not _succeeds(_mount_own):
        raise OSError("mounts are not permitted")


def _succeeds(action: Callable[[], None]) -> bool:
    child = os.fork()
    if child == 0:
        try:
            action()
        except BaseException:
            os._exit(_NOT_PERMITTED)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def _enter_namespaces(reach: Reach, network: bool) -> None:
    """Enter new namespaces; the process namespace begins with the next child. Raises OSError."""
    flags = (_NEW_PID | _NEW_NS if reach == "all" else 0) | (0 if network or reach == "none" else _NEW_NET)
    if not flags:
        return
    user, group = os.getuid(), os.getgid()
    try:
        _call("unshare", flags)
    except PermissionError:
        _call("unshare", flags | _NEW_USER)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    if flags & _NEW_NET:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            fcntl.ioctl(probe, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP))


def _mount_own() -> None:
    """Mount an own ``/proc``, and a ``/dev/shm`` as big as the memory. Raises OSError."""
    _call("mount", b"none", b"/", None, _REC | _PRIVATE, None)
    _call("mount", b"proc", b"/proc", b"proc", _NOSUID | _NODEV | _NOEXEC, None)
    if Path("/dev/shm").is_dir():  # nosec B108  # an own one is mounted there
        _call("mount", b"tmpfs", b"/dev/shm", b"tmpfs", _NOSUID | _NODEV, b"mode=1777")


def adopt_orphans() -> None:
    """Become the parent of orphaned descendants, if the system supports that."""
    if Path("/proc/self").exists():
        _call("prctl", _SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _die_with_parent() -> None:
    if Path("/proc/self").exists():
        _call("prctl", _SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def _call(name: str, *args: int | bytes | None) -> None:
    """Call a function of the C library that returns -1 for an error."""
    function = getattr(ctypes.CDLL(None, use_errno=True), name)
    longs = [ctypes.c_ulong(arg) if isinstance(arg, int) else arg for arg in args]
    if function(*longs) == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")

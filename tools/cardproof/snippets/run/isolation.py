"""Isolation: namespaces, capabilities and Landlock, which keep a page's process from all others of its user.

A page may read and write the files of the user who builds. Other processes of that user hold what the page's own
environment does not: tokens of the build, of the shell that started it, of the CI system.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from cardproof.snippets.run.protocol import Reach

_SET_DUMPABLE, _DROP_BOUND, _SET_NO_NEW_PRIVS = 4, 24, 38
_CAPABILITY_VERSION = 0x20080522
_FILES = 0b11111
"""The capabilities that concern files only; those that a user does not hold are not gained."""
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""System calls of Landlock, the same on all architectures."""
_VERSION, _PATH_BENEATH, _REFER, _SIGNALS = 1, 1, 1 << 13, 2
REACHES: tuple[Reach, ...] = ("none", "network", "all")
_NEW_NS, _NEW_USER, _NEW_PID, _NEW_NET = 0x00020000, 0x10000000, 0x20000000, 0x40000000
_PRIVATE, _REC, _NOSUID, _NODEV, _NOEXEC = 1 << 18, 1 << 14, 2, 4, 8
_SET_PDEATHSIG, _SET_CHILD_SUBREAPER = 1, 36
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 0x1
_NOT_PERMITTED = 4


def confine() -> None:
    """Give up access to processes outside, as far as the system supports that; permanently, and for descendants."""
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None, use_errno=True)
    library.prctl(_SET_NO_NEW_PRIVS, *map(ctypes.c_ulong, (1, 0, 0, 0)))  # neither sudo nor its like
    for capability in range(5, 64):
        library.prctl(_DROP_BOUND, *map(ctypes.c_ulong, (capability, 0, 0, 0)))
    header = ctypes.create_string_buffer(struct.pack("Ii", _CAPABILITY_VERSION, 0))
    held = ctypes.create_string_buffer(24)
    library.capget(header, held)
    low = struct.unpack("6I", held)[1] & _FILES
    library.capset(header, ctypes.create_string_buffer(struct.pack("6I", low, low, 0, 0, 0, 0)))
    _enter_domain(library)


def landlock_version() -> int:
    """Return the version of Landlock here; -1 if there is none. 2 keeps processes from reading, 6 from signalling."""
    version: int = ctypes.CDLL(None).syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION)
    return version


def _enter_domain(library: ctypes.CDLL) -> None:
    """Enter a Landlock domain that restricts no files: processes outside cannot be read, nor signalled (Linux 6.12)."""
    version = landlock_version()
    if version < 2:
        return
    rules = struct.pack("3Q", 0, 0, _SIGNALS) if version >= 6 else struct.pack("Q", _REFER)
    ruleset = library.syscall(_CREATE_RULESET, rules, ctypes.c_size_t(len(rules)), 0)
    if ruleset < 0:
        return
    if version < 6:  # at least one right must be named; it is granted everywhere
        root = os.open("/", os.O_PATH)
        library.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", _REFER, root), 0)
        os.close(root)
    library.syscall(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


_lock = threading.Lock()
_hiding = 0


@contextlib.contextmanager
def hide_process() -> Iterator[None]:
    """Hide this process from others of its user, for systems where ``confine`` does not; may be nested."""
    global _hiding
    library = ctypes.CDLL(None)
    with _lock:
        _hiding += 1
        library.prctl(_SET_DUMPABLE, *map(ctypes.c_ulong, (0, 0, 0, 0)))
    try:
        yield
    finally:
        with _lock:
            _hiding -= 1
            if not _hiding:
                library.prctl(_SET_DUMPABLE, *map(ctypes.c_ulong, (1, 0, 0, 0)))


def permitted_reach() -> Reach:
    """Find out in a child process which namespaces are permitted here."""
    if not Path("/proc/self/ns/pid").exists():
        return "none"
    return next(
        (reach for reach in reversed(REACHES[1:]) if _succeeds_in_child(partial(_try_namespaces, reach))), "none"
    )


def may_read(pid: int) -> bool:
    """Return whether a confined process could read another of its user; found out in a child process."""
    return _succeeds_in_child(partial(_read_environment, pid))


def _read_environment(pid: int) -> None:
    """Do what a page could do to read another process of its user. Raises OSError."""
    confine()
    Path(f"/proc/{pid}/environ").read_bytes()


def _try_namespaces(reach: Reach) -> None:
    enter_namespaces(reach, False)
    if reach == "all" and not _succeeds_in_child(mount_own):
        raise OSError("mounts are not permitted")


def _succeeds_in_child(action: Callable[[], None]) -> bool:
    child = os.fork()
    if child == 0:
        try:
            action()
        except BaseException:
            os._exit(_NOT_PERMITTED)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def enter_namespaces(reach: Reach, network: bool) -> None:
    """Enter new namespaces; the process namespace begins with the next child. Raises OSError."""
    flags = (_NEW_PID | _NEW_NS if reach == "all" else 0) | (0 if network or reach == "none" else _NEW_NET)
    if not flags:
        return
    user, group = os.getuid(), os.getgid()
    try:
        _call_libc("unshare", flags)
    except PermissionError:
        _call_libc("unshare", flags | _NEW_USER)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    if flags & _NEW_NET:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            fcntl.ioctl(probe, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP))


def mount_own() -> None:
    """Mount an own ``/proc``, and a ``/dev/shm`` as big as the memory. Raises OSError."""
    _call_libc("mount", b"none", b"/", None, _REC | _PRIVATE, None)
    _call_libc("mount", b"proc", b"/proc", b"proc", _NOSUID | _NODEV | _NOEXEC, None)
    if Path("/dev/shm").is_dir():  # nosec B108  # an own one is mounted there
        _call_libc("mount", b"tmpfs", b"/dev/shm", b"tmpfs", _NOSUID | _NODEV, b"mode=1777")


def adopt_orphans() -> None:
    """Become the parent of orphaned descendants, if the system supports that."""
    if Path("/proc/self").exists():
        _call_libc("prctl", _SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent() -> None:
    if Path("/proc/self").exists():
        _call_libc("prctl", _SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def _call_libc(name: str, *args: int | bytes | None) -> None:
    """Call a function of the C library that returns -1 for an error."""
    function = getattr(ctypes.CDLL(None, use_errno=True), name)
    longs = [ctypes.c_ulong(arg) if isinstance(arg, int) else arg for arg in args]
    if function(*longs) == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")

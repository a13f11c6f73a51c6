"""Confine: what keeps a page's process from the memory and environment of other processes, and from signalling them.

A page may read and write the files of the user who builds. Other processes of that user hold what the page's own
environment does not: tokens of the build, of the shell that started it, of the CI system.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import sys
import threading
from collections.abc import Iterator

_SET_DUMPABLE, _DROP_BOUND, _SET_NO_NEW_PRIVS = 4, 24, 38
_CAPABILITY_VERSION = 0x20080522
_FILES = 0b11111
"""The capabilities that speak of files only; those that a user does not hold are not gained."""
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""System calls of Landlock, the same on all architectures."""
_VERSION, _PATH_BENEATH, _REFER, _SIGNALS = 1, 1, 1 << 13, 2


def confine() -> None:
    """Give up all power over processes outside, as far as the system supports that; for good, and for descendants."""
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
def hidden() -> Iterator[None]:
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

"""Memory settings of the process."""

from __future__ import annotations

import ctypes
import platform


def keep_memory() -> bool:
    """Let glibc keep freed memory instead of returning it to the system after each layer.

    At batch 16 a forward otherwise waits for 375,000 page faults. Call it before memory is used; the process then never
    shrinks. Returns whether the C library accepted the settings.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    trim_threshold, top_pad, mmap_max, arena_max = -1, -2, -4, -8  # malloc.h of glibc
    mallopt = ctypes.CDLL(None).mallopt
    # one arena: those of further threads return memory all the same, and each keeps its own
    values = ((mmap_max, 0), (trim_threshold, 2**31 - 1), (top_pad, 64 * 2**20), (arena_max, 1))
    accepted = [mallopt(option, value) == 1 for option, value in values]  # a list: all are set, even if one fails
    return all(accepted)

"""Streams: standard output and error of a page's process, in order, and flushed whatever the code did to them."""

from __future__ import annotations

import ctypes
import fcntl
import io
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

HIGH = 500
"""Descriptors that the runner keeps for itself are at least this, out of the way of ``os.closerange(3, 256)``."""


class _Output(io.FileIO):
    """Standard output or error, which asks for its turn before it writes."""

    take_turn: Callable[[int], None]

    def write(self, data: Any) -> int:
        self.take_turn(self.fileno())
        return super().write(data)


class Streams:
    """The descriptors 0, 1 and 2 of a page's process and the text streams over them.

    Output and errors are two pipes. Before Python's streams turn from one to the other, ``settle`` waits until the
    reader has taken what was written so far, so that the order of the two is kept.
    """

    def __init__(self, output: int, errors: int, settle: Callable[[], None]) -> None:
        self._settle = settle
        self._last: int | None = None
        self._reopened: set[str] = set()
        self._told: set[str] = set()
        self._flush_c = ctypes.CDLL(None).fflush
        self._kept = {1: _keep(output, 1), 2: _keep(errors, 2)}
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        for name, descriptor in (("stdout", 1), ("stderr", 2)):
            raw = _Output(descriptor, "w", closefd=False)
            raw.take_turn = self._turn
            strictness = "backslashreplace" if descriptor == 2 else "strict"
            stream = io.TextIOWrapper(io.BufferedWriter(raw), "utf-8", strictness, line_buffering=True)
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
        sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), "utf-8")

    def flush(self) -> None:
        """Write what Python and C have in their buffers; open descriptors again that the code closed."""
        for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
            _try_to_flush(stream)
        self._flush_c(None)
        for descriptor, kept in self._kept.items():
            if not _is_open(descriptor) and _is_open(kept):
                os.dup2(kept, descriptor)
                self._reopened.add(f"file descriptor {descriptor}")
        self._last = None

    def closed(self) -> tuple[str, ...]:
        """Say what the code closed since this was last asked."""
        streams = {name: getattr(sys, name) for name in ("stdout", "stderr")}
        closed = {f"sys.{name}" for name, stream in streams.items() if getattr(stream, "closed", stream is None)}
        new = (closed | self._reopened) - self._told
        self._told |= new
        return tuple(f"the code closed {name}" for name in sorted(new))

    def _turn(self, descriptor: int) -> None:
        if self._last not in (None, descriptor):
            self._settle()
        self._last = descriptor


def _keep(source: int, descriptor: int) -> int:
    """Put a descriptor in its place and return a copy out of the way."""
    kept = fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, HIGH)
    os.dup2(source, descriptor)
    os.close(source)
    return kept


def _try_to_flush(stream: Any) -> None:
    try:
        stream.flush()
    except Exception:  # closed, replaced, full: the code's own doing
        return


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True

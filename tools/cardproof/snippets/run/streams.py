"""Streams: standard output and error of a page's process, in order, and flushed even if the code closed them."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import io
import os
import sys
from collections.abc import Callable, Container
from types import FrameType
from typing import Any

_HIGH = 500
"""Lowest descriptor that the runner reserves, so that ``os.closerange(3, 256)`` does not close it."""

MOST_NOTED = 2**18
"""Characters of a statement's output whose origin is noted."""
MOST_PARTS = 5000
"""The same of changes between such places; with more, none is noted."""


class _Output(io.FileIO):
    announce: Callable[[int], None]

    def write(self, data: Any) -> int:
        self.announce(self.fileno())
        return super().write(data)


class _Text(io.TextIOWrapper):
    note: Callable[[str], None]

    def write(self, text: str) -> int:
        self.note(text)
        return super().write(text)


class Streams:
    """The descriptors 0, 1 and 2 of a page's process and the text streams over them.

    Output and errors are two pipes. Before Python's streams switch from one to the other, ``settle`` waits until the
    reader has read all output so far, so that the order of the two is kept.
    """

    def __init__(self, output: int, errors: int, settle: Callable[[], None]) -> None:
        self._settle = settle
        self._last: int | None = None
        self._reopened: set[str] = set()
        self._reported: set[str] = set()
        self._flush_c = ctypes.CDLL(None).fflush
        self.files: Container[str] = ()
        """The page's source files."""
        self._parts: list[tuple[tuple[tuple[str, int], ...], list[str]]] = []
        self._size = 0
        self._kept = {1: move_up(output), 2: move_up(errors)}
        for descriptor, kept in self._kept.items():
            os.dup2(kept, descriptor)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        for name, descriptor in (("stdout", 1), ("stderr", 2)):
            raw = _Output(descriptor, "w", closefd=False)
            raw.announce = self._switch_stream
            strictness = "backslashreplace" if descriptor == 2 else "strict"
            stream = _Text(io.BufferedWriter(raw), "utf-8", strictness, line_buffering=True)
            stream.note = self._note_text if descriptor == 1 else lambda _: None
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
        sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), "utf-8")

    def flush(self) -> None:
        """Flush the buffers of Python and C; reopen descriptors that the code closed."""
        streams: tuple[Any, ...] = (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
        for stream in streams:
            with contextlib.suppress(Exception):  # closed, replaced or full because of the code
                stream.flush()
        self._flush_c(None)
        for descriptor, kept in self._kept.items():
            if not _is_open(descriptor) and _is_open(kept):
                os.dup2(kept, descriptor)
                self._reopened.add(f"file descriptor {descriptor}")
        self._last = None

    def closed(self) -> tuple[str, ...]:
        """Return warnings about streams that the code closed since the last call."""
        streams = {name: getattr(sys, name) for name in ("stdout", "stderr")}
        closed = {f"sys.{name}" for name, stream in streams.items() if getattr(stream, "closed", stream is None)}
        new = (closed | self._reopened) - self._reported
        self._reported |= new
        return tuple(f"the code closed {name}" for name in sorted(new))

    def take_output(self) -> list[tuple[tuple[tuple[str, int], ...], str]]:
        """Return and forget what was written to Python's standard output, with the lines of the page that ran then."""
        parts = [(lines, "".join(texts)) for lines, texts in self._parts]
        self._parts, self._size = [], 0
        return parts

    def _note_text(self, text: str) -> None:
        self._size += len(text)
        if self._size > MOST_NOTED or len(self._parts) > MOST_PARTS:
            self._parts, self._size = [], MOST_NOTED
            return
        lines: dict[tuple[str, int], None] = {}
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            if frame.f_code.co_filename in self.files:
                lines[frame.f_code.co_filename, frame.f_lineno] = None
            frame = frame.f_back
        place = tuple(lines)
        if not self._parts or self._parts[-1][0] != place:
            self._parts.append((place, []))
        self._parts[-1][1].append(text)

    def _switch_stream(self, descriptor: int) -> None:
        if self._last not in (None, descriptor):
            self._settle()
        self._last = descriptor


def move_up(descriptor: int) -> int:
    """Move a descriptor to a number that code rarely closes."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _HIGH)
    os.close(descriptor)
    return moved


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True

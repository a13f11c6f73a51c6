"""Turns: the runner's orders to a page's process, one at a time, and the page's replies.

That a statement has ended is not believed because a message says so: code of the page runs in the same process, and
can find and call whatever sends it. The runner asks the kernel. All code of the page, and all helpers, which that code
may have replaced, are called by ``take_turns`` through functions of C, so deeper on the main thread's stack than its
own wait for the next order. A reply counts once the kernel shows the main thread in that wait: at the depth that it had
before any code of the page ran, and asking for as many bytes as the order before said, a number drawn for this order.
A message from inside a statement, from a thread, or from another process does not change what the kernel shows.
"""

from __future__ import annotations

import marshal
import os
import socket
import struct
import sys
import time
from collections.abc import Callable
from functools import reduce
from inspect import CO_COROUTINE
from types import CodeType
from typing import Any, NoReturn

from cardproof.snippets.run.messages import HEADER, LARGEST, BrokenChannelError, Reply, decoded, framed

CHANNEL_LOST = 121
"""Exit status if the code closed the descriptors of the runner."""

_FIRST_SIZE = 4096
_NONCE = 16
_CREDENTIALS = struct.Struct("3i")
_PATIENCE = 20.0
"""Seconds that a main thread gets from its reply to its wait: other threads may hold the interpreter."""
_FIRST_PATIENCE = 1.0
"""The same before any code of the page ran; after it, the system is taken for one that does not show the wait."""
_TOLERANCE = 256
"""Bytes of the stack: the C library uses some more once there are threads; code of the page needs 400 and more."""
_AT_ONCE = 10
"""How often the kernel is asked at once: the wait begins some microseconds after the reply."""

Order = tuple[Any, ...]
"""What to do, with plain values."""


def untraced(action: Callable[[], NoReturn]) -> NoReturn:
    """Do something that ends the process, where no trace function sees it, which could change its variables.

    Python does not trace inside of a trace function, except for what it is told to (``sys.call_tracing``).
    """

    def begin(*_: object) -> NoReturn:
        sys.settrace(None)
        action()

    sys.settrace(begin)
    (lambda: None)()
    raise AssertionError("not traced")


def take_turns(
    descriptor: int,
    enter: Callable[[Order, None], dict[str, Any]],
    wait: Callable[[Any], None],
    leave: Callable[[Order, BaseException | None], bytes],
    end_fork: Callable[[Order, BaseException | None], NoReturn],
) -> NoReturn:
    """Read an order, run its code, reply; for good.

    One frame, whose functions are kept in its own variables: code of the page that replaces functions, of this project
    or of Python, does not change what it does. It calls nothing of Python but through functions of C.
    """
    read, write, leave_now, getpid, through = os.read, os.write, os._exit, os.getpid, map
    loads, run, traced, call = marshal.loads, eval, sys.call_tracing, reduce
    number, size_of, kind, octets = int.from_bytes, len, type, bytes
    view, any_error, broken, lost, coroutine = memoryview, BaseException, OSError, CHANNEL_LOST, CO_COROUTINE
    exits, whole = SystemExit, int
    size, pid = _FIRST_SIZE, getpid()
    while True:
        data = b""
        while size_of(data) < 4 or size_of(data) < 4 + number(data[:4], "big"):
            try:
                for part in through(read, (descriptor,), (size,)):  # not a call: its depth would vary
                    if not part:
                        leave_now(lost)
                    data += part
            except broken:
                leave_now(lost)
        size, nonce, code, order = loads(data[4:])
        error = None
        names = call(enter, (None,), order)
        try:
            if code is not None:
                result = traced(run, (code, names))
                if code.co_flags & coroutine:
                    traced(wait, (result,))
        except any_error as raised:
            error = raised
        if getpid() != pid:
            call(end_fork, (error,), order)
        flag = b"\0" if error is None else b"\1"
        if kind(error) is exits:
            status = error.code  # type: ignore[union-attr]
            if status is None or (kind(status) is whole and status == 0):
                flag = b"\2"
            status = None
        body = call(leave, (error,), order)
        if kind(body) is not octets:
            leave_now(lost)
        rest = view(nonce + flag + size_of(body).to_bytes(4, "big") + body)
        while rest:
            try:
                for sent in through(write, (descriptor,), (rest,)):
                    rest = rest[sent:]
            except broken:
                leave_now(lost)
        del rest, body
        error = result = names = code = None


class Turns:
    """The runner's end: gives orders, and takes the replies that the kernel confirms."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._data = bytearray()
        self._nonce = b""
        self._size = _FIRST_SIZE
        self.pid: int | None = None
        """The page's process, once it has replied."""
        self._depth: tuple[int, int] | None = None
        """Number of the system call and stack pointer of the wait, before any code of the page ran."""
        self.replied: float | None = None
        """When a reply arrived that is not confirmed yet."""
        self.is_confirmed = True
        """Whether the kernel shows here how a process waits; otherwise replies are believed."""
        if hasattr(socket, "SO_PASSCRED"):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)

    def give(self, order: Order, code: CodeType | None = None) -> None:
        """Give an order: run the code, if there is one, and do what the order says before and after it."""
        self._nonce = os.urandom(_NONCE)
        self._size = 4096 + int.from_bytes(os.urandom(2), "big")
        self._data.clear()
        self.replied = None
        self._connection.sendall(framed(marshal.dumps((self._size, self._nonce, code, order))))

    def receive(self) -> bool:
        """Read what has arrived; return False at the end of the connection."""
        try:
            data, extra, _, _ = self._connection.recvmsg(1 << 20, 256, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except ConnectionResetError:
            return False
        for level, kind, content in extra:
            if self.pid is None and level == socket.SOL_SOCKET and kind == getattr(socket, "SCM_CREDENTIALS", None):
                self.pid = _CREDENTIALS.unpack(content)[0]
        self._data += data
        return bool(data)

    def reply(self) -> tuple[int, Reply] | None:
        """Return how the statement ended, and the reply; None if it is not complete, or not confirmed yet.

        It ended by itself (0), raised (1), or exited as a program does that has nothing to complain of (2).

        Raises BrokenChannelError for anything else.
        """
        head = _NONCE + 1 + HEADER
        if self._data and not self._data.startswith(self._nonce[: len(self._data)]):
            raise BrokenChannelError("a message that is not this page's")
        if len(self._data) < head:
            return None
        size = int.from_bytes(self._data[head - HEADER : head], "big")
        if size > LARGEST:
            raise BrokenChannelError(f"a message of {size} bytes")
        if len(self._data) > head + size:
            raise BrokenChannelError("more than one reply to an order")
        if len(self._data) < head + size:
            return None
        now = time.monotonic()
        self.replied = self.replied or now
        if self.is_confirmed and not any(self._is_waiting() for _ in range(_AT_ONCE)):
            if now - self.replied < (_PATIENCE if self._depth else _FIRST_PATIENCE):
                return None
            if self._depth is not None:
                raise BrokenChannelError("a statement was reported to have ended that had not")
            self.is_confirmed = False  # the kernel does not show it here
        reply: Reply = decoded(bytes(self._data[head:]), Reply)
        return self._data[_NONCE], reply

    def _is_waiting(self) -> bool:
        """Return whether the page's main thread waits for the next order; the first time, learn how that looks."""
        try:
            with open(f"/proc/{self.pid}/syscall", "rb") as file:  # noqa: PTH123 - twice a statement
                shown = file.read().split()
            if len(shown) != 9:  # it runs, and may need this processor
                os.sched_yield()
                return False
            call, _, _, size, *_, stack, _ = (int(value, 0) for value in shown)
        except (OSError, ValueError):
            self.is_confirmed = self._depth is not None
            return not self.is_confirmed
        if size != self._size:
            return False
        if self._depth is None:
            self._depth = call, stack
        return call == self._depth[0] and abs(stack - self._depth[1]) < _TOLERANCE

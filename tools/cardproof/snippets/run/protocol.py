"""Protocol between the runner and a page's process: small records, sent as a length and JSON.

Nothing that a snippet could write is ever unpickled: what arrives must be a known message with fields of the right
types. There are two connections. On the channel the page sends notes at any time, and waits until the runner has read
them. On the other the runner gives orders, one at a time, and the page replies to each.

That a statement has ended is not believed because a message says so: code of the page runs in the same process, and
can find and call whatever sends it. The runner asks the kernel. All code of the page, and all helpers, which that code
may have replaced, are called by ``follow_orders`` through functions of C, so deeper on the main thread's stack than its
own wait for the next order. A reply counts once the kernel shows the main thread in that wait: at the depth that it had
before any code of the page ran, and asking for as many bytes as the previous order named, a number drawn at random.
A message from inside a statement, from a thread, or from another process does not change what the kernel shows.
"""

from __future__ import annotations

import json
import marshal
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from functools import reduce
from inspect import CO_COROUTINE
from types import CodeType
from typing import Any, Literal, NoReturn

import msgspec.json
from msgspec import Struct, to_builtins

from cardproof.snippets.types import Block

Reach = Literal["all", "network", "none"]
"""Which namespaces are permitted here: of processes, mounts and network; of the network; none."""
END = b"k"
"""Sent by the runner to end the page; a lifeline that closes without it means that the runner is gone."""
STATUS = struct.Struct("i")
"""The page's wait status on the lifeline."""
ACKNOWLEDGED = b"\x06"
STACK_SIGNAL: int = getattr(signal, "SIGRTMAX", 0) and signal.SIGRTMAX - 3
"""The signal at which a page's process writes its stack; 0 if the system has none to spare."""
HEADER = 4
"""Bytes of a frame's length."""
LARGEST = 24 * 2**20
"""Bytes of a message: the largest picture in base64, and some more."""

CHANNEL_LOST = 121
"""Exit status if the code closed the descriptors of the runner."""

_FIRST_SIZE = 4096
_NONCE = 16
_CREDENTIALS = struct.Struct("3i")
_PATIENCE = 20.0
"""Seconds that a main thread gets from its reply to its wait: other threads may hold the interpreter."""
_FIRST_PATIENCE = 1.0
"""The same before any code of the page ran; after it, the system counts as one that does not show the wait."""
_TOLERANCE = 256
"""Bytes of the stack: the C library uses some more once there are threads; code of the page needs 400 and more."""
_AT_ONCE = 10
"""How often the kernel is asked at once: the wait begins some microseconds after the reply."""

Order = tuple[Any, ...]
"""What to do, with plain values."""


class BrokenChannelError(Exception):
    """Bytes from a page's process that are not a message of this page."""


class Task(Struct, frozen=True):
    """The input of a page's process: its blocks and its environment."""

    nonce: str
    blocks: tuple[Block, ...]
    """Without the outputs that they state."""
    placeholders: dict[str, Any]
    environment: dict[str, str]
    folder: str
    """The page's own folder, with ``work``, ``home`` and ``tmp``."""
    search_path: tuple[str, ...]
    seed: int
    memory_bytes: int
    """0: memory is not limited through the process's own limits."""
    file_bytes: int
    output_bytes: int
    random_weights: bool = False
    """Loaders of published weights load nothing, and networks keep the random ones that they were built with."""


class Message(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag=True):
    """A note of the page, or its reply to an order."""


class StreamSwitched(Message, frozen=True):
    """The code is about to write to the other of standard output and standard error."""


class PictureShown(Message, frozen=True):
    """A picture was shown or saved."""

    name: str
    png: str
    """Base64."""


class ProcessReplaced(Message, frozen=True):
    """The process is about to become another program."""

    program: str


Note = StreamSwitched | PictureShown | ProcessReplaced


class Began(Message, frozen=True):
    """The block's names and sources are ready."""


class Ran(Message, frozen=True):
    """A statement has ended, with or without an exception."""

    value: str | None = None
    error: str | None = None
    traceback: str = ""
    line: int | None = None
    parts: tuple[tuple[tuple[int, ...], str], ...] = ()
    """Standard output by the lines of the block that were running when it was written."""
    needs: str | None = None
    """What it asked for and did not get, so that it raised."""
    refused: tuple[str, ...] = ()
    """All that it asked for and did not get."""
    random_weights: bool = False
    """A loader of published weights has loaded nothing, here or earlier."""


class Ended(Message, frozen=True):
    """All output of the block is written."""

    warnings: tuple[str, ...]


class Finished(Message, frozen=True):
    """All blocks have ended; the process exits as soon as it may."""

    threads: int
    """Threads that a program would wait for."""


Reply = Began | Ran | Ended | Finished


class _Envelope(Struct, frozen=True, forbid_unknown_fields=True):
    nonce: str
    note: Note


def framed(body: bytes) -> bytes:
    """Return a message's bytes after their length."""
    return len(body).to_bytes(HEADER, "big") + body


def frame(content: dict[str, Any]) -> bytes:
    """Return content as a length and JSON."""
    return framed(json.dumps(content).encode())


def received(connection: socket.socket) -> Any:
    """Wait for a frame and return its content; None if the connection has ended."""
    size = int.from_bytes(connection.recv(HEADER, socket.MSG_WAITALL), "big")
    body = connection.recv(size, socket.MSG_WAITALL)
    return json.loads(body) if 0 < len(body) == size else None


def note_frame(note: Note, nonce: str) -> bytes:
    """Return a note of the page that has this nonce as a frame."""
    return framed(encoded(_Envelope(nonce, note)))


def encoded(message: Struct) -> bytes:
    """Return a message as JSON; what UTF-8 cannot encode is escaped."""
    return msgspec.json.encode(_writable(to_builtins(message)))


def decoded(body: bytes, kind: Any) -> Any:
    """Return a message of this kind from JSON; raise BrokenChannelError for anything else.

    The types are checked while it is read, so that other values take no memory.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except (ValueError, RecursionError):
        raise BrokenChannelError("bytes that are not a message") from None


def _writable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _writable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_writable(item) for item in value]
    return writable(value) if isinstance(value, str) else value


def writable(text: str) -> str:
    """Escape what UTF-8 cannot encode."""
    return text.encode("utf-8", "backslashreplace").decode()


class Frames:
    """Decodes the notes of one page from bytes as they arrive."""

    def __init__(self, nonce: str) -> None:
        self._nonce = nonce
        self._bytes = bytearray()

    def feed(self, data: bytes) -> list[Note]:
        """Return the notes that are complete now; raise BrokenChannelError on anything else."""
        self._bytes += data
        found = []
        while len(self._bytes) >= HEADER:
            size = int.from_bytes(self._bytes[:HEADER], "big")
            if size > LARGEST:
                raise BrokenChannelError(f"a message of {size} bytes")
            if len(self._bytes) < HEADER + size:
                break
            envelope = decoded(bytes(self._bytes[HEADER : HEADER + size]), _Envelope)
            if envelope.nonce != self._nonce:
                raise BrokenChannelError("a message that is not this page's")
            found.append(envelope.note)
            del self._bytes[: HEADER + size]
        return found


def call_untraced(action: Callable[[], NoReturn]) -> NoReturn:
    """Call a function that ends the process, unseen by trace functions, which could change its variables.

    Python does not trace inside of a trace function, except by ``sys.call_tracing``.
    """

    def begin(*_: object) -> NoReturn:
        sys.settrace(None)
        action()

    sys.settrace(begin)
    (lambda: None)()
    raise AssertionError("not traced")


def follow_orders(
    descriptor: int,
    enter: Callable[[Order, None], dict[str, Any]],
    wait: Callable[[Any], None],
    leave: Callable[[Order, BaseException | None], bytes],
    end_fork: Callable[[Order, BaseException | None], NoReturn],
) -> NoReturn:
    """Read an order, run its code and reply, again and again.

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


class OrderChannel:
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

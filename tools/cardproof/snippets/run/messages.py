"""Messages between the runner and a page's process: small records, sent as a length and JSON.

Nothing that a snippet could write is ever unpickled: what arrives must be a known message with fields of the right
types. There are two connections. On the channel the page sends notes at any time, and waits until the runner has read
them. On the other the runner gives orders, and the page replies to each (``turns.py``).
"""

from __future__ import annotations

import json
import signal
import socket
import struct
from typing import Any, Literal

import msgspec.json
from msgspec import Struct, to_builtins

from cardproof.snippets.types import Block


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

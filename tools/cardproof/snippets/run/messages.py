"""Messages between the runner and a page's process: small records, sent as a length and JSON.

Nothing that a snippet could write is ever unpickled: what arrives must be a known message with fields of the right
types, and must carry the page's nonce.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar

from msgspec import Struct, convert, to_builtins


class BrokenChannelError(Exception):
    """Bytes on the channel that are not a message of this page."""


class Code(Struct, frozen=True):
    """A block as the page's process needs it."""

    file: str
    """The name that tracebacks show."""
    line: int
    code: str
    lines: tuple[tuple[str, int], ...]
    console: bool
    fresh: bool
    network: bool
    """The block may reach the network."""


class Task(Struct, frozen=True):
    """The input of a page's process: its blocks and its environment."""

    nonce: str
    blocks: tuple[Code, ...]
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


class _Message(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag=True):
    pass


class BlockStarted(_Message, frozen=True):
    """A block begins."""

    block: int


class StatementStarted(_Message, frozen=True):
    """A statement begins: lines within the block."""

    line: int
    end_line: int


class StreamSwitched(_Message, frozen=True):
    """The code is about to write to the other of standard output and standard error."""


class StatementEnded(_Message, frozen=True):
    """The statement that was entered has ended."""

    value: str | None
    error: str | None


class PictureShown(_Message, frozen=True):
    """A picture was shown or saved."""

    name: str
    png: str
    """Base64."""


class ProcessReplaced(_Message, frozen=True):
    """The process is about to become another program."""

    program: str


class BlockEnded(_Message, frozen=True):
    """The block has ended, with or without an exception."""

    error: str | None
    traceback: str
    error_line: int | None
    warnings: tuple[str, ...]


class PageFinished(_Message, frozen=True):
    """All blocks have ended; the process exits as soon as it may."""

    threads: int
    """Threads that a program would wait for."""


Message = (
    BlockStarted
    | StatementStarted
    | StreamSwitched
    | StatementEnded
    | PictureShown
    | ProcessReplaced
    | BlockEnded
    | PageFinished
)


class _Envelope(Struct, frozen=True, forbid_unknown_fields=True):
    nonce: str
    message: Message


ACKNOWLEDGED = b"\x06"
HEADER = 4
"""Bytes of a frame's length."""


def frame(content: dict[str, Any]) -> bytes:
    """Return content as a length and JSON."""
    body = json.dumps(content).encode()
    return len(body).to_bytes(HEADER, "big") + body


def message_frame(message: Message, nonce: str) -> bytes:
    """Return a message of the page that has this nonce as a frame."""
    return frame(to_builtins(_Envelope(nonce, message)))


def task_frame(task: Task) -> bytes:
    """Return a task as a frame."""
    return frame(to_builtins(task, enc_hook=str))


def task_from(content: dict[str, Any]) -> Task:
    """Return the task that was sent."""
    return convert(content, Task)


class Frames:
    """Decodes the messages of one page from bytes as they arrive."""

    _largest: ClassVar[int] = 64 * 2**20

    def __init__(self, nonce: str) -> None:
        self._nonce = nonce
        self._bytes = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """Return the messages that are complete now; raise BrokenChannelError on anything else."""
        self._bytes += data
        found = []
        while len(self._bytes) >= HEADER:
            size = int.from_bytes(self._bytes[:HEADER], "big")
            if size > self._largest:
                raise BrokenChannelError(f"a message of {size} bytes")
            if len(self._bytes) < HEADER + size:
                break
            found.append(self._message(bytes(self._bytes[HEADER : HEADER + size])))
            del self._bytes[: HEADER + size]
        return found

    def _message(self, body: bytes) -> Message:
        try:  # decoded by the standard library, which accepts text that UTF-8 cannot encode
            content = convert(json.loads(body), _Envelope)
        except (ValueError, RecursionError):
            raise BrokenChannelError("bytes that are not a message") from None
        if content.nonce != self._nonce:
            raise BrokenChannelError("a message that is not this page's")
        return content.message

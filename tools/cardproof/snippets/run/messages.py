"""Messages between the runner and a page's process: small records, sent as a length and JSON.

Nothing that a snippet could write is ever unpickled: what arrives must be a known message with fields of the right
types, and must carry the page's nonce.
"""

from __future__ import annotations

import json
import types
import typing
from typing import TYPE_CHECKING, Any, ClassVar, get_type_hints

from msgspec import Struct, to_builtins
from msgspec.structs import fields

if TYPE_CHECKING:
    from collections.abc import Callable


class BrokenChannelError(Exception):
    """What arrived on the channel is no message of this page."""


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
    """All that a page's process is told: its blocks and its surroundings."""

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


class Begun(Struct, frozen=True):
    """A block begins."""

    block: int


class Entered(Struct, frozen=True):
    """A statement begins: lines within the block."""

    line: int
    end_line: int


class Turned(Struct, frozen=True):
    """The code is about to write to the other of standard output and standard error."""


class Left(Struct, frozen=True):
    """The statement that was entered has ended."""

    value: str | None
    error: str | None


class Showed(Struct, frozen=True):
    """A picture was shown or saved."""

    name: str
    png: str
    """Base64."""


class Replaced(Struct, frozen=True):
    """The process is about to become another program."""

    program: str


class Ended(Struct, frozen=True):
    """The block has ended, with or without an exception."""

    error: str | None
    traceback: str
    error_line: int | None
    warnings: tuple[str, ...]


class Finished(Struct, frozen=True):
    """All blocks have ended; the process exits as soon as it may."""

    threads: int
    """Threads that a program would wait for."""


Message = Begun | Entered | Turned | Left | Showed | Replaced | Ended | Finished
KINDS: dict[str, type[Message]] = {kind.__name__: kind for kind in typing.get_args(Message)}
ACKNOWLEDGED = b"\x06"
HEADER = 4
"""Bytes of a frame's length."""


def frame(content: dict[str, Any]) -> bytes:
    """Return content as a length and JSON."""
    body = json.dumps(content).encode()
    return len(body).to_bytes(HEADER, "big") + body


def message_frame(message: Message, nonce: str) -> bytes:
    """Return a message of the page that has this nonce as a frame."""
    return frame({"kind": type(message).__name__, "nonce": nonce, **to_builtins(message, enc_hook=str)})


def task_frame(task: Task) -> bytes:
    """Return a task as a frame."""
    return frame(to_builtins(task, enc_hook=str))


def task_from(content: dict[str, Any]) -> Task:
    """Return the task that was sent."""
    blocks = tuple(
        Code(**{**block, "lines": tuple((name, line) for name, line in block["lines"])}) for block in content["blocks"]
    )
    return Task(**{**content, "blocks": blocks, "search_path": tuple(content["search_path"])})


class Frames:
    """Take bytes as they arrive and give whole messages of one page."""

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
        try:
            content = json.loads(body)
            kind = KINDS[content.pop("kind")]
            nonce = content.pop("nonce")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise BrokenChannelError("bytes that are no message") from None
        hints = get_type_hints(kind)
        known = {field.name for field in fields(kind)}
        if nonce != self._nonce or content.keys() != known:
            raise BrokenChannelError("a message that is not this page's")
        if not all(_fits(value, hints[name]) for name, value in content.items()):
            raise BrokenChannelError("a message with values of other types")
        make: Callable[..., Message] = kind
        return make(**{name: tuple(value) if isinstance(value, list) else value for name, value in content.items()})


def _fits(value: object, hint: Any) -> bool:
    if isinstance(hint, types.UnionType):
        return any(_fits(value, part) for part in typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        return isinstance(value, list) and all(_fits(item, typing.get_args(hint)[0]) for item in value)
    return type(value) is hint

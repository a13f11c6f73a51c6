"""Terminals: output is escaped, is written in any encoding, and ends as that of other tools if nobody reads it.

:func:`set_up_streams` puts a :class:`Terminal` before standard output and standard error, once, when the command line
starts. So whatever prints (click, rich, ``print``) is covered, what a library prints included. Formats for other tools
are not text for people: :func:`write_data` gives their bytes as they are.
"""

from __future__ import annotations

import errno
import io
import os
import re
import sys
import unicodedata
from contextlib import suppress
from typing import Any, TextIO

from cardproof.core.secrets import masked

BROKEN_PIPE = 141
"""Exit status if the reader of standard output went away (``| head``): what a shell shows for a tool that did not
handle the signal SIGPIPE."""
UNWRITABLE = 2
"""Exit status if standard output cannot be written: it is closed, or its disk is full."""

_STEERS = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode's categories of characters that steer: control, format (direction of text), half of a pair, line ends."""
_UNSAFE = re.compile(
    "\x1b\\[[0-9;]*m|[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""What no piece of text should have by now; colours, which come first, stay."""
_COMMAND = re.compile(r"(?m)^([ \t]*):(?=:)|#(?=#\[)")
"""What the runner of GitHub Actions takes for a command in the output of a step."""


def printable(text: str) -> str:
    """Return a text on one line, with characters that could steer a terminal as escapes and secrets masked."""
    text = masked(text)
    if text.isprintable():
        return text
    return "".join(_escape(c) if unicodedata.category(c) in _STEERS else c for c in text)


def one_line(text: str) -> str:
    """Return a text with blanks in place of line ends: messages of other programs have several lines."""
    return " ".join(text.split("\n")) if "\n" in text else text


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


class Terminal(io.TextIOBase):
    """Standard output or standard error, for people: escapes control characters, and writes in any encoding.

    It has no ``buffer``, so that libraries cannot bypass it and write in another encoding.
    """

    def __init__(self, stream: TextIO, ends: bool) -> None:
        self._stream = stream
        self._ends = ends
        """Whether the command ends if it cannot be written; messages on standard error are dropped then."""
        self._commands = bool(os.environ.get("GITHUB_ACTIONS"))
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding or "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        return "backslashreplace"

    def write(self, text: str) -> int:
        if isinstance(text, bytes) and text:  # click's completion; it asks with none whether this is a stream of bytes
            self.write_bytes(text)
            return len(text)
        safe = _UNSAFE.sub(lambda match: match.group() if len(match.group()) > 1 else _escape(match.group()), text)
        if self._commands:
            safe = _COMMAND.sub(lambda match: f"{match[1] or ''}{_escape(match.group()[-1])}", safe)
        try:
            self._stream.write(masked(safe) if len(safe) < 10_000 else safe)
        except (OSError, ValueError) as error:
            self._stop_writing(error)
        return len(text)

    def write_bytes(self, data: bytes) -> None:
        try:
            self._stream.flush()
            buffer: Any = getattr(self._stream, "buffer", None)
            if buffer is None:
                self._stream.write(data.decode("utf-8", "replace"))
            else:
                buffer.write(data)
                buffer.flush()
        except (OSError, ValueError) as error:
            self._stop_writing(error)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError) as error:
            self._stop_writing(error)

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    def _stop_writing(self, error: OSError | ValueError) -> None:
        """Drop what is still to be written. Raises SystemExit on standard output, as a signal ends other tools."""
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())  # the interpreter flushes it once more at its end
            os.close(nowhere)
        if not self._ends:
            return
        if isinstance(error, OSError) and error.errno in (errno.EPIPE, errno.EINVAL):  # the second on Windows
            raise SystemExit(BROKEN_PIPE)
        reason = error.strerror if isinstance(error, OSError) else str(error)
        print(f"error: standard output cannot be written: {reason}", file=sys.stderr)
        raise SystemExit(UNWRITABLE)


def set_up_streams() -> None:
    """Put a terminal before standard output and standard error; do it once, before anything is opened or printed.

    A stream that is closed gets a file that cannot be written, so that no other file is opened in its place.
    """
    for number, name, flags in ((0, "stdin", os.O_RDONLY), (1, "stdout", os.O_RDONLY), (2, "stderr", os.O_WRONLY)):
        stream = getattr(sys, name)
        if stream is None:
            _occupy_closed_stream(number, flags)
            stream = open(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
        if number and not isinstance(stream, Terminal):
            setattr(sys, name, Terminal(stream, ends=number == 1))


def _occupy_closed_stream(number: int, flags: int) -> None:
    """Open the null device under the number of a closed stream."""
    with suppress(OSError):
        os.fstat(number)
        return
    found = os.open(os.devnull, flags)
    if found != number:
        os.dup2(found, number)
        os.close(found)


def write_data(text: str) -> None:
    """Print a text for other tools, always in UTF-8. Names of files that are not text get escapes."""
    data = text.encode("utf-8", "backslashreplace")
    if isinstance(sys.stdout, Terminal):
        sys.stdout.write_bytes(data)
    else:
        import click  # a test or another program has put its own stream there

        click.echo(data, nl=False)

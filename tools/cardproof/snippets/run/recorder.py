"""Record: the output, pictures and errors of a page's blocks, collected while they run."""

from __future__ import annotations

import base64
import binascii
import codecs
import os
import re
import sys
import sysconfig
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import replace

from cardproof.snippets.compare.outputs import as_shown
from cardproof.snippets.run.protocol import Ran, Task, writable
from cardproof.snippets.run.statements import deepest_line
from cardproof.snippets.types import Block, BlockRun, Image, Printed

PAGE_FOLDER = "/page"
"""Replaces the page's temporary folder in outputs, so that two builds print the same."""

_LARGEST_PICTURE = 16 * 2**20
_ALL_PICTURES = 64 * 2**20
_MOST_WARNINGS = 20
_LONGEST = 500
"""Characters of the name of what a block asked for."""


class OverError(Exception):
    """The page has ended, or is above a limit; the message is the reason, and empty if it finished."""


class _Running(Struct):
    started: float
    statement: tuple[int, int] | None = None
    size: int = 0
    pieces: list[tuple[int, bytes]] = field(default_factory=list)
    """Streams (1, 2) with the bytes since the last statement ended."""
    printed: list[Printed] = field(default_factory=list)
    images: list[Image] = field(default_factory=list)
    refused: dict[str, None] = field(default_factory=dict)
    random_weights: bool = False


class Record:
    """The finished blocks of a task, and the one that runs."""

    def __init__(self, task: Task, device: str, mask: Callable[[str], str]) -> None:
        self.done: list[BlockRun] = []
        self._task = task
        self._output_bytes = task.output_bytes
        self._device = device
        self._mask = self.mask = mask
        self._running: _Running | None = None
        self._pictures = 0
        """Bytes of the page's pictures."""

    @property
    def started(self) -> float | None:
        return self._running.started if self._running else None

    @property
    def block(self) -> Block:
        """The block that runs now, or the next."""
        return self._task.blocks[len(self.done)]

    @property
    def is_complete(self) -> bool:
        return self._running is None and len(self.done) == len(self._task.blocks)

    def begin(self) -> None:
        self._running = _Running(time.monotonic())

    def enter(self, statement: tuple[int, int]) -> None:
        if self._running:
            self._running.statement = statement

    def write(self, stream: int, data: bytes) -> None:
        """Add output of the block; raises OverError after adding what fits."""
        if running := self._running:
            running.pieces.append((stream, data[: max(0, self._output_bytes - running.size)]))
            self._count(running, len(data))

    def leave(self, ran: Ran) -> None:
        """The statement has ended; its parts count if they are all of its output."""
        running = self._running
        if running and running.statement:
            self._count(running, len(ran.value or ""))
            error = self._masked(ran.error and ran.error[: self._output_bytes])
            text, stdout = self._text(running)
            whole = as_shown(self._mask(writable("".join(part for _, part in ran.parts))))
            parts = tuple((lines, as_shown(self._mask(writable(part)))) for lines, part in ran.parts if whole == stdout)
            running.printed.append(Printed(*running.statement, text, self._masked(ran.value), error, stdout, parts))
            running.statement = None
            running.refused |= dict.fromkeys(self._mask(writable(what[:_LONGEST])) for what in ran.refused[:8])
            running.random_weights = self._task.random_weights and ran.random_weights

    def picture(self, name: str, png: str) -> None:
        try:
            data = base64.b64decode(png, validate=True)
        except binascii.Error:
            return
        if self._running and data.startswith(b"\x89PNG") and len(data) <= _LARGEST_PICTURE:
            self._pictures += len(data)
            if self._pictures > _ALL_PICTURES:
                raise OverError(f"over the limit of {size_text(_ALL_PICTURES)} for the pictures of a page")
            line = self._running.statement[0] if self._running.statement else 1
            self._running.images.append(Image(line, writable(name), data))

    def end(self, raised: Ran, warnings: tuple[str, ...], exit_line: int | None = None) -> None:
        """The block has ended, with the exception of its last statement if there is one, or with an exit there."""
        if running := self._running:
            text, stdout = self._text(running)
            if running.printed and text:  # written after the last statement: by a thread, or another process
                last = running.printed[-1]
                running.printed[-1] = replace(last, text=last.text + text, stdout=(last.stdout or "") + stdout)
            most = self._output_bytes
            error, trace = self._masked(raised.error and raised.error[:most]), self._masked(raised.traceback[:most])
            warnings = tuple(self._mask(text[:most]) for text in warnings[:_MOST_WARNINGS])
            ran = BlockRun(True, (), error, trace or "", raised.line, warnings=warnings, exit_line=exit_line)
            self._finish(running, replace(ran, needs=self._masked(raised.needs and raised.needs[:_LONGEST])))

    def fail(self, reason: str, crash: str) -> None:
        """End the page: the block that ran, or the next, has failed, and those after it did not run.

        ``crash`` is what ``faulthandler`` wrote when native code crashed, or when the runner asked where it hung.
        """
        if self.is_complete:
            return
        block = self.block
        running = self._running or _Running(time.monotonic())
        line = None
        if running.statement:
            line = deepest_line(block, [(file, number) for file, number, _ in self._stack(crash)], running.statement)
            text, stdout = self._text(running)
            running.printed.append(Printed(*running.statement, text, None, None, stdout))
        self._finish(running, BlockRun(False, (), reason, self._frames(crash), line))
        file, number = block.located(line or 1)
        rest = f"not run: the page's process ended before this block, at {file}:{number}"
        self.done += [BlockRun(False, (), rest, device=self._device)] * (len(self._task.blocks) - len(self.done))

    def warn(self, warnings: tuple[str, ...]) -> None:
        if self.done and warnings:
            self.done[-1] = replace(self.done[-1], warnings=(*self.done[-1].warnings, *warnings))

    def _finish(self, running: _Running, ran: BlockRun) -> None:
        self.done.append(
            replace(
                ran,
                printed=tuple(running.printed),
                images=tuple(running.images),
                seconds=time.monotonic() - running.started,
                device=self._device,
                refused=tuple(running.refused),
                random_weights=running.random_weights,
            )
        )
        self._running = None

    def _count(self, running: _Running, size: int) -> None:
        running.size += size
        if running.size > self._output_bytes:
            raise OverError(f"over the output limit of {size_text(self._output_bytes)}: the output is cut off here")

    def _text(self, running: _Running) -> tuple[str, str]:
        """Return and clear the output since the last statement: all of it, and standard output alone."""
        decoders = {stream: codecs.getincrementaldecoder("utf-8")("replace") for stream in (1, 2)}
        texts = [(stream, decoders[stream].decode(data)) for stream, data in running.pieces]
        texts += [(stream, decoder.decode(b"", final=True)) for stream, decoder in decoders.items()]
        running.pieces.clear()
        whole = "".join(text for _, text in texts)
        output = "".join(text for stream, text in texts if stream == 1)
        return as_shown(self._mask(whole)), as_shown(self._mask(output))

    def _masked(self, text: str | None) -> str | None:
        return None if text is None else self._mask(writable(text))

    def _frames(self, text: str) -> str:
        """Return the page's frames of what ``faulthandler`` wrote, oldest first."""
        shown = [f'  File "{file}", line {number}, in {name}' for file, number, name in reversed(self._stack(text))]
        first = text.partition("\n")[0]
        return "\n".join([first if first.startswith("Fatal") else "Where it hung:", *shown]) if shown or first else ""

    def _stack(self, text: str) -> list[tuple[str, int, str]]:
        """Return file, line and function of the page's frames of what ``faulthandler`` wrote, the deepest first."""
        files = {block.file for block in self._task.blocks}
        files |= {file for block in self._task.blocks for file, _ in block.lines}
        thread = text.partition("Current thread")[2].partition("\n\n")[0]
        found = re.findall(r'File "([^"\n]*+)", line (\d+) in (.*)', thread)
        return [(file, int(number), name) for file, number, name in found if file in files]


def size_text(count: int) -> str:
    """Write a number of bytes with the largest unit that divides it."""
    units = (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))
    return next((f"{count // size} {unit}" for unit, size in units if count % size == 0), f"{count:,} bytes")


class Mask:
    """Replace paths of this machine by names that mean something to a reader."""

    def __init__(self, folder: Path, search_path: Iterable[str]) -> None:
        names = {str(folder): PAGE_FOLDER, os.path.realpath(folder): PAGE_FOLDER}
        names |= {f"{path.rstrip(os.sep)}{os.sep}": "" for path in search_path if len(path) > 1}
        names |= {sysconfig.get_path("purelib"): "site-packages", sysconfig.get_path("platlib"): "site-packages"}
        version = f"lib/python{sys.version_info.major}.{sys.version_info.minor}"
        names |= {sysconfig.get_path("stdlib"): version, sys.prefix: "python", sys.base_prefix: "python"}
        home = Path.home()
        if home.parent.name.lower() in ("home", "users"):
            names[str(home)] = "~"
        self._names = {name: names[name] for name in sorted(names, key=len, reverse=True) if name not in ("/", "/usr")}
        ends = (re.escape(name) if name.endswith(os.sep) else rf"{re.escape(name)}(?![\w.-])" for name in self._names)
        self._pattern = re.compile("|".join(ends))

    def __call__(self, text: str) -> str:
        return self._pattern.sub(lambda found: self._names[found.group()], text) if os.sep in text else text

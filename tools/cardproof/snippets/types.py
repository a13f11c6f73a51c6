"""Types of snippets: blocks, their output, and their outcome."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Status = Literal["pass", "fail", "skip", "not-run"]


class ConsoleError(Exception):
    """A ``>>>`` block that doctest cannot read; the message is the reason."""

    def __init__(self, reason: str, line: int = 1) -> None:
        super().__init__(reason)
        self.line = line
        """Line within the block's code, from 1."""


class Options(Struct, frozen=True):
    """Options of a block: fence classes, or a comment on the line above."""

    skip: bool = False
    gpu: bool = False
    network: bool = False
    expect_error: str | None = None
    """``.expect-error``: the class that must be raised; empty text: any exception; None: no error is expected."""
    hide: bool = False
    fresh: bool = False
    """The block starts with empty names instead of those of the blocks before it."""
    output: bool = False
    """The block is not code: it states the output of the code block before it."""
    setup: bool = False
    """Hidden set-up from a comment: it runs and is not shown."""
    reason: str = ""
    timeout: float | None = None
    """``.timeout=120``: seconds that this block may take; None: the limit of all blocks."""


class Block(Struct, frozen=True):
    """One Python block of a page, in page order."""

    file: str
    """The source that a person edits: the page, the template, or the include."""
    line: int
    """Line in ``file`` of the first line of ``code``."""
    code: str
    options: Options
    lines: tuple[tuple[str, int], ...] = ()
    """Source file and line of each line of ``code``, if they are not ``file`` and consecutive."""
    console: bool = False
    """A ``>>>`` block, by doctest's rules."""
    stated_output: tuple[str, int] | None = None
    """Text and first line of an output block that states this block's output."""
    stated_lines: tuple[tuple[str, int], ...] = ()
    """Source file and line of each line of the stated output, if they are not ``file`` and consecutive."""
    name: str = ""
    """The fence's id, or else its title."""
    end: int = 0
    """Line of the page's own text, from 1, on which the block's fence closes; 0 if it is in an included file."""
    indent: int = 0
    """Columns by which the fence is indented on the page."""

    def located(self, line: int) -> tuple[str, int]:
        """Return file and line of line ``line`` (from 1) of the code."""
        if not self.lines:
            return self.file, self.line + line - 1
        return self.lines[max(1, min(line, len(self.lines))) - 1]

    def line_at(self, file: str, number: int, within: tuple[int, int] | None = None) -> int | None:
        """Return the line of the code, or of two of its lines and those between them, that is this source line."""
        first, last = within or (1, self.code.count("\n") + 1)
        return next((line for line in range(first, last + 1) if self.located(line) == (file, number)), None)

    def seen_from(self, other: Block) -> str:
        """Return the place of the block for a message about another block."""
        file, line = self.located(1)
        return f"line {line}" if file == other.file else f"{file}:{line}"

    def located_output(self, line: int) -> tuple[str, int]:
        """Return file and line of line ``line`` (from 1) of the output that the block states."""
        if 0 < line <= len(self.stated_lines):
            return self.stated_lines[line - 1]
        first = self.stated_output[1] if self.stated_output else self.line
        return self.file, first + line - 1


class Printed(Struct, frozen=True):
    """The output of one top-level statement to standard output and standard error, in order."""

    line: int
    """First line of the statement, counted from 1 within its block's code."""
    end_line: int
    text: str
    value: str | None = None
    """``repr`` of an expression statement's value, if it is not None; shown by consoles only."""
    error: str | None = None
    """Class name and message of an exception after which a console went on, because its example states a traceback."""
    stdout: str | None = None
    """The part of ``text`` that went to standard output, which is compared; None: all of it."""
    parts: tuple[tuple[tuple[int, ...], str], ...] = ()
    """Pieces of ``stdout``, each with the lines of the block that were running; empty if that is not known."""


class Image(Struct, frozen=True):
    """A picture that a block showed or saved."""

    line: int
    name: str
    png: bytes


class BlockRun(Struct, frozen=True):
    """The run of one block."""

    ended: bool
    """The block ended with its own message; without it, it failed with any exit status."""
    printed: tuple[Printed, ...]
    error: str | None = None
    """Class name and message of an exception, or what ended the process: a signal, a limit, an unexpected exit."""
    traceback: str = ""
    """Last lines, with the page's own file and lines."""
    error_line: int | None = None
    """Line within the block's code at which the error arose."""
    images: tuple[Image, ...] = ()
    seconds: float = 0.0
    device: str = "cpu"
    warnings: tuple[str, ...] = ()
    """Warnings about a block that ended: processes or threads left running, a closed output."""
    exit_line: int | None = None
    """Last line of the statement with which the code ended the program, without an error: what follows did not run."""
    needs: str | None = None
    """What the block asked for and did not get, so that it raised: ``the network: HOST``, ``weights: NAME``."""
    refused: tuple[str, ...] = ()
    """All that the block asked for and did not get, also if it went on."""
    needs_block: tuple[str, int] | None = None
    """A name that the block needs, and the block (from 0 on its page) that did not give it: it did not run."""
    random_weights: bool = False
    """Networks had random weights in this block, or in one before it."""

    @property
    def refused_before(self) -> tuple[str, ...]:
        """What the block did not get and went on without."""
        return tuple(what for what in self.refused if what != self.needs)


class Outcome(Struct, frozen=True):
    """A block with its verdict."""

    block: Block
    status: Status
    message: str = ""
    expected_line: int | None = None
    """Line in ``block.file`` of the expectation that failed."""
    ran: BlockRun | None = None
    expected_file: str | None = None
    """The file of ``expected_line``, if it is not ``block.file``: the code was included."""
    hint: str | None = None
    """What to do about a failure."""
    warnings: tuple[str, ...] = ()
    """Warnings about a block that passed: loose expectations that differ, outputs not compared."""
    may_update: bool = True
    """Its outputs are what a reader gets: no random weights, and no block before it was left out that it depends on."""


Device = Literal["cpu", "cuda"]


class Limits(Struct, frozen=True):
    """Limits of a page. The runner's process enforces them; a page cannot ignore or outlive them."""

    block_seconds: float = 60.0
    page_seconds: float = 300.0
    memory_bytes: int = 8 * 2**30
    """Of all the page's processes together, beyond what their libraries share."""
    file_bytes: int = 2 * 2**30
    """Size of one file."""
    output_bytes: int = 2**20
    """Written and shown by one block."""
    processes: int = 64
    """At one time, the page's own included."""

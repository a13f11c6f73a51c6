"""Monitor: follow a page's process from its task to its end, and keep its limits."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
import struct
import termios
import time
import warnings
from collections.abc import Generator, Sequence
from typing import Any

from msgspec import to_builtins

from cardproof.snippets.run import protocol
from cardproof.snippets.run.fork_client import PageProcess, is_readable
from cardproof.snippets.run.processes import descendants, memory, proportional_memory
from cardproof.snippets.run.recorder import OverError, Record, size_text
from cardproof.snippets.run.schedule import Schedule
from cardproof.snippets.run.statements import FILTERS, Sources, Statement, describe, statements
from cardproof.snippets.types import Block, BlockRun, Limits

_TICK = 0.05
"""Seconds between checks of memory and processes."""
_EXIT_SECONDS = 2.0
"""How long a page may take to exit after its last block."""
_MOMENT = 0.3
"""Seconds to wait for a status after a closed channel, or for the end of helpers."""
_EXITED = 2
"""How a statement ended that exits as a program does which has nothing to complain of."""
_AT_ONCE = 1 << 20
"""Bytes read from a pipe before the limits are checked again."""


class _TimeoutError(OverError):
    """A block has taken its time; those after it may run in another process."""


class Monitor:
    """One page while it runs."""

    def __init__(
        self,
        page: PageProcess,
        task: protocol.Task,
        schedule: Schedule,
        numbers: Sequence[int],
        limits: Limits,
        until: float,
        record: Record,
    ) -> None:
        """``numbers`` are those of the task's blocks in the schedule; ``until`` is when the page's time is over."""
        self._page = page
        self._task = task
        self._schedule = schedule
        self._numbers = numbers
        self._limits = limits
        self._reached = 0
        """Statements of the block that have ended."""
        self.timed_out: int | None = None
        """The block of the task that was ended at its own limit."""
        self._record = record
        self._frames = protocol.Frames(task.nonce)
        self._orders = protocol.OrderChannel(page.orders)
        self._script = self._run_blocks()
        self._replaced: str | None = None
        self._status: int | None = None
        self._is_lost = False
        self._threads = 0
        self._looked = time.monotonic()
        self._until = until
        self._connections = [connection.fileno() for connection in (page.lifeline, page.channel, page.orders)]
        self._poll = select.poll()
        for descriptor in (*page.pipes, *self._connections):
            self._poll.register(descriptor, select.POLLIN)

    def run(self) -> tuple[BlockRun, ...]:
        """Follow the page until it has ended or is over a limit; return the run of each block of the task."""
        try:
            self._page.channel.sendall(protocol.frame(to_builtins(self._task, enc_hook=str)))
            next(self._script)
            while True:
                self._poll_once()
        except OverError as over:
            reason = str(over)
            self.timed_out = len(self._record.done) if isinstance(over, _TimeoutError) else None
        except protocol.BrokenChannelError as trouble:
            reason = f"the code wrote to the runner's private channel: {trouble}"
        except OSError as error:
            reason = f"the connection to the page's process broke: {error.strerror or error}"
        if reason:
            with contextlib.suppress(OSError, OverError):
                self._read_pending_output()
            if self._record.started is not None:
                self._schedule.ended(self._numbers[len(self._record.done)], self._reached, reason)
            self._record.fail(reason, self._stack() if reason.startswith("timeout") else self._page.crash())
        self._record.warn(self._leftovers())
        return tuple(self._record.done)

    def _run_blocks(self) -> Generator[None, tuple[int, Any], None]:
        """Give the orders for all blocks; each ``yield`` waits for the reply to the order before it."""
        give, record, schedule = self._orders.give, self._record, self._schedule
        flags = 0
        for index, (number, block) in enumerate(zip(self._numbers, self._task.blocks, strict=True)):
            if omitted := schedule.omits(number):
                record.done.append(omitted)
                continue
            anew, missing = schedule.takes_names(number)
            self._reached = 0
            record.begin()
            compiled, flags, caught, raised = _compile_block(block, 0 if anew else flags)
            give(("begin", index, tuple(statement.code for statement in compiled), caught, missing, anew and index > 0))
            _checked_reply(protocol.Began, (yield))
            exit_line = None
            for position, statement in enumerate(compiled):
                record.enter(statement.span)
                about = statement.value_is_shown, statement.span, statement.replayed, statement.may_spawn
                give(("run", position, *about), statement.code)
                how, ran = yield
                _checked_reply(protocol.Ran, (how, ran))
                record.leave(ran)
                if how == _EXITED and block.options.expect_error is None and not statement.states_error:
                    exit_line = statement.span[1]
                elif how and not statement.states_error:
                    raised = ran
                    break
                self._reached += 1
                if exit_line:
                    break
            give(("end",))
            warnings = _checked_reply(protocol.Ended, (yield)).warnings
            record.end(raised, warnings, exit_line)
            schedule.ended(number, self._reached, raised.error, exits=exit_line is not None)
        give(("finish",))
        self._threads = _checked_reply(protocol.Finished, (yield)).threads
        self._until = time.monotonic() + _EXIT_SECONDS
        give(("exit",))
        yield

    def _poll_once(self) -> None:
        most = 0.001 if self._orders.replied else _TICK
        patience = max(0.0, min(most, self._deadline() - time.monotonic()))
        ready = {descriptor for descriptor, _ in self._poll.poll(patience * 1000)}
        for stream, pipe in enumerate(self._page.pipes, 1):
            if pipe in ready and not self._read_pipe(stream, pipe, _AT_ONCE):
                self._poll.unregister(pipe)
        lifeline, channel, order = (descriptor in ready for descriptor in self._connections)
        if lifeline:
            self._read_status()
        if channel or lifeline:
            self._read_channel()
        if order and not self._orders.receive():
            raise self._closed_error()
        if reply := self._orders.reply():
            self._read_pending_output()
            self._script.send(reply)
        if lifeline:
            raise OverError(self._describe_end())
        self._keep_limits()

    def _deadline(self) -> float:
        started = self._record.started
        return self._until if started is None else min(self._until, started + self._block_seconds())

    def _block_seconds(self) -> float:
        return self._record.block.options.timeout or self._limits.block_seconds

    # what arrives

    def _read_pipe(self, stream: int, pipe: int, most: int) -> bool:
        """Read from a pipe; return False at its end."""
        with contextlib.suppress(BlockingIOError):
            while most > 0:
                data = os.read(pipe, min(most, 1 << 16))
                if not data:
                    return False
                most -= len(data)
                self._record.write(stream, data)
        return True

    def _read_pending_output(self) -> None:
        """Read the output that was written before the last message; no more, as other processes may go on writing."""
        for stream, pipe in enumerate(self._page.pipes, 1):
            waiting = fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4)
            self._read_pipe(stream, pipe, struct.unpack("i", waiting)[0])

    def _read_channel(self) -> None:
        """Handle the notes that have arrived, and acknowledge each."""
        try:
            data = self._page.channel.recv(_AT_ONCE, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        if not data:
            raise self._closed_error()
        for note in self._frames.feed(data):
            self._read_pending_output()
            match note:
                case protocol.PictureShown(name, png):
                    self._record.picture(name, png)
                case protocol.ProcessReplaced(program):
                    self._replaced = program
            self._page.channel.sendall(protocol.ACKNOWLEDGED)

    def _closed_error(self) -> OverError:
        if self._status is None and is_readable(self._page.lifeline, _MOMENT):
            self._read_status()
        return OverError(self._describe_end())

    def _read_status(self) -> None:
        """Read the wait status of the page's process; there is none if its supervisor was killed from outside."""
        with contextlib.suppress(OSError):
            data = self._page.lifeline.recv(protocol.STATUS.size)
            self._is_lost = len(data) < protocol.STATUS.size
            if not self._is_lost:
                self._status = protocol.STATUS.unpack(data)[0]

    def _stack(self) -> str:
        """Ask the page's process where it hangs; code may hang so that it does not say."""
        pid, deadline = self._orders.pid, time.monotonic() + _MOMENT
        if pid and protocol.STACK_SIGNAL:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, protocol.STACK_SIGNAL)
                while not self._page.crash().endswith("\n\n") and time.monotonic() < deadline:
                    time.sleep(_TICK / 10)
        return self._page.crash()

    # how it ends

    def _describe_end(self) -> str:
        """Describe how the page's process has ended; empty if it had finished."""
        if self._record.is_complete:
            return ""
        if self._is_lost:
            return "the page's processes were ended from outside"
        code = None if self._status is None else os.waitstatus_to_exitcode(self._status)
        if self._replaced is not None:
            program = self._record.mask(self._replaced)
            return f"process replaced itself by another program ({program}) inside this block"
        if code in (None, protocol.CHANNEL_LOST):
            return "process closed the descriptor that it reports on, inside this block"
        if code < 0:
            return f"killed by {_signal_name(-code)}"
        return f"process ended inside this block, status {code}, before reporting"

    def _leftovers(self) -> tuple[str, ...]:
        """Return warnings about threads and processes that a finished page left running."""
        if not self._record.done or not self._record.done[-1].ended:
            return ()
        warnings = []
        if self._threads:
            warnings.append(f"{self._threads} non-daemon thread{'s' * (self._threads > 1)} still alive")
        deadline = time.monotonic() + _MOMENT  # for helpers of multiprocessing to notice the end of the page's process
        while (left := len(self._processes()) - (self._status is None)) > 0 and time.monotonic() < deadline:
            time.sleep(_TICK / 10)
        if left:
            warnings.append(f"left {left} process{'es' * (left > 1)} running")
        return tuple(warnings)

    # limits

    def _keep_limits(self) -> None:
        now = time.monotonic()
        limits, started = self._limits, self._record.started
        if started is not None and now - started > self._block_seconds():
            raise _TimeoutError(f"timeout: over the limit of {self._block_seconds():g} s for a block")
        if now > self._until:
            unfinished = f"timeout: over the limit of {limits.page_seconds:g} s for a page"
            raise OverError("" if self._record.is_complete else unfinished)
        if now - self._looked < _TICK:
            return
        self._looked = now
        processes = self._processes()
        if len(processes) > limits.processes:
            raise OverError(f"over the limit of {limits.processes} processes")
        if memory(processes) > limits.memory_bytes and proportional_memory(processes) > limits.memory_bytes:
            raise OverError(f"over the memory limit of {size_text(limits.memory_bytes)}")

    def _processes(self) -> list[int]:
        """Return the page's processes, without those that only supervise."""
        return descendants(self._page.supervisor)[self._page.helpers :]


def _compile_block(
    block: Block, flags: int
) -> tuple[tuple[Statement, ...], int, list[tuple[str, str, str, int]], protocol.Ran]:
    """Return a block's statements, the ``__future__`` flags after it, its warnings, and why it does not compile.

    It is compiled here and not in the page's process, so that no code of the page decides what will run.
    """
    with FILTERS, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            compiled, flags = statements(block, flags)
            raised = protocol.Ran()
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            compiled = ()
            raised = protocol.Ran(None, *describe(error, Sources(), block, None))
    return compiled, flags, [(str(w.message), w.category.__name__, w.filename, w.lineno) for w in caught], raised


def _checked_reply(kind: Any, reply: tuple[int, Any]) -> Any:
    """Return the message of a reply, which must be of this kind and describe an exception only if one was raised."""
    raised, message = reply
    if not isinstance(message, kind) or bool(raised) != (getattr(message, "error", None) is not None):
        raise protocol.BrokenChannelError("a message out of turn")
    return message


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"

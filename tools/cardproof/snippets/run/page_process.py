"""Page process: the process that runs a page's blocks, one statement at a time, as a reader's own program would."""

from __future__ import annotations

import atexit
import base64
import builtins
import contextlib
import faulthandler
import os
import resource
import signal
import socket
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Sequence
from functools import partial
from inspect import CO_COROUTINE
from pathlib import Path
from types import CodeType, ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn

from msgspec import convert

from cardproof.snippets.run import worker
from cardproof.snippets.run.hooks import pictures, prepare_libraries, refusals
from cardproof.snippets.run.protocol import (
    ACKNOWLEDGED,
    CHANNEL_LOST,
    STACK_SIGNAL,
    Began,
    Ended,
    Finished,
    Note,
    Order,
    PictureShown,
    ProcessReplaced,
    Ran,
    Reply,
    StreamSwitched,
    Task,
    call_untraced,
    encoded,
    follow_orders,
    note_frame,
    received,
)
from cardproof.snippets.run.statements import Sources, Span, describe
from cardproof.snippets.run.streams import Streams, move_up
from cardproof.snippets.types import Block

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

_LONGEST_VALUE = 2000
"""Characters of a value that a script's comment states."""


def run_page(channel_number: int, orders: int, output: int, errors: int, crash: int) -> NoReturn:
    """Become the page's process: read the task from the channel, then follow the runner's orders."""
    channel = socket.socket(fileno=channel_number)
    task = convert(received(channel), Task)
    orders, crash = move_up(orders), move_up(crash)
    notes = Notes(channel, orders, task.nonce)
    _enter_environment(task)
    faulthandler.enable(crash)
    if STACK_SIGNAL:
        faulthandler.register(STACK_SIGNAL, crash)
    page = Page(task, notes, Streams(output, errors, lambda: notes.send(StreamSwitched())))
    call_untraced(partial(follow_orders, orders, page.enter, page.wait, page.leave, page.end_fork))


class Notes:
    """The page's end of the channel: each note waits until the runner has read all output before it."""

    def __init__(self, channel: socket.socket, orders: int, nonce: str) -> None:
        self._channel: int | None = move_up(channel.detach())
        self._orders = orders
        self._nonce = nonce
        self._lock = threading.RLock()
        os.register_at_fork(after_in_child=self._close_descriptors)

    def send(self, note: Note) -> None:
        """Send a note and wait for its acknowledgement; end the process if the channel is gone."""
        with self._lock:
            if self._channel is None:
                return
            data = memoryview(note_frame(note, self._nonce))
            try:
                while data:
                    data = data[os.write(self._channel, data) :]
                if os.read(self._channel, 1) != ACKNOWLEDGED:
                    os._exit(CHANNEL_LOST)
            except OSError:
                os._exit(CHANNEL_LOST)

    def _close_descriptors(self) -> None:
        """Close the descriptors that a process forked by the code does not need."""
        if self._channel is not None:
            for descriptor in (self._channel, self._orders):
                with contextlib.suppress(OSError):
                    os.close(descriptor)
        self._channel = None
        self._lock = threading.RLock()


def _enter_environment(task: Task) -> None:
    """Replace the environment, folder and limits of the forking process by those of the page."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.setsid()
    os.environ.clear()
    os.environ.update(task.environment)
    time.tzset()
    os.chdir(f"{task.folder}/work")
    if "multiprocessing.process" in sys.modules:
        sys.modules["multiprocessing.process"].__dict__["ORIGINAL_DIR"] = str(Path.cwd())
    if "tempfile" in sys.modules:
        sys.modules["tempfile"].__dict__["tempdir"] = None
    limits = {resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: task.file_bytes}
    if task.memory_bytes:
        limits[resource.RLIMIT_DATA] = _data_bytes() + task.memory_bytes
    for limit, value in limits.items():
        hard = resource.getrlimit(limit)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (value, value))
    _forget_exit_functions()


def _forget_exit_functions() -> None:
    """Keep only the exit function that ends worker processes; finalizers of preloaded libraries take over 40 ms."""
    atexit._clear()
    workers: Any = sys.modules.get("multiprocessing.util")
    if workers:
        atexit.register(workers._exit_function)


def _data_bytes() -> int:
    """Return the size of the process's writable memory, and of the stacks that its thread pools may reserve."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmData:")[2].split()[0]) * 1024 + 2 * (os.cpu_count() or 1) * 8 * 2**20


class Page:
    """The names, sources and loop that the blocks of a page share, and what is done before and after a statement."""

    def __init__(self, task: Task, notes: Notes, streams: Streams) -> None:
        self._task = task
        self._notes = notes
        self._streams = streams
        self._sources = Sources()
        self._state = Path(task.folder, "statements")
        self._name = task.blocks[0].file if task.blocks else "page"
        self._names = self._fresh_names()
        self._block: Block | None = None
        self._codes: Sequence[CodeType] = ()
        """The statements of the block, for processes that do not follow the runner: those that the code forks."""
        self._loop: AbstractEventLoop | None = None
        self._may_spawn = True
        self._value_is_shown = False
        self._value: str | None = None
        streams.files = self._sources
        sys.argv = [self._name]
        work = str(Path.cwd())
        sys.path[:] = [work, *task.search_path, *(path for path in sys.path if path not in ("", work))]
        sys.displayhook = self._display
        sys.addaudithook(self._audit)
        pictures.keep = self._show
        refusals.is_page = self._sources.__contains__
        prepare_libraries(task.seed, lambda: self._may_spawn, task.random_weights)

    def _fresh_names(self) -> dict[str, Any]:
        """Return the names of a new main module, which spawned workers can import through ``worker``."""
        main = ModuleType("__main__")
        main.__dict__.update(
            __builtins__=builtins,
            __file__=f"{self._task.folder}/work/{Path(self._name).name}",
            __spec__=SimpleNamespace(name=worker.__name__, parent=""),
            **self._task.placeholders,
        )
        sys.modules["__main__"] = main
        given = "".join(f"{name} = {value!r}\n" for name, value in self._task.placeholders.items())
        self._replay(compile(given, "placeholders", "exec"), "w")
        return main.__dict__

    # the runner's orders

    def enter(self, order: Order, _: None = None) -> dict[str, Any]:
        """Prepare what an order says; return the names that its code sees."""
        if order[0] == "begin":
            self._begin_block(*order[1:])
        elif order[0] == "run":
            self._value, self._value_is_shown, self._may_spawn = None, order[2], order[5]
            refusals.begin()
        elif order[0] == "exit":
            self._exit()
        return self._names

    def leave(self, order: Order, error: BaseException | None) -> bytes:
        self._streams.flush()
        return encoded(self._reply(order, error))

    def _reply(self, order: Order, error: BaseException | None) -> Reply:
        if order[0] == "begin":
            return Began()
        if order[0] == "end":
            return Ended(self._streams.closed())
        if order[0] == "finish":
            others = [thread for thread in threading.enumerate() if thread is not threading.current_thread()]
            return Finished(sum(not thread.daemon for thread in others))
        _, number, _, span, is_replayed, _ = order
        value = self._value if self._value is None else self._value[: self._task.output_bytes + 1]
        parts = self._printed_parts(span)
        if error is None:
            if is_replayed:
                self._replay(self._codes[number])
            return Ran(value, parts=parts, refused=refusals.refused, random_weights=refusals.random_weights)
        assert self._block is not None
        described = describe(error, self._sources, self._block, span)
        return Ran(value, *described, parts, refusals.cause(error), refusals.refused, refusals.random_weights)

    def _printed_parts(self, span: Span) -> tuple[tuple[tuple[int, ...], str], ...]:
        """Return what the statement printed, by the block's lines; nothing if all came from its only line."""
        block, parts = self._block, self._streams.take_output()
        if block is None or not parts:
            return ()
        known = {at: block.line_at(*at) for lines, _ in parts for at in lines}
        by_line = tuple((tuple(n for at in lines if (n := known[at])), text) for lines, text in parts)
        single = span[0] == span[1]
        return () if single and all(set(lines) <= {span[0]} for lines, _ in by_line) else by_line

    def _begin_block(
        self,
        index: int,
        codes: Sequence[CodeType],
        caught: Sequence[tuple[str, str, str, int]],
        missing: Sequence[str],
        anew: bool,
    ) -> None:
        """Begin a block without the missing names; warnings of its compilation are shown as if compiled here."""
        self._codes = codes
        self._block = block = self._task.blocks[index]
        if anew:
            self._names = self._fresh_names()
        for name in missing:
            self._names.pop(name, None)
        if missing:  # nor do processes know them that will be spawned
            forget = compile(f"for _ in {tuple(missing)!r}: globals().pop(_, None)", "names", "exec")
            self._replay(forget)
        refusals.open = block.options.network
        with contextlib.suppress(SyntaxError):
            self._sources.add(block, self._names["__file__"])
        for text, category, file, line in caught:
            warnings.warn_explicit(text, getattr(builtins, category, SyntaxWarning), file, line)

    def _replay(self, code: CodeType, mode: str = "a") -> None:
        """Let processes that will be spawned run this code; unless the page's code removed its folder."""
        with contextlib.suppress(OSError), self._state.open(mode, encoding="ascii") as file:
            file.write(worker.encoded(code))

    def wait(self, awaited: Any) -> None:
        if self._loop is None:
            import asyncio

            self._loop = asyncio.new_event_loop()
        self._loop.run_until_complete(awaited)

    def _exit(self) -> NoReturn:
        """Exit as a program does, but without waiting for threads, which may never end."""
        try:
            atexit._run_exitfuncs()
        finally:
            os._exit(0)

    def end_fork(self, order: Order, error: BaseException | None) -> NoReturn:
        """Run the rest of the block in a process that the code forked, and end it as Python would."""
        self._value_is_shown = self._value_is_shown or (self._block is not None and not self._block.console)
        try:
            for code in () if error else self._codes[order[1] + 1 :]:
                result = eval(code, self._names)  # nosec B307  # a snippet is code; it runs in a process of its own
                if code.co_flags & CO_COROUTINE:
                    self.wait(result)
        except BaseException as raised:
            error = raised
        status = error.code if isinstance(error, SystemExit) else int(error is not None)
        if error is not None and not isinstance(error, SystemExit):
            traceback.print_exception(error)
        elif not isinstance(status, int | None):
            print(status, file=sys.stderr)
        self._streams.flush()
        os._exit(status & 0xFF if isinstance(status, int) else int(status is not None))

    # hooks

    def _display(self, value: object) -> None:
        """Record the value of a console's expression instead of printing it; print values inside of statements."""
        if value is None:
            return
        is_script = self._block is not None and not self._block.console
        if self._value_is_shown and is_script:  # a comment states the value, which a script does not show
            with contextlib.suppress(Exception):
                self._value = text if len(text := repr(value)) <= _LONGEST_VALUE else None
            return
        text = repr(value)
        if self._value_is_shown:
            self._value = text
        else:
            print(text)
        builtins.__dict__["_"] = value

    def _show(self, name: str, png: bytes) -> None:
        self._notes.send(PictureShown(name, base64.b64encode(png).decode()))

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        if event.startswith("socket."):
            refusals.audit(event, args)
        elif event == "os.exec":
            self._streams.flush()
            self._notes.send(ProcessReplaced(os.fsdecode(args[0])))

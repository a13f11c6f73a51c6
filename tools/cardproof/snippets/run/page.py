"""Page: the process that runs a page's blocks, one statement at a time, as a reader's own program would."""

from __future__ import annotations

import atexit
import base64
import builtins
import faulthandler
import fcntl
import json
import os
import resource
import signal
import sys
import threading
import time
import traceback
from inspect import CO_COROUTINE
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn

from cardproof.snippets.run import worker
from cardproof.snippets.run.hooks import NetworkGuard, pictures, prepare_libraries
from cardproof.snippets.run.messages import (
    ACKNOWLEDGED,
    HEADER,
    BlockEnded,
    BlockStarted,
    Code,
    Message,
    PageFinished,
    PictureShown,
    ProcessReplaced,
    StatementEnded,
    StatementStarted,
    StreamSwitched,
    Task,
    message_frame,
    task_from,
)
from cardproof.snippets.run.statements import Place, Sources, Statement, statements
from cardproof.snippets.run.streams import HIGH, Streams
from cardproof.snippets.run.traceback import Failure, describe

if TYPE_CHECKING:
    import socket
    from asyncio import AbstractEventLoop

CHANNEL_LOST = 121
"""Exit status if the code closed the descriptor of the private channel."""


def run_page(channel: socket.socket, output: int, errors: int) -> NoReturn:
    """Become the page's process: read the task from the channel, run it, report, exit."""
    size = int.from_bytes(_exactly(channel, HEADER), "big")
    task = task_from(json.loads(_exactly(channel, size)))
    reports = Reports(channel, task.nonce)
    _settle(task)
    page = Page(task, reports, Streams(output, errors, lambda: reports.send(StreamSwitched())))
    page.run()
    page.leave()


def _exactly(channel: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = channel.recv(size - len(data))
        if not part:
            os._exit(CHANNEL_LOST)
        data += part
    return data


class Reports:
    """The page's end of the private channel: each message waits until the runner has read all output before it."""

    def __init__(self, channel: socket.socket, nonce: str) -> None:
        self._channel: int | None = fcntl.fcntl(channel.fileno(), fcntl.F_DUPFD_CLOEXEC, HIGH)
        channel.close()
        self._nonce = nonce
        self._lock = threading.RLock()
        os.register_at_fork(after_in_child=self._abandon)

    @property
    def abandoned(self) -> bool:
        """Whether this is a process that the page's code forked: it has nothing to report."""
        return self._channel is None

    def send(self, message: Message) -> None:
        """Send a message and wait for its acknowledgement; end the process if the channel is gone."""
        with self._lock:
            if self._channel is None:
                return
            data = memoryview(message_frame(message, self._nonce))
            try:
                while data:
                    data = data[os.write(self._channel, data) :]
                if os.read(self._channel, 1) != ACKNOWLEDGED:
                    os._exit(CHANNEL_LOST)
            except OSError:
                os._exit(CHANNEL_LOST)

    def _abandon(self) -> None:
        if self._channel is not None:
            os.close(self._channel)
        self._channel = None
        self._lock = threading.RLock()


def _settle(task: Task) -> None:
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
    crash = os.open(f"{task.folder}/crash", os.O_WRONLY | os.O_CREAT)
    faulthandler.enable(fcntl.fcntl(crash, fcntl.F_DUPFD_CLOEXEC, HIGH))
    os.close(crash)


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
    """The names, sources and loop that the blocks of a page share."""

    def __init__(self, task: Task, reports: Reports, streams: Streams) -> None:
        self._task = task
        self._reports = reports
        self._streams = streams
        self._guard = NetworkGuard()
        self._sources = Sources()
        self._state = Path(task.folder, "statements")
        self._name = task.blocks[0].file if task.blocks else "page"
        self._names = self._fresh_names()
        self._flags = 0
        self._loop: AbstractEventLoop | None = None
        self._statement: Statement | None = None
        self._value: str | None = None
        sys.argv = [self._name]
        work = str(Path.cwd())
        sys.path[:] = [work, *task.search_path, *(path for path in sys.path if path not in ("", work))]
        sys.displayhook = self._display
        sys.addaudithook(self._audit)
        pictures.keep = self._show
        prepare_libraries(task.seed)

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
        self._state.write_text(worker.encoded(compile(given, "placeholders", "exec")), encoding="ascii")
        return main.__dict__

    def run(self) -> None:
        """Run all blocks; an exception ends its block, and the next one runs."""
        for index, code in enumerate(self._task.blocks):
            self._reports.send(BlockStarted(index))
            if code.fresh:
                self._names, self._flags = self._fresh_names(), 0
            self._guard.open, self._guard.hosts = code.network, []
            failure = self._run_block(code)
            self._streams.flush()
            if self._reports.abandoned:
                os._exit(0)
            error = self._with_hosts(failure.error) if failure else None
            text, line = (failure.traceback, failure.line) if failure else ("", None)
            self._reports.send(BlockEnded(error, text, line, self._streams.closed()))

    def leave(self) -> NoReturn:
        """Exit as a program does, but without waiting for threads, which may never end."""
        others = [thread for thread in threading.enumerate() if thread is not threading.current_thread()]
        self._reports.send(PageFinished(sum(not thread.daemon for thread in others)))
        try:
            atexit._run_exitfuncs()
        finally:
            os._exit(0)

    def _run_block(self, code: Code) -> Failure | None:
        place = Place(code)
        try:
            compiled, self._flags = statements(code, self._flags)
        except (SyntaxError, ValueError, RecursionError) as error:
            return describe(error, self._sources, place, None)
        self._sources.add(code, self._names["__file__"])
        for statement in compiled:
            failure = self._run_statement(statement, place)
            if failure and not statement.states_error:
                return failure
        return None

    def _run_statement(self, statement: Statement, place: Place) -> Failure | None:
        self._reports.send(StatementStarted(statement.line, statement.end_line))
        self._statement, self._value = statement, None
        failure = None
        try:
            self._execute(statement)
        except BaseException as error:
            if self._reports.abandoned:
                self._end_fork(error)
            failure = describe(error, self._sources, place, statement)
        self._streams.flush()
        value = self._value if self._value is None else self._value[: self._task.output_bytes + 1]
        self._reports.send(StatementEnded(value, failure.error if failure else None))
        if statement.replayed and not failure and not statement.code.co_flags & CO_COROUTINE:
            with self._state.open("a", encoding="ascii") as file:
                file.write(worker.encoded(statement.code))
        return failure

    def _execute(self, statement: Statement) -> None:
        result = eval(statement.code, self._names)  # nosec B307  # a snippet is code; it runs in a process of its own
        if statement.code.co_flags & CO_COROUTINE:
            if self._loop is None:
                import asyncio

                self._loop = asyncio.new_event_loop()
            self._loop.run_until_complete(result)

    def _end_fork(self, error: BaseException) -> NoReturn:
        """End a process that the code forked, as Python would."""
        status = error.code if isinstance(error, SystemExit) else 1
        if not isinstance(error, SystemExit):
            traceback.print_exception(error)
        elif not isinstance(status, int | None):
            print(status, file=sys.stderr)
        self._streams.flush()
        os._exit(status & 0xFF if isinstance(status, int) else int(status is not None))

    def _display(self, value: object) -> None:
        """Record the value of a console's expression instead of printing it; print values inside of statements."""
        if value is None:
            return
        text = repr(value)
        if self._statement and self._statement.value_is_shown:
            self._value = text
        else:
            print(text)
        builtins.__dict__["_"] = value

    def _show(self, name: str, png: bytes) -> None:
        self._reports.send(PictureShown(name, base64.b64encode(png).decode()))

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        if event.startswith("socket."):
            self._guard.audit(event, args)
        elif event == "os.exec":
            self._streams.flush()
            self._reports.send(ProcessReplaced(os.fsdecode(args[0])))

    def _with_hosts(self, error: str) -> str:
        """Add that the network was needed if a library's error does not state it."""
        hosts = self._guard.hosts
        if not hosts or "network needed:" in error:
            return error
        return f"{error}\n{self._guard.message(hosts)}"

"""Fork client: the build's side of a fork server, and of the pages that it forks."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from msgspec import Struct

from cardproof.snippets.run.processes import close_descriptors, kill_descendants
from cardproof.snippets.run.protocol import END, Reach, frame, received

_PATIENCE = 3.0
"""Seconds that a process gets to end."""
_MOST = 1 << 16
"""Bytes that are read of what a process reports; others may write it without end."""
_BOOT = (
    "import sys; sys.path.append(sys.argv[1]); from cardproof.snippets.run.fork_server import main; "
    "main(int(sys.argv[2]), sys.argv[3:])"
)


class RunnerError(Exception):
    """Snippets cannot be run here; the message is the reason."""


class ServerState(Struct, frozen=True):
    """The state of a fork server: forking is safe with one thread and no device in use."""

    pid: int
    threads: int
    device_in_use: bool


class PageProcess(Struct, frozen=True):
    """A page's process tree, and the runner's ends of its pipes."""

    supervisor: int
    helpers: int
    """Number of the supervisor's descendants that only supervise; they come first."""
    lifeline: socket.socket
    channel: socket.socket
    orders: socket.socket
    pipes: tuple[int, int]
    report: IO[bytes]
    """What the page's process wrote when native code crashed."""

    def crash(self) -> str:
        return _first_bytes(self.report.fileno())

    def end(self) -> None:
        """End all processes of the page, through the supervisor or else directly, and close the pipes."""
        with contextlib.suppress(OSError):
            self.lifeline.send(END)
        if not self._is_over():
            kill_descendants(self.supervisor)
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.supervisor, signal.SIGKILL)
            self._is_over()
        for opened in (self.lifeline, self.channel, self.orders, self.report):
            opened.close()
        close_descriptors(*self.pipes)

    def _is_over(self) -> bool:
        """Wait for the end of the supervisor, which is the last to close the lifeline."""
        deadline = time.monotonic() + _PATIENCE
        with contextlib.suppress(OSError):
            while (left := deadline - time.monotonic()) > 0:
                if is_readable(self.lifeline, left) and not self.lifeline.recv(4096):
                    return True
            return False
        return True


class ForkServer:
    """A process that has imported ``preload`` and forks a page on request."""

    def __init__(self, environment: Mapping[str, str], preload: Sequence[str]) -> None:
        self._lock = threading.RLock()
        self._control, theirs = socket.socketpair()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the server
        root = str(Path(__file__).parents[3])
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _BOOT, root, str(theirs.fileno()), *preload],
                env=dict(environment),
                cwd=os.sep,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._log,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        self._hello: dict[str, Any] | None = None
        self._supervisors: set[int] = set()

    def is_safe(self) -> bool:
        """Return whether forking is safe: with one thread after the imports."""
        return self._receive_greeting()["threads"] == 1  # type: ignore[no-any-return]

    def exposes(self, reach: Reach) -> bool:
        """Return whether a page that wants these namespaces could read this process."""
        greeting = self._receive_greeting()
        return bool(greeting["exposed"]) and {reach, greeting["reach"]} != {"all"}

    def is_running(self) -> bool:
        return self._process.poll() is None

    def state(self) -> ServerState:
        return ServerState(self._process.pid, **self._request({"what": "state"}, ()))

    def fork(self, folder: Path, reach: Reach, network: bool) -> PageProcess:
        """Fork a process for a page, which waits for its task on the channel."""
        ours, theirs = zip(*(socket.socketpair() for _ in range(3)), strict=True)
        (output, their_output), (errors, their_errors) = os.pipe(), os.pipe()
        crash = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the page
        handed = (*(connection.fileno() for connection in theirs), their_output, their_errors, crash.fileno())
        request = {"what": "page", "folder": str(folder), "reach": reach, "network": network}
        try:
            answer = self._request(request, handed)
        except BaseException:
            for connection in ours:
                connection.close()
            crash.close()
            close_descriptors(output, errors)
            raise
        finally:
            for connection in theirs:
                connection.close()
            close_descriptors(their_output, their_errors)
        os.set_blocking(output, False)
        os.set_blocking(errors, False)
        for connection in ours:
            connection.settimeout(_PATIENCE)  # a page that reads nothing does not hold up the build
        return PageProcess(answer["pid"], answer["helpers"], ours[0], ours[1], ours[2], (output, errors), crash)

    def end(self, page: PageProcess) -> None:
        """End a page, and the remains of pages whose code killed their supervisor."""
        page.end()
        with self._lock:
            self._supervisors.discard(page.supervisor)
            if not page.helpers:
                kill_descendants(self._process.pid, self._supervisors)

    def close(self) -> None:
        kill_descendants(self._process.pid)
        self._control.close()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._end_process()
        self._log.close()

    def _end_process(self) -> None:
        self._process.kill()
        self._process.wait()

    def _request(self, request: dict[str, Any], descriptors: Sequence[int]) -> dict[str, Any]:
        """Send a request and return the answer; an error ends the server, as its next answer would be an old one."""
        with self._lock:
            try:
                self._receive_greeting()
                data = frame(request)
                sent = socket.send_fds(self._control, [data], descriptors) if descriptors else 0
                self._control.sendall(data[sent:])
                answer = self._receive_answer()
                if "helpers" in answer:
                    self._supervisors.add(answer["pid"])
                return answer
            except BaseException:
                self._end_process()
                raise

    def _receive_greeting(self) -> dict[str, Any]:
        with self._lock:
            if self._hello is None:
                self._hello = self._receive_answer()
            return self._hello

    def _receive_answer(self) -> dict[str, Any]:
        answer: dict[str, Any] | None = received(self._control)
        if answer is None:
            reason = _last_bytes(self._log.fileno()).strip().rsplit("\n", 1)[-1][:1000]
            raise RunnerError(f"the process that forks the pages ended: {reason or 'without a message'}")
        return answer


def is_readable(connection: socket.socket, seconds: float) -> bool:
    """Wait until there is something to read, or the end of it."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _first_bytes(descriptor: int) -> str:
    """Return the beginning of a regular file that this process opened itself."""
    return os.pread(descriptor, _MOST, 0).decode("utf-8", "replace")


def _last_bytes(descriptor: int) -> str:
    """Return the end of such a file."""
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, _MOST, max(0, size - _MOST)).decode("utf-8", "replace")

"""Signals that end a command: SIGTERM and SIGHUP end it as Ctrl-C does, and none of them while files are renamed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class EndedBySignal(KeyboardInterrupt):
    """A signal other than Ctrl-C asked the command to end."""

    def __init__(self, signum: int) -> None:
        super().__init__()
        self.signum = signum


def exit_status(interrupt: BaseException) -> int:
    """Return the exit status of a command that a signal ended, as shells report it: 130 after Ctrl-C."""
    cause = interrupt if isinstance(interrupt, EndedBySignal) else interrupt.__cause__  # click wraps it
    return 128 + (cause.signum if isinstance(cause, EndedBySignal) else signal.SIGINT)


@contextmanager
def orderly_end() -> Iterator[None]:
    """Raise :class:`EndedBySignal` in the block after SIGTERM and SIGHUP, so that what it started is ended too.

    A signal that is ignored, as by ``nohup``, stays ignored.
    """
    with _signal_handlers(_raise_ended, only=signal.SIG_DFL):
        yield


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold back the signals that end a command until the block has ended, which should take milliseconds."""
    held: list[int] = []
    try:
        with _signal_handlers(lambda signum, _: held.append(signum)):
            yield
    finally:
        if held:
            signal.raise_signal(held[0])


@contextmanager
def _signal_handlers(handler: Callable[[int, FrameType | None], object], only: object = None) -> Iterator[None]:
    """Handle the ending signals in the block, in the main thread; with ``only``, those that have that handler."""
    before: dict[int, Any] = {}
    try:
        for number in ENDING if threading.current_thread() is threading.main_thread() else ():
            found = signal.getsignal(number)
            if found is not None and only in (None, found):
                before[number] = found
                signal.signal(number, handler)
        yield
    finally:
        for number, found in before.items():
            signal.signal(number, found)


def _raise_ended(signum: int, _: FrameType | None) -> None:
    raise EndedBySignal(signum)

"""Listeners of a training run, its speed, and interruption."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from res2next.training_log import Progress, TrainingLog

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from res2next.distributed import World
    from res2next.training_log import LogRow

REPORT_EVERY = 10
"""Updates between two reports: reading a loss blocks a GPU."""


class Listener(Protocol):
    """Receives the progress of training."""

    def progress(self, progress: Progress) -> None:
        """Called after every tenth update."""

    def epoch(self, row: LogRow, held_out: int) -> None:
        """Called after every epoch, with the number of held-out images."""

    def notice(self, text: str) -> None:
        """Called with a message for the user."""


class Listeners:
    """Calls all listeners; the log is one of them."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self.listeners = listeners

    def __enter__(self) -> Listeners:
        return self

    def __exit__(self, *_: object) -> None:
        for listener in self.listeners:
            if isinstance(listener, TrainingLog):
                listener.close()

    def progress(self, progress: Progress) -> None:
        for listener in self.listeners:
            listener.progress(progress)

    def epoch(self, row: LogRow, held_out: int) -> None:
        for listener in self.listeners:
            listener.epoch(row, held_out)

    def notice(self, text: str) -> None:
        for listener in self.listeners:
            listener.notice(text)


class Clock:
    """The speed of training since it was started or continued, and its duration, of which ``before`` was earlier."""

    def __init__(self, first: int, total: int, batch_size: int, before: float) -> None:
        self.first, self.total, self.batch_size, self.before = first, total, batch_size, before
        self.started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Duration of training so far."""
        return self.before + time.monotonic() - self.started

    def images_per_second(self, step: int) -> float:
        """Mean since the start, including time for checkpoints and held-out images."""
        return (step - self.first) * self.batch_size / max(time.monotonic() - self.started, 1e-9)

    def progress(self, step: int, epoch: int, epochs: int, rate: float, loss: float) -> Progress:
        """Progress after update ``step`` in ``epoch``, counted from 0."""
        speed = self.images_per_second(step)
        left = (self.total - step) * self.batch_size / speed
        return Progress(epoch + 1, epochs, step, self.total, rate, loss, speed, left)


class Stop:
    """Whether training shall stop."""

    def __init__(self) -> None:
        self.requested = False

    def requested_by_any(self, step: int, world: World) -> bool:
        """Whether any process shall stop. All get the same answer, after the same update: none can go on alone."""
        if world.size == 1:
            return self.requested
        if step % REPORT_EVERY:
            return False
        return world.broadcast(any(world.gather(self.requested)))


@contextmanager
def interruptions() -> Iterator[Stop]:
    """Let SIGINT and SIGTERM request a stop, so that a checkpoint is written; a second one interrupts at once."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield stop
        return
    before: dict[signal.Signals, Any] = {}

    def request(number: int, _: object) -> None:
        stop.requested = True
        signal.signal(number, before[signal.Signals(number)])

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, request)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""Who follows a training run, how fast it goes, and who may stop it."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from res2next.training_log import TrainingLog

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from res2next.distributed import World
    from res2next.training_log import LogRow

REPORTED = 10
"""Updates between two reports: reading a loss makes a GPU wait."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where training stands within an epoch."""

    epoch: int
    """From 1."""
    epochs: int
    step: int
    """Updates that are done."""
    steps: int
    learning_rate: float
    loss: float
    images_per_second: float
    seconds_left: float


class Listener(Protocol):
    """Who wants to know how training goes."""

    def progress(self, progress: Progress) -> None:
        """After every tenth update."""

    def epoch(self, row: LogRow, held_out: int) -> None:
        """After every epoch, with the number of images that are held out."""

    def notice(self, text: str) -> None:
        """Something that a person should know."""


class Audience:
    """Tells all listeners; the log is one of them."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self.listeners = listeners

    def __enter__(self) -> Audience:
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
    """How fast training goes since it was started or continued."""

    def __init__(self, first: int, total: int, batch_size: int) -> None:
        self.first, self.total, self.batch_size = first, total, batch_size
        self.started = time.monotonic()

    def images_per_second(self, step: int) -> float:
        """Mean since the start; time for checkpoints and held-out images counts."""
        return (step - self.first) * self.batch_size / max(time.monotonic() - self.started, 1e-9)

    def progress(self, step: int, epoch: int, epochs: int, rate: float, loss: float) -> Progress:
        """Where training stands after update ``step`` in ``epoch``, counted from 0."""
        speed = self.images_per_second(step)
        left = (self.total - step) * self.batch_size / speed
        return Progress(epoch + 1, epochs, step, self.total, rate, loss, speed, left)


class Stop:
    """Whether somebody asked training to stop."""

    def __init__(self) -> None:
        self.asked = False

    def everywhere(self, step: int, world: World) -> bool:
        """Whether any process was asked. All are told so after the same update, since none may go on alone."""
        if world.size == 1:
            return self.asked
        if step % REPORTED:
            return False
        return world.broadcast(any(world.gather(self.asked)))


@contextmanager
def interruptions() -> Iterator[Stop]:
    """SIGINT and SIGTERM only ask to stop, so that a checkpoint can be written; a second one interrupts at once."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield stop
        return
    before: dict[signal.Signals, Any] = {}

    def ask(number: int, _: object) -> None:
        stop.asked = True
        signal.signal(number, before[signal.Signals(number)])

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

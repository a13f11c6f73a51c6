"""The time of a measurement, how a build is made whose bytes can be compared with another's, and limits on time."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec.structs import replace

from cardproof.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from cardproof.core.types import Environment

VARIABLE = "SOURCE_DATE_EPOCH"
"""Seconds since 1970 that stand for the time of a build, by the specification of reproducible-builds.org: all was
measured then, and took no time."""


def time_of_build() -> str | None:
    """Return the time that stands for all of a build, in UTC, ISO 8601; None where each measurement has its own.

    Raises InputError where the variable is no number of seconds.
    """
    text = os.environ.get(VARIABLE)
    if not text:
        return None
    try:
        return _written(datetime.fromtimestamp(int(text), UTC))
    except (ValueError, OverflowError, OSError):
        raise InputError(f"{VARIABLE}={text}: it is no number of seconds since 1970") from None


def now() -> str:
    """Return the time to record, in UTC, ISO 8601. Raises InputError as :func:`time_of_build`."""
    return time_of_build() or _written(datetime.now(UTC))


def as_recorded(environment: Environment) -> Environment:
    """Return where and when something was measured as its record says it.

    Raises InputError as :func:`time_of_build`.
    """
    when = time_of_build()
    if not when or not environment.measured:
        return environment
    return replace(environment, measured=when, seconds=0.0)


def _written(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def time_limit(seconds: int, what: str) -> Iterator[None]:
    """Raise TimeoutError (``what`` N seconds) in the main thread once the time is over.

    Python code is interrupted wherever it is; a call into native code is interrupted when it returns. Without alarm
    signals (outside the main thread, on Windows) there is no limit.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def over(signum: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"{what} {seconds} seconds")

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

"""The time of measurements and of reproducible builds, and limits on time."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import FrameType

from msgspec.structs import replace

from cardproof.core.errors import InputError
from cardproof.core.measurements import Environment

TIME_LIMIT = 300
"""Seconds that importing a zoo may take, and then building, counting and explaining one model; the largest of timm's
take two."""

VARIABLE = "SOURCE_DATE_EPOCH"
"""Seconds since 1970 that replace all times of a build, by the specification of reproducible-builds.org; durations
become 0."""


def build_time() -> str | None:
    """Return the time that replaces all times of a build, in UTC, ISO 8601; None if the variable is not set.

    Raises InputError if the variable is not a number of seconds.
    """
    text = os.environ.get(VARIABLE)
    if not text:
        return None
    try:
        return _iso_time(datetime.fromtimestamp(int(text), UTC))
    except (ValueError, OverflowError, OSError):
        raise InputError(f"{VARIABLE}={text}: it is not a number of seconds since 1970") from None


def now() -> str:
    """Return the time to record, in UTC, ISO 8601. Raises InputError like :func:`build_time`."""
    return build_time() or _iso_time(datetime.now(UTC))


def recorded_environment(environment: Environment) -> Environment:
    """Return an environment with the time of the build, if that is set. Raises InputError like :func:`build_time`."""
    when = build_time()
    return replace(environment, measured=when, seconds=0.0) if when and environment.measured else environment


def _iso_time(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def time_limit(seconds: int, what: str) -> Iterator[None]:
    """Raise TimeoutError (``what`` N seconds) in the main thread once the time is over.

    A call into native code is interrupted when it returns: the parent of a worker has a limit of its own. Without alarm
    signals (outside the main thread, on Windows) there is no limit here.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def expire(signum: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"{what} {seconds} seconds")

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

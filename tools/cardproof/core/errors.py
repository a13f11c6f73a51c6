"""Errors that a caller can act on, and the boundary that turns all others into findings."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cardproof.core.types import MOST_SHOWN, Finding, Place, shorten

TRACEBACKS = "CARDPROOF_TRACEBACK"
"""Environment variable: if it is set, the traceback of an internal error is printed on standard error."""
REPORT = f"a fault of cardproof: please report it with the command and the card ({TRACEBACKS}=1 shows where it is)"


class InputError(Exception):
    """An input that cannot be read at all: a path that does not exist, an invalid setting."""


@contextmanager
def boundary(
    report: Callable[[Finding], object], place: Place, check: str, doing: str, *, fatal: bool = False
) -> Iterator[None]:
    """Turn an exception inside into one finding at a place, so that the rest goes on; InputError passes.

    ``doing`` follows the words "internal error". ``fatal``: the file at the place could not be read.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        message = f"internal error {doing}: {said(error)}"
        report(Finding(place, check, "error", message, REPORT, fatal=fatal, internal=True))


def said(error: BaseException) -> str:
    """Return the kind and the text of an error on one line, and print its traceback if that is asked for."""
    if os.environ.get(TRACEBACKS):
        import traceback

        traceback.print_exception(error, file=sys.stderr)
    text = shorten(" ".join(str(error)[: MOST_SHOWN * 2].split()))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__

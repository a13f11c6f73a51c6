"""Errors that a caller can act on, and the boundary that turns all others into findings."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from cardproof.core.types import Finding, Place, shorten

LONGEST = 2000
"""Characters of an error's text that are kept: foreign code may put a whole file into it."""
TRACEBACKS = "CARDPROOF_TRACEBACK"
"""Environment variable: if it is set, the traceback of an internal error is printed on standard error."""
REPORT = f"a fault of cardproof: please report it with the command and the card ({TRACEBACKS}=1 shows where it is)"


class InputError(Exception):
    """An input that cannot be read at all: a path that does not exist, an invalid setting."""


class TemplatesError(Exception):
    """A template that cannot be rendered, for the reasons in ``findings``."""

    def __init__(self, findings: list[Finding]) -> None:
        super().__init__("; ".join(f"{finding.place}: {finding.message}" for finding in findings))
        self.findings = findings


def did_you_mean(word: str, known: Iterable[str], most: int = 3) -> str:
    """Return ``; did you mean …?`` with the known words most similar to a word; empty if none is similar.

    Case and punctuation are ignored; a word that differs in nothing else is the only one.
    """
    import difflib

    plain = {_letters(other): other for other in known}
    same = _letters(word)[:200]
    near = [same] if same in plain else difflib.get_close_matches(same, plain, most, 0.6)
    return f"; did you mean {' or '.join(plain[other] for other in near)}?" if near else ""


def _letters(word: str) -> str:
    return "".join(character for character in word.lower() if character.isalnum())


def error_text(error: BaseException) -> str:
    """Return an exception's type and message, whatever foreign code made of it: cut, and without lone surrogates."""
    try:
        text = str(error)
    except BaseException:  # its ``__str__`` is foreign code too
        text = "(its text cannot be read)"
    text = text.encode("utf-8", "backslashreplace").decode()
    return f"{type(error).__name__}: {text}"[:LONGEST] if text else type(error).__name__


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
        message = f"internal error {doing}: {describe_error(error)}"
        report(Finding(place, check, "error", message, REPORT, fatal=fatal, internal=True))


def describe_error(error: BaseException) -> str:
    """Return the kind and the text of an error on one line, and print its traceback if that is asked for."""
    if os.environ.get(TRACEBACKS):
        import traceback

        traceback.print_exception(error, file=sys.stderr)
    return shorten(" ".join(error_text(error).split()))

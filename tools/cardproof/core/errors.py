"""Errors that a caller can act on, and the text of any other."""

from __future__ import annotations

LONGEST = 2000
"""Characters of an error's text that are kept: foreign code may put a whole file into it."""


class InputError(Exception):
    """An input that cannot be read at all: a path that does not exist, an invalid setting."""


def error_text(error: BaseException) -> str:
    """Return an exception's type and message, whatever foreign code made of it: cut, and without lone surrogates."""
    try:
        text = str(error)
    except BaseException:  # its ``__str__`` is foreign code too
        text = "(its text cannot be read)"
    text = text.encode("utf-8", "backslashreplace").decode()
    return f"{type(error).__name__}: {text}"[:LONGEST]

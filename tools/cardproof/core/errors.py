"""Errors that a caller can act on."""

from __future__ import annotations


class InputError(Exception):
    """An input that cannot be read at all: a path that does not exist, an invalid setting."""

"""Errors that a caller can act on."""

from __future__ import annotations


class InputError(Exception):
    """What was asked for cannot be read at all: a path that does not exist, a setting that means nothing."""

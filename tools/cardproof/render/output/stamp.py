"""The last line of what was rendered: where it comes from, and a digest that shows whether somebody edited it."""

from __future__ import annotations

import hashlib
import re

_STAMP = re.compile(
    r"(?:<!--|/\*) cardproof: rendered from (?P<template>.*); edit that file, not this one\. "
    r"(?P<digest>\w{16}) (?:-->|\*/)\n"
)


def stamped(text: str, template: str) -> str:
    """Return a page's text with its stamp."""
    body = text.rstrip("\n") + "\n\n"
    template = template.replace("--", "—")  # two hyphens would end the comment
    return f"{body}<!-- cardproof: rendered from {template}; edit that file, not this one. {_digest(body)} -->\n"


def stamped_asset(text: str, source: str) -> str:
    """Return a style sheet or script with its stamp."""
    body = text.rstrip("\n") + "\n\n"
    return f"{body}/* cardproof: rendered from {source}; edit that file, not this one. {_digest(body)} */\n"


def template_of(text: str) -> str | None:
    """Return the source that a stamp names; None for a file that was not rendered."""
    match = _STAMP.search(text.replace("\r\n", "\n"))
    return match["template"] if match else None


def is_edited(text: str) -> bool:
    """Return whether a file with a stamp is not what was rendered."""
    text = text.replace("\r\n", "\n")
    match = _STAMP.search(text)
    if match is None:
        return False
    return match.end() != len(text) or _digest(text[: match.start()]) != match["digest"]


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:16]

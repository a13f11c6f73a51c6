"""Anchors of headings, rows and records."""

from __future__ import annotations

import re


def slug(text: str) -> str:
    """Return a text as the anchor of a heading or row."""
    return re.sub(r"[^a-z0-9_.]+", "-", text.lower()).strip("-") or "x"

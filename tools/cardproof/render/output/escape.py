"""Escaping of values that come from cards, for Markdown and for HTML inside Markdown."""

from __future__ import annotations

import html
import re
from typing import Any

_ENTITIES = {
    **{c: f"\\{c}" for c in "\\`*_{}[]"},
    **{c: f"&#{ord(c)};" for c in "|~^=$:#"},
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
}
_SPECIAL = re.compile("[" + re.escape("".join(_ENTITIES)) + "]")


def markdown_text(value: Any) -> str:
    """Return a value as text that Markdown and HTML show as it is, on one line (table cells, headings, attributes)."""
    return _SPECIAL.sub(lambda match: _ENTITIES[match.group()], " ".join(str(value).split()))


def html_text(value: Any) -> str:
    """Return a value as text of raw HTML or SVG, on one line; braces too, which macros of other plugins would read."""
    text = html.escape(" ".join(str(value).split()))
    return text.replace("{", "&#123;").replace("}", "&#125;").replace("`", "&#96;")


def code_text(value: Any) -> str:
    """Return a value as inline code that is safe in a table cell."""
    return f"<code>{markdown_text(value)}</code>" if str(value).strip() else ""

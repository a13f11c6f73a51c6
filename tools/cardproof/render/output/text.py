"""Text of pages: escapes, anchors, minified HTML, and the stamp of rendered files."""

from __future__ import annotations

import hashlib
import re
from typing import Any

_ENTITIES = {
    **{c: f"\\{c}" for c in "\\`*_[]"},
    **{c: f"&#{ord(c)};" for c in "|~^=$:#{}"},
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
}
_SPECIAL = re.compile("[" + re.escape("".join(_ENTITIES)) + "]")


def markdown_text(value: Any) -> str:
    """Return a value escaped for Markdown and HTML, on one line (table cells, headings, attributes)."""
    return _SPECIAL.sub(lambda match: _ENTITIES[match.group()], " ".join(str(value).split()))


def html_text(value: Any) -> str:
    """Return a value escaped for raw HTML or SVG, on one line.

    Also braces, which other plugins may expand, and what Markdown reads before a tag within a line.
    """
    from html import escape  # a warm build does not need it

    return escape(" ".join(str(value).split())).translate(_BEFORE_TAGS)


_BEFORE_TAGS = str.maketrans({character: f"&#{ord(character)};" for character in "{}`[]\\"})


def entity_text(value: Any) -> str:
    """Return a value escaped for HTML that Markdown leaves alone in one place and reads in another, as in a tab."""
    return _SPECIAL.sub(lambda match: f"&#{ord(match.group())};", " ".join(str(value).split()))


def code_text(value: Any) -> str:
    """Return a value as inline code for a table cell."""
    return f"<code>{markdown_text(value)}</code>" if str(value).strip() else ""


def fence_for(text: str) -> str:
    """Return the backticks of a fence around a text, which no line of the text closes."""
    return "`" * max([3, *(len(ticks) + 1 for ticks in re.findall("`+", text))])


def page_link(path: str, anchor: str = "") -> str:
    """Return a relative path as the address of a link in Markdown or HTML: no name of a file can end or change it."""
    from urllib.parse import quote

    return quote(path) + (f"#{quote(anchor)}" if anchor else "")


def plain_text(text: str) -> str:
    """Return a text for the header of a page: themes put title and description into HTML and attributes unescaped."""
    kept = "".join(character for character in " ".join(text.split()) if character.isprintable())
    return kept.translate(_PLAIN)


_PLAIN = str.maketrans({"<": "‹", ">": "›", '"': "”"})
_EXPANDED = re.compile(r"-8<-|\{\{|\{%|\{#")


def is_expanded(text: str) -> bool:
    """Return whether other plugins could replace parts of a text, also in a block of code: includes and macros."""
    return _EXPANDED.search(text) is not None


def inert_text(text: str) -> str:
    """Return a text of several lines for a block of code, which no line of the text closes.

    It is without characters that Markdown removes or takes for the end of a line; a blank without width is in what
    other plugins would replace.
    """
    text = _CONTROLS.sub("\ufffd", text.replace("\r\n", "\n"))
    return _EXPANDED.sub(lambda found: "\u200b".join(found.group()), text)


_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f\x85\u2028\u2029]")


def slug(text: str) -> str:
    """Return a text as the anchor of a heading, row or record."""
    return re.sub(r"[^a-z0-9_.]+", "-", text.lower()).strip("-") or "x"


_PREFORMATTED = re.compile(r"<(/?)(pre|textarea|script|style)\b", re.IGNORECASE)
_LINE_BREAK = re.compile(r"(?<![ \t\r\f])[ \t\r\f]*+\n[ \t\r\n\f]*+")
_IN_TABLE = re.compile(r"(?<=>)\n(?=</?(?:t[dhr]|thead|tbody)\b)")
"""Line breaks between the parts of a table, which browsers do not show."""


def minify(page: str) -> str:
    """Return an HTML page without what browsers do not need: a sixth smaller.

    Whitespace that has a line break becomes one line break, but in ``pre``, ``textarea``, ``script`` and ``style``;
    values of attributes that are one word lose their quotes.
    """
    parts: list[str] = []
    start, inside = 0, ""
    for tag in _PREFORMATTED.finditer(page):
        closes, name = bool(tag[1]), tag[2].lower()
        if inside and closes and name == inside:
            kept = page[start : tag.start()]
            parts.append(_without_quotes(kept) if inside == "pre" else kept)
            start, inside = tag.start(), ""
        elif not inside and not closes:
            parts.append(_without_quotes(_collapse_line_breaks(page[start : tag.start()])))
            start, inside = tag.start(), name
    rest = page[start:]
    return "".join([*parts, rest if inside else _without_quotes(_collapse_line_breaks(rest))])


_TAG = re.compile(r"""<[a-zA-Z](?:[^<>"']++|"[^"<>]*+"|'[^'<>]*+')*+>""")
_ATTRIBUTE = re.compile(r"""([ \n][a-zA-Z-]++=)(?:"([\w.#:-]++)"(?=[ \n>])|"[^"]*+"|'[^']*+')""", re.ASCII)


def _without_quotes(text: str) -> str:
    return _TAG.sub(
        lambda tag: _ATTRIBUTE.sub(lambda found: found[1] + (found[2] or found[0][len(found[1]) :]), tag[0]), text
    )


def _collapse_line_breaks(text: str) -> str:
    return _IN_TABLE.sub("", _LINE_BREAK.sub("\n", text))


_STAMP = re.compile(
    r"(?:<!--|/\*) cardproof: rendered from (?P<template>.*); edit that file, not this one\. "
    r"(?P<digest>\w{16})(?: (?P<source>\w{16}))? (?:-->|\*/)\n"
)
"""The last line of a rendered file: its source, a digest that shows whether it was edited, and one of its source."""


def add_stamp(text: str, template: str, source: str | None = None) -> str:
    """Return a page's text with its stamp; ``source`` is the text of its template."""
    body = text.rstrip("\n") + "\n\n"
    template = template.replace("--", "—")  # two hyphens would end the comment
    digests = _digest(body) if source is None else f"{_digest(body)} {_source_digest(source)}"
    return f"{body}<!-- cardproof: rendered from {template}; edit that file, not this one. {digests} -->\n"


def add_asset_stamp(text: str, source: str) -> str:
    """Return a style sheet or script with its stamp."""
    body = text.rstrip("\n") + "\n\n"
    return f"{body}/* cardproof: rendered from {source}; edit that file, not this one. {_digest(body)} */\n"


def read_stamp(text: str) -> str | None:
    """Return the source that a stamp names; None for a file that was not rendered."""
    match = _STAMP.search(text.replace("\r\n", "\n"))
    return match["template"] if match else None


def is_edited(text: str) -> bool:
    """Return whether a file with a stamp was edited after it was rendered."""
    text = text.replace("\r\n", "\n")
    match = _STAMP.search(text)
    if match is None:
        return False
    return match.end() != len(text) or _digest(text[: match.start()]) != match["digest"]


def is_older(text: str, source: str) -> bool:
    """Return whether a page was rendered from another text of its template; False if its stamp does not tell."""
    match = _STAMP.search(text.replace("\r\n", "\n"))
    return bool(match and match["source"] and match["source"] != _source_digest(source))


def _source_digest(text: str) -> str:
    return _digest(text.replace("\r\n", "\n"))


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:16]

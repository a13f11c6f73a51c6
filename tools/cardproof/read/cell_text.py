"""The text of a table's cell: the name or value in it, without marks of Markdown and HTML and without footnotes."""

from __future__ import annotations

import html
import re

MAX_TEXT = 3000
"""Characters of a cell; in a longer one no marks are looked for."""

_WRAPPED = (
    re.compile(r"(?P<mark>\*\*\*|\*\*|__|~~|\*|_|`|\$)(?P<inner>[^*_`\n~$].{0,500})(?P=mark)", re.DOTALL),
    re.compile(r"\[(?P<inner>[^\[\]\n]{1,500})\](?:\([^()\n]{0,2000}\)|\[[^\[\]\n]{0,200}\])?"),
)
_EMOJI = (
    "\U0001f000-\U0001faff\u2600-\u2715\u2719-\u274b\u274d\u274f-\u2794\u2798-\u27bf\u2b00-\u2bff\ufe0e\ufe0f\u200d"
)
"""Pictures, stars and check marks with what joins them; not crosses and signs, which may change what is said."""
_PICTURES = re.compile(f"[{_EMOJI}]+")
_TAG = r"<[A-Za-z/][^<>]{0,1000}>"
_LEADING = re.compile(rf"(?:\s|&nbsp;|{_TAG}|[{_EMOJI}])+")
_TRAILING = re.compile(
    rf"(?:\s|&nbsp;|<(?P<small>sup|sub)>[^<>]{{0,40}}</(?P=small)>|{_TAG}|\[\^[^\[\]]{{1,40}}\]|\\?[*†‡§¶^]|[¹²³⁰⁴-⁹{_EMOJI}])\Z"
)
_CITED = re.compile(r"\s?\[(?:\d{1,3}|\[\d{1,3}\]\([^()\s]{1,500}\))\]\Z")
_APPROXIMATE = re.compile(r"(?:\\?[~≈∼]|about\b|approx\.?|circa\b|ca\.)\s?", re.IGNORECASE)
APPROXIMATE = re.compile(r"(?:[~≈∼]|\babout|\bapprox\.?|\bcirca|\bca\.)[\s*_`$]{0,9}\Z", re.IGNORECASE)
"""The same at the end of what stands before a value."""
_WORDS = re.compile(r"\s?\((?P<words>[^()]{0,100})\)\Z")
_LINK = re.compile(r"\[(?P<text>[^\[\]\n]{0,500})\]\((?P<link>[^()\s]{1,2000})\)")
_HREF = re.compile(r"<a\s[^<>]{0,500}?href\s?=\s?[\"'](?P<link>[^\"'<>]{1,2000})[\"'][^<>]{0,500}>")


def inner(text: str, first: int, last: int) -> tuple[int, int]:
    """Return the span of a name or value in a cell: without the marks and pictures around it."""
    for _ in range(20):
        if last - first > MAX_TEXT:
            break
        before = first, last
        if match := _LEADING.match(text, first, last):
            first = match.end()
        match = next((found for mark in _WRAPPED if (found := mark.fullmatch(text, first, last))), None)
        if match is not None:
            first, last = match.span("inner")
        else:
            last = _without_footnote(text, first, last)
        if (first, last) == before:
            break
    return first, last


def _without_footnote(text: str, first: int, last: int) -> int:
    """Return the end of a cell's text without what stands last in it: a mark, a tag, a citation."""
    start = max(first, last - 1100)
    while last > start:
        part = text[start:last]
        match = next((found for found in _ends(part) if found), None)
        if match is None or start + match.start() < first:
            break
        last = start + match.start()
        if text.endswith(("*", "_", "`"), first, last):
            break  # emphasis may be what remains
    return last


def _ends(part: str) -> tuple[re.Match[str] | None, ...]:
    at = max(part.rfind("<sup>"), part.rfind("<sub>"))
    small = _TRAILING.match(part, at) if at >= 0 else None
    opened = part.rfind("<")
    tag = _TRAILING.match(part, opened) if opened >= 0 and part.endswith(">") else None
    bracket = part.rfind("[^")
    note = _TRAILING.match(part, bracket) if bracket >= 0 and part.endswith("]") else None
    short = [_TRAILING.match(part, len(part) - size) for size in (2, 1, 6) if len(part) >= size]
    return (small, tag, note, *short, _CITED.search(part) if part.endswith("]") else None)


def value_of(text: str, first: int, last: int) -> tuple[int, int]:
    """Return the span of a number in a cell: also without "about" before it and words in brackets behind it."""
    for _ in range(5):
        before = first, last = inner(text, first, last)
        if match := _APPROXIMATE.match(text, first, last):
            first = match.end()
        start = max(first, last - 120)
        words = _WORDS.search(text[start:last])
        if words and start + words.start() > first and not any(character.isdigit() for character in words["words"]):
            last = start + words.start()
        if (first, last) == before:
            break
    return first, last


def plain(text: str) -> str:
    """Return a head or caption as plain text: line breaks are spaces; tags, marks and pictures are left out."""
    if len(text) > MAX_TEXT:
        return ""
    text = re.sub(r"<[bB][rR]\s?/?>", " ", text)
    text = html.unescape(re.sub(_TAG, "", text))
    text = _LINK.sub(lambda match: match["text"], text)
    text = re.sub(r"\[\^[^\[\]]{1,40}\]|[*`$\\]", "", text)
    return " ".join(_PICTURES.sub(" ", text).split())


def links_of(text: str, first: int, last: int) -> list[tuple[str, int, int]]:
    """Return the links in a cell with their spans, of Markdown and of HTML."""
    if last - first > MAX_TEXT:
        return []
    found = [match for mark in (_LINK, _HREF) for match in mark.finditer(text, first, last)]
    return [(match["link"], *match.span("link")) for match in found]

"""The BibTeX entries of a card, split one by one, so that a broken one does not spoil the others."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache

from msgspec import Struct

MAX_ENTRY = 20_000
"""Characters of one entry; a longer one is not a citation."""
MAX_ENTRIES = 100

_ENTRY = re.compile(r"^[ \t]{0,12}@([A-Za-z]{2,30})[ \t]{0,12}\{", re.MULTILINE)
_NOT_ENTRIES = ("comment", "preamble", "string")
MAX_STRINGS = 5_000
"""Characters of all abbreviations (``@string``) of a text; each entry is read together with them."""
ARXIV = re.compile(
    r"(?:arxiv[:./ ]*|arxiv\.org/(?:abs|pdf)/|\babs/)(?P<id>\d{4}\.\d{4,5}|[a-z-]{2,12}/\d{7})", re.IGNORECASE
)
ARXIV_NUMBER = re.compile(r"(?:\d{4}\.\d{4,5}|[a-z-]{2,12}(?:\.[A-Z]{2})?/\d{7})(?:v\d{1,3})?")
DOI = re.compile(r"10\.\d{4,9}/[^\s\"'<>{}]{1,200}")


class Entry(Struct, frozen=True):
    """One citation."""

    kind: str
    key: str
    fields: Mapping[str, str]
    """Values without braces and quotes, by the field's name in lower case."""
    at: Mapping[str, int]
    """For each field, the position of its value in the text."""
    start: int
    """Position in the text."""
    end: int
    error: str = ""
    """Why it cannot be read; then it has no fields."""


@lru_cache(maxsize=8)
def entries_of(text: str) -> tuple[Entry, ...]:
    """Return the BibTeX entries of a text, in order."""
    entries: list[Entry] = []
    strings, position = "", 0
    while len(entries) < MAX_ENTRIES and (match := _ENTRY.search(text, position)):
        end = _closing_brace(text, match.end())
        position = end if end is not None else match.end()
        if match[1].lower() in _NOT_ENTRIES:
            abbreviation = text[match.start() : position] if match[1].lower() == "string" and end else ""
            strings += abbreviation if len(strings) + len(abbreviation) < MAX_STRINGS else ""
            continue
        entries.append(_entry(text, match, end, strings))
    return tuple(entries)


def address_of(entry: Entry) -> str | None:
    """Return the arXiv or DOI address that an entry states."""
    eprint = entry.fields.get("eprint", "")
    archive = entry.fields.get("archiveprefix", entry.fields.get("eprinttype", "")).lower()
    if archive == "arxiv" and ARXIV_NUMBER.fullmatch(eprint):
        return f"https://arxiv.org/abs/{eprint}"
    for name in ("journal", "url", "note", "volume", "howpublished"):
        if found := ARXIV.search(entry.fields.get(name, "")):
            return f"https://arxiv.org/abs/{found['id']}"
    for name in ("doi", "url"):
        if doi := DOI.search(entry.fields.get(name, "")):
            return f"https://doi.org/{doi.group().rstrip('.,;')}"
    return None


@lru_cache(maxsize=1000)
def plain_value(text: str) -> str:
    """Return a BibTeX value as a reader sees it: without braces, with accents, with single blanks."""
    from pybtex.exceptions import PybtexError
    from pybtex.richtext import Text

    try:
        shown = str(Text.from_latex(text))
    except (PybtexError, ValueError, RecursionError):
        shown = re.sub("[{}]", "", text)
    return " ".join(shown.split())


def normal_title(title: str) -> str:
    """Return the letters and digits of a title, without case, accents and punctuation."""
    decomposed = unicodedata.normalize("NFKD", title)
    return "".join(character.lower() for character in decomposed if character.isalnum())


def _closing_brace(text: str, start: int) -> int | None:
    """Return the position after the brace that closes an entry; None if it is not closed."""
    depth = 1
    for match in re.compile(r"\\.|[{}]", re.DOTALL).finditer(text, start, min(len(text), start + MAX_ENTRY)):
        depth += {"{": 1, "}": -1}.get(match.group(), 0)
        if not depth:
            return match.end()
    return None


def _entry(text: str, match: re.Match[str], end: int | None, strings: str) -> Entry:
    from pybtex.database.input.bibtex import Parser
    from pybtex.exceptions import PybtexError

    kind, start = match[1].lower(), match.start()
    if end is None:
        return Entry(kind, "", {}, {}, start, match.end(), "it is never closed")
    whole = text[start:end]
    try:
        ((key, entry),) = Parser().parse_string(strings + whole).entries.items()
    except (PybtexError, ValueError, RecursionError) as trouble:
        said = " ".join(str(trouble).split())
        if said.startswith("Too many commas in"):
            said = f"names of persons are separated by commas instead of 'and': {said.partition(' in ')[2]}"
        return Entry(kind, "", {}, {}, start, end, said)
    at: dict[str, int] = {}
    for found in re.finditer(r"(?:^|[,\n])[ \t]{0,40}([A-Za-z-]{1,30})[ \t]{0,40}=[ \t]{0,40}", whole):
        at.setdefault(found[1].lower(), start + found.end())
    fields = {name.lower(): str(value) for name, value in entry.fields.items()}
    return Entry(entry.type.lower(), str(key), fields, at, start, end)

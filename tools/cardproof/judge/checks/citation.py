"""Citation: the BibTeX of a card against the paper that its model index names, and against BibTeX's own rules.

**What it does.** Reads each entry by itself and reports:

- `citation-syntax`: an entry that BibTeX cannot read, a year that is none, a month that is none, an arXiv number or a
  DOI that cannot be one.
- `citation-paper`: no citation of the card has the title of the field `Paper` (case, punctuation and accents do not
  count), or the two name different years, arXiv numbers or DOIs.
- `page-range`: pages with a dash that is not ASCII, which BibTeX styles print as it is or drop; write `--`.

**Why.** Citations are pasted into papers unread. One that belongs to another paper gives credit to the wrong authors.

**Example.** `@article{a, title={A}, year={2020}, month={2020}}` gives `month is '2020', which is a year`.

**Fix.** Two hyphens in page ranges, with `--fix-unsafe`. **Settings.** None.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from cardproof.core.source import Source
from cardproof.core.types import Finding, Fix
from cardproof.core.yaml import Mapping, Scalar
from cardproof.judge.checks import CardContext, Check
from cardproof.read.bibtex import ARXIV, ARXIV_NUMBER, DOI, Entry, entries_of, normal_title, plain

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DASHES = "‐‑‒–—―−"


def check_card(context: CardContext) -> Iterator[Finding]:
    """Report invalid citations, and those of another paper."""
    source = context.card.source
    entries = entries_of(source.text)
    for entry in entries:
        yield from _by_itself(entry, source)
    readable = [entry for entry in entries if entry.fields]
    if readable:
        yield from _against_papers(context, readable)


def _by_itself(entry: Entry, source: Source) -> Iterator[Finding]:
    if entry.error:
        place = source.place(entry.start)
        yield Finding(place, "citation-syntax", "warning", f"BibTeX cannot read this entry: {entry.error}")
        return

    def wrong(name: str, message: str, hint: str | None = None) -> Finding:
        return Finding(source.place(entry.at.get(name, entry.start)), "citation-syntax", "warning", message, hint)

    year = entry.fields.get("year", "").strip("{} ")
    if year and not re.fullmatch(r"(1[89]|20)\d\d", year):
        yield wrong("year", f"'{year}' is not a year")
    month = entry.fields.get("month", "").strip("{} ").lower()
    if re.fullmatch(r"\d{4}", month):
        yield wrong("month", f"month is '{month}', which is a year", "name the month, or leave it out")
    elif month and not month.startswith(_MONTHS) and month not in map(str, range(1, 13)):
        yield wrong("month", f"'{month}' is not a month")
    doi = entry.fields.get("doi", "")
    if doi and not DOI.search(doi.replace("\\_", "_")):
        yield wrong("doi", f"'{doi}' is not a DOI", "a DOI begins with 10. and has a slash")
    eprint = entry.fields.get("eprint", "")
    archive = entry.fields.get("archiveprefix", "").lower()
    if archive == "arxiv" and eprint and not ARXIV_NUMBER.fullmatch(eprint):
        yield wrong("eprint", f"'{eprint}' is not an arXiv number", "write it as 1904.01169")
    pages = entry.fields.get("pages", "")
    if any(dash in pages for dash in _DASHES) and (start := entry.at.get("pages")):
        dash = re.compile(f"[{_DASHES}]+").search(source.text, start, entry.end)
        if dash:
            place = source.place(dash.start(), dash.end())
            fix = Fix(place.line, place.column, place.end_column, "--") if place.end_column else None
            message = f"pages '{pages}' have a dash that is not ASCII; many BibTeX styles print it wrong"
            yield Finding(place, "page-range", "note", message, "write two hyphens: --", fix)


def _against_papers(context: CardContext, entries: list[Entry]) -> Iterator[Finding]:
    """Report papers of the model index that no citation has."""
    source = context.card.source
    titles = {normal_title(plain(entry.fields.get("title", ""))): entry for entry in entries}
    seen: set[int] = set()
    for model in context.models:
        paper = model.model.fields.get("Paper")
        title = paper.get("Title") if isinstance(paper, Mapping) else None
        if not isinstance(paper, Mapping) or not isinstance(title, Scalar) or title.start in seen:
            continue
        if title.source is not source or not title.text.strip():
            continue
        seen.add(title.start)
        # Crossref's short titles end at the colon
        entry = titles.get(normal_title(title.text)) or titles.get(normal_title(title.text.partition(":")[0]))

        if entry is not None:
            yield from _identifiers(entry, paper, source)
            yield from _years(entry, paper, source)
            continue
        first = entries[0]
        cited = plain(first.fields.get("title", ""))
        if not cited or any(_begins(normal_title(title.text), words) for words in titles):
            continue
        paper_field = f"the field Paper (line {title.place.line})"
        message = f"the citation is of '{cited[:200]}', {paper_field} of '{title.text[:200]}'"
        hint = "cite the paper that the model index names, or name the one that is cited"
        yield Finding(source.place(first.at.get("title", first.start)), "citation-paper", "warning", message, hint)


def _identifiers(entry: Entry, paper: Mapping, source: Source) -> Iterator[Finding]:
    """Report an arXiv number or DOI of the paper's address that differs from the citation's."""
    url = paper.get("URL")
    if not isinstance(url, Scalar):
        return
    whole = " ".join(entry.fields.values())
    for what, pattern in (("arXiv number", ARXIV), ("DOI", DOI)):
        ours, theirs = _all(pattern, url.text), _all(pattern, whole)
        if ours and theirs and not ours & theirs:
            message = f"the paper's address has the {what} {min(ours)}, its citation {', '.join(sorted(theirs))}"
            yield Finding(url.place, "citation-paper", "warning", message)


def _years(entry: Entry, paper: Mapping, source: Source) -> Iterator[Finding]:
    """Report a year of the paper that differs from the citation's."""
    year, cited = paper.get("Year"), entry.fields.get("year", "").strip("{} ")
    if isinstance(year, Scalar) and year.text.isdecimal() and cited.isdecimal() and year.text != cited:
        message = f"the citation is of {cited}, the field Paper (line {year.place.line}) of {year.text}"
        yield Finding(source.place(entry.at.get("year", entry.start)), "citation-paper", "warning", message)


def _all(pattern: re.Pattern[str], text: str) -> set[str]:
    found = (match["id"] if "id" in pattern.groupindex else match.group() for match in pattern.finditer(text[:5000]))
    return {one.replace("\\_", "_").rstrip(".,;/").lower() for one in found}


def _begins(one: str, other: str) -> bool:
    """Return whether one title is the other with a subtitle."""
    return len(min(one, other, key=len)) >= 12 and (one.startswith(other) or other.startswith(one))


CHECK = Check("citation", check_card=check_card, findings=("citation-syntax", "citation-paper", "page-range"))

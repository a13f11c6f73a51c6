"""Citation: the BibTeX of a card, compared with the paper in its model index and with the rules of BibTeX.

## What it does

Reads each BibTeX entry and reports:

- `citation-syntax`: an entry that BibTeX cannot read, an invalid year or month, an invalid arXiv number or DOI.
- `citation-paper`: no citation of the card has the title of the field `Paper` (case, punctuation and accents do not
  count), or the two name different years, arXiv numbers or DOIs. It is a note if both are titles of the same paper,
  because preprints change their titles: same arXiv number or DOI, same main title or subtitle, or both in a short
  table of such papers. A link in the text is reported too if its words are the title of a citation and it leads to
  another arXiv number.
- `page-range`: page numbers with a dash that is not ASCII, which BibTeX styles print unchanged or drop: write `--`.
  Also page numbers whose dash was lost, such as `652662`: two halves of equal length, the second at most 50 above the
  first.

## Why

Citations are pasted into papers unread. A citation of the wrong paper credits the wrong authors.

## Example

````markdown title="card.md"
# ResNet

```bibtex
@inproceedings{he2016deep,
  title={Deep Residual Learning for Image Recognition},
  booktitle={CVPR},
  year={2016},
  pages={770–778}
}
```
````

```console
$ cardproof audit card.md
card.md:8:13: note [page-range] pages '770–778' have a dash that is not ASCII; many BibTeX styles
    print it wrong
    write two hyphens: --
```

## Fix

Two hyphens in page ranges, also in place of a lost dash. Other findings are fixed by hand.

```diff title="cardproof audit card.md --fix-unsafe"
-  pages={770–778}
+  pages={770--778}
```

## Ignore

A comment in a code block is part of the code, so these findings are not ignored one by one. A note does not change
the exit status; `--baseline` accepts what is known.

## Settings

None.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from cardproof.core.source import Source
from cardproof.core.types import Finding, Fix, Place
from cardproof.core.yaml import Mapping, Scalar
from cardproof.judge.checks import CardContext, Check
from cardproof.read.bibtex import ARXIV, ARXIV_NUMBER, DOI, Entry, address_of, entries_of, normal_title, plain_value
from cardproof.read.markdown import lines_of

_MONTH = re.compile(r"\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)")
"""Also behind days, as proceedings write them: ``18--24 Jul``."""
_YEARS = re.compile(r"(?:1[89]|20)\d\d(?: ?(?:-{1,2}|–|/) ?(?:1[89]|20)\d\d)?")
"""A year, or the first and the last of several, which software states."""
_DASHES = "‐‑‒–—―−"
_ANY_DASH = re.compile(f"[{_DASHES}]+")
MOST_PAGES = 50
"""Of one paper; two numbers that lie further apart are not a range."""
_ARTICLE = re.compile(r"1[0-3]\d{4}")
"""Numbers of articles in journals without pages: of Elsevier since 2019, and of APS and AIP by month and number."""
_LINK = re.compile(r"\[(?P<text>[^\[\]\n]{12,300})\]\((?P<address>https?://[^()\s]{1,300})\)")
SHORTEST_TITLE = 12
"""Letters and digits of a title; shorter ones are names that several papers have."""
LONG_PART = 24
"""Letters and digits of a main title or subtitle that two papers do not share by chance."""
RETITLED = {
    "1801.04381": (
        "Inverted Residuals and Linear Bottlenecks: Mobile Networks for Classification, Detection and Segmentation",
        "MobileNetV2: Inverted Residuals and Linear Bottlenecks",
    ),
    "1904.04971": (
        "Soft Conditional Computation",
        "CondConv: Conditionally Parameterized Convolutions for Efficient Inference",
    ),
}
"""arXiv number -> titles of its first and its last version on arXiv."""


def check_card(context: CardContext) -> Iterator[Finding]:
    """Report invalid citations, and those of another paper."""
    source = context.card.source
    entries = entries_of(source.text)
    for entry in entries:
        yield from _check_entry(entry, source)
    readable = [entry for entry in entries if entry.fields]
    if readable:
        yield from _compare_with_papers(context, readable)
        yield from _compare_with_links(source, readable)


def _check_entry(entry: Entry, source: Source) -> Iterator[Finding]:
    if entry.error:
        place = source.place(entry.start)
        yield Finding(place, "citation-syntax", "warning", f"BibTeX cannot read this entry: {entry.error}")
        return

    def wrong(name: str, message: str, hint: str | None = None) -> Finding:
        return Finding(source.place(entry.at.get(name, entry.start)), "citation-syntax", "warning", message, hint)

    year = entry.fields.get("year", "").strip("{} ")
    if year and not _YEARS.fullmatch(year):
        yield wrong("year", f"'{year}' is not a year")
    month = entry.fields.get("month", "").strip("{} ").lower()
    if re.fullmatch(r"\d{4}", month):
        yield wrong("month", f"month is '{month}', which is a year", "name the month, or leave it out")
    elif month and not _MONTH.search(month) and month not in map(str, range(1, 13)):
        yield wrong("month", f"'{month}' is not a month")
    doi = entry.fields.get("doi", "")
    if doi and not DOI.search(doi.replace("\\_", "_")):
        yield wrong("doi", f"'{doi}' is not a DOI", "a DOI begins with 10. and has a slash")
    eprint = entry.fields.get("eprint", "")
    archive = entry.fields.get("archiveprefix", "").lower()
    if archive == "arxiv" and eprint and not ARXIV_NUMBER.fullmatch(eprint):
        yield wrong("eprint", f"'{eprint}' is not an arXiv number", "write it as 1904.01169")
    yield from _check_pages(entry, source)


def _check_pages(entry: Entry, source: Source) -> Iterator[Finding]:
    pages, start = entry.fields.get("pages", ""), entry.at.get("pages")
    if start is None:
        return
    if any(dash in pages for dash in _DASHES) and (dash := _ANY_DASH.search(source.text, start, entry.end)):
        place = source.place(dash.start(), dash.end())
        message = f"pages '{pages}' have a dash that is not ASCII; many BibTeX styles print it wrong"
        yield Finding(place, "page-range", "note", message, "write two hyphens: --", _replacement(place, "--"))
    elif (right := _restore_dash(pages, entry)) and (at := source.text.find(pages, start, entry.end)) >= 0:
        place = source.place(at, at + len(pages))
        message = f"pages '{pages}' are a range whose dash was lost"
        yield Finding(place, "page-range", "warning", message, f"write {right}", _replacement(place, right))


def _restore_dash(pages: str, entry: Entry) -> str | None:
    """Return pages with the dash that was lost between them; None if they may be one number.

    Journals that number articles instead of pages have such a number in the DOI, too.
    """
    middle = len(pages) // 2
    first, last = pages[:middle], pages[middle:]
    if not re.fullmatch(r"(?:\d{6}|\d{8}|\d{10})", pages, re.ASCII) or "0" in (first[0], last[0]):
        return None
    if _ARTICLE.fullmatch(pages):
        return None
    numbered = any(pages in entry.fields.get(name, "") for name in ("doi", "url", "eid", "number", "volume"))
    return None if numbered or not 0 < int(last) - int(first) <= MOST_PAGES else f"{first}--{last}"


def _replacement(place: Place, text: str) -> Fix | None:
    return Fix(place.line, place.column, place.end_column, text) if place.end_column else None


def _compare_with_papers(context: CardContext, entries: list[Entry]) -> Iterator[Finding]:
    source = context.card.source
    titles = {normal_title(plain_value(entry.fields.get("title", ""))): entry for entry in entries}
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
            yield from _differences(entry, paper, source)
            continue
        same = next((entry for entry in entries if _is_of_paper(entry, paper, title.text)), None)
        named = same or entries[0]
        cited = plain_value(named.fields.get("title", ""))
        if not cited or any(_is_title_with_subtitle(normal_title(title.text), words) for words in titles):
            continue
        place = source.place(named.at.get("title", named.start))
        paper_field = f"the field Paper (line {title.place.line})"
        message = f"the citation is of '{cited[:200]}', {paper_field} of '{title.text[:200]}'"
        if same:  # authors change the title of a preprint
            yield Finding(place, "citation-paper", "note", f"{message}, which are two titles of one paper")
            continue
        hint = "cite the paper that the model index names, or name the one that is cited"
        yield Finding(place, "citation-paper", "warning", message, hint)


def _compare_with_links(source: Source, entries: list[Entry]) -> Iterator[Finding]:
    """Report links whose text is the title of a citation, and whose arXiv number is another than the citation's."""
    numbers: dict[str, set[str]] = {}
    for entry in entries:
        title = normal_title(plain_value(entry.fields.get("title", "")))
        if len(title) >= SHORTEST_TITLE:
            numbers.setdefault(title, set()).update(_entry_identifiers(ARXIV, entry))
    for line in lines_of(source.text) if any(numbers.values()) else ():
        for link in () if line.is_code else _LINK.finditer(line.text[:5000]):
            ours, theirs = _identifiers_in(ARXIV, link["address"]), numbers.get(normal_title(link["text"]), set())
            if ours and theirs and not ours & theirs:
                place = source.place(line.start + link.start("address"), line.start + link.end("address"))
                message = (
                    f"the link '{link['text'][:200]}' leads to arXiv {min(ours)}, the citation of this title has "
                    f"{', '.join(sorted(theirs))}"
                )
                yield Finding(place, "citation-paper", "warning", message, "look up the paper's own number")


def _differences(entry: Entry, paper: Mapping, source: Source) -> Iterator[Finding]:
    """Report a year, an arXiv number or a DOI of the paper that differs from the citation's."""
    year, cited = paper.get("Year"), entry.fields.get("year", "").strip("{} ")
    if isinstance(year, Scalar) and year.text.isdecimal() and cited.isdecimal() and year.text != cited:
        message = f"the citation is of {cited}, the field Paper (line {year.place.line}) of {year.text}"
        yield Finding(source.place(entry.at.get("year", entry.start)), "citation-paper", "warning", message)
    url = paper.get("URL")
    if not isinstance(url, Scalar):
        return
    for what, pattern in (("arXiv number", ARXIV), ("DOI", DOI)):
        ours, theirs = _identifiers_in(pattern, url.text), _entry_identifiers(pattern, entry)
        if ours and theirs and not ours & theirs:
            message = f"the paper's address has the {what} {min(ours)}, its citation {', '.join(sorted(theirs))}"
            yield Finding(url.place, "citation-paper", "warning", message)


def _is_of_paper(entry: Entry, paper: Mapping, title: str) -> bool:
    """Return whether a citation is of a paper although its title is another.

    They have one arXiv number or DOI, the title is a known one of that number, or a main title or subtitle is the same.
    """
    url = paper.get("URL")
    if isinstance(url, Scalar) and any(
        _identifiers_in(kind, url.text) & _entry_identifiers(kind, entry) for kind in (ARXIV, DOI)
    ):
        return True
    known = {normal_title(one) for number in _entry_identifiers(ARXIV, entry) for one in RETITLED.get(number, ())}
    if normal_title(title) in known:
        return True
    ours, theirs = (
        {part for one in text.split(":") if len(part := normal_title(one)) >= LONG_PART}
        for text in (title, plain_value(entry.fields.get("title", "")))
    )
    return bool(ours & theirs)


def _entry_identifiers(pattern: re.Pattern[str], entry: Entry) -> set[str]:
    return _identifiers_in(pattern, " ".join((*entry.fields.values(), address_of(entry) or "")))


def _identifiers_in(pattern: re.Pattern[str], text: str) -> set[str]:
    """Return the identifiers in a text, without DOIs of arXiv, whose numbers the other pattern finds."""
    found = (match["id"] if "id" in pattern.groupindex else match.group() for match in pattern.finditer(text[:5000]))
    plain_ids = {one.replace("\\_", "_").rstrip(".,;/").lower() for one in found}
    return {one for one in plain_ids if not one.startswith("10.48550/")}


def _is_title_with_subtitle(one: str, other: str) -> bool:
    """Return whether one title is the other with a subtitle."""
    return len(min(one, other, key=len)) >= SHORTEST_TITLE and (one.startswith(other) or other.startswith(one))


CHECK = Check("citation", check_card=check_card, findings=("citation-syntax", "citation-paper", "page-range"))

"""Citations of a paper in BibTeX, APA and CFF; a style whose required parts are missing is left out.

pybtex finds the parts of names. Its styles are not used: they write Res2Net as "Res2net" and end a title at "%".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import asdict, replace

from cardproof.core.yaml import to_yaml
from cardproof.render.output.text import inert_text

if TYPE_CHECKING:
    from cardproof.render.views.about import Paper

BIBTEX = re.compile(r"^[^\S\n]*+(?:`{3,}|~{3,})\s*+(?:\{\s*+)?\.?bib(?:tex|latex)?\b", re.IGNORECASE | re.MULTILINE)
"""A fenced block with a citation by the card's author."""
MOST_AUTHORS = 20
"""APA lists up to so many authors; of more, the first nineteen and the last."""
_ARXIV = re.compile(r"https?://(?:www\.)?arxiv\.org/(?:abs|pdf)/(\d{4}\.\d{4,5}|[\w.-]+/\d{7})(?:v\d+)?(?:\.pdf)?/?")
_DOI = re.compile(r"10\.\d{4,9}(\.\d+)?/[A-Za-z0-9:/_;\-.()\[\]\\]+")
"""DOIs as in CFF's schema, although the DOI system allows other characters."""
_SPECIAL = {
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
}


class Citation(Struct, frozen=True):
    """A citation in one style."""

    style: str
    text: str


def citations(paper: Paper) -> tuple[Citation, ...]:
    """Return a paper's citations in all styles whose required parts it has, for blocks of code on a page."""
    if not paper.title:
        return ()
    texts = {name: inert_text(text) for name, text in asdict(paper).items() if isinstance(text, str)}
    paper = replace(paper, **texts, authors=tuple(map(inert_text, paper.authors)))
    found = [Citation("BibTeX", bibtex(paper))]
    if paper.authors and paper.year:
        found.append(Citation("APA", apa(paper)))
    if _people(paper):
        found.append(Citation("CFF", cff(paper)))
    return tuple(found)


def bibtex(paper: Paper) -> str:
    """Return a BibTeX entry; words with inner capitals are in braces, so that BibTeX keeps them."""
    arxiv = arxiv_id(paper.url)
    values = {
        "title": re.sub(r"[^\W_]+", _protect_capitals, _latex(paper.title)),
        "author": " and ".join(map(_latex, paper.authors)),
        "journal": _latex(paper.journal),
        "year": _latex(paper.year),
        "doi": paper.doi,
        "eprint": arxiv,
        "archiveprefix": "arXiv" if arxiv else "",
        "url": "" if arxiv else paper.url,
    }
    lines = [f"  {name:<13} = {{{_balanced(value)}}}" for name, value in values.items() if value]
    return f"@{'article' if paper.journal else 'misc'}{{{_key(paper)},\n" + ",\n".join(lines) + "\n}"


def apa(paper: Paper) -> str:
    """Return the reference in the style of APA's seventh edition."""
    names = [_initials(author) for author in paper.authors]
    if len(names) > MOST_AUTHORS:
        listed = ", ".join(names[: MOST_AUTHORS - 1]) + f", … {names[-1]}"
    elif len(names) == 1:
        listed = names[0]
    else:
        listed = ", ".join(names[:-1]) + f", & {names[-1]}"
    where = f" {paper.journal}." if paper.journal else ""
    address = f"https://doi.org/{paper.doi}" if paper.doi else paper.url
    title = paper.title if paper.title.endswith((".", "?", "!")) else f"{paper.title}."
    return f"{listed} ({paper.year}). {title}{where} {address}".rstrip()


def cff(paper: Paper, others: Sequence[Paper] = ()) -> str:
    """Return a CITATION.cff, version 1.2.0, that asks for the paper to be cited; ``others`` are its references.

    Each paper has a title and authors. Values that the format does not allow are left out or converted.
    """
    whole: dict[str, object] = {
        "cff-version": "1.2.0",
        "message": "If you use this model, please cite the paper.",
        "title": paper.title,
        "authors": _people(paper),
        "preferred-citation": _reference(paper),
    }
    if others:
        whole["message"] = "If you use these models, please cite their papers."
        whole["references"] = [_reference(other) for other in others]
    return to_yaml(whole).rstrip()


def is_citable(paper: Paper) -> bool:
    """Return whether a paper has the required parts of a CITATION.cff."""
    return bool(paper.title and _people(paper))


def _reference(paper: Paper) -> dict[str, object]:
    found: dict[str, object] = {
        "type": "article" if paper.journal else "generic",
        "title": paper.title,
        "authors": _people(paper),
    }
    doi = re.sub(r"^(https?://(dx\.)?doi\.org/|doi:\s*)", "", paper.doi, flags=re.IGNORECASE)
    values = {
        "journal": paper.journal,
        "year": int(paper.year) if re.fullmatch(r"[0-9]{1,9}", paper.year) else paper.year,
        "doi": doi if _DOI.fullmatch(doi) else "",
        "url": paper.url if re.fullmatch(r"(https?|s?ftp)://\S+", paper.url) else "",
    }
    return found | {name: value for name, value in values.items() if value != ""}


def _people(paper: Paper) -> list[dict[str, str]]:
    """Return the authors of a paper; the format requires them to be unique."""
    people: list[dict[str, str]] = []
    for author in paper.authors:
        parts = _parts(author)
        if parts and parts not in people:
            people.append(parts)
    return people


def arxiv_id(url: str) -> str:
    """Return the identifier in an address at arxiv.org; empty for other addresses."""
    match = _ARXIV.fullmatch(url)
    return match[1] if match else ""


def _protect_capitals(match: re.Match[str]) -> str:
    word = match.group()
    return f"{{{word}}}" if re.search(r".[A-Z]", word) else word


def _latex(text: str) -> str:
    return "".join(_SPECIAL.get(character, character) for character in text)


def _balanced(text: str) -> str:
    """Return a value without its braces if they are unbalanced, as in a DOI or address they may be."""
    plain = text.replace("\\{", "").replace("\\}", "")
    depth = 0
    for character in plain:
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth < 0:
            break
    return text if depth == 0 else text.replace("{", "").replace("}", "")


def _key(paper: Paper) -> str:
    family = _parts(paper.authors[0]).get("family-names", "") if paper.authors else ""
    word = next(iter(re.findall(r"\w+", paper.title)), "")
    text = unicodedata.normalize("NFKD", f"{family}{paper.year}{word}").lower()
    return re.sub(r"[^a-z0-9]", "", text) or "paper"


def _parts(author: str) -> dict[str, str]:
    """Return the parts of an author's name, as BibTeX finds them, by their keys in CFF."""
    from pybtex.database import Person  # takes a while, and most pages are remembered
    from pybtex.exceptions import PybtexError

    try:
        person = Person(author)
    except (PybtexError, ValueError, RecursionError):  # more commas than a name has, or braces in braces
        return {"family-names": author}
    parts = {
        "family-names": person.last_names,
        "given-names": [*person.first_names, *person.middle_names],
        "name-particle": person.prelast_names,
        "name-suffix": person.lineage_names,
    }
    named = {name: re.sub("[{}]", "", " ".join(words)) for name, words in parts.items()}
    return {name: text for name, text in named.items() if text} or {"family-names": author}


def _initials(author: str) -> str:
    """Return a name with the initials of given names, as ``van der Maaten, L.``."""
    parts = _parts(author)
    family = " ".join(parts[name] for name in ("name-particle", "family-names") if name in parts)
    given = " ".join(
        "-".join(f"{part[0].upper()}." for part in word.split("-") if part)
        for word in parts.get("given-names", "").split()
    )
    return ", ".join(text for text in (family, given, parts.get("name-suffix", "")) if text)

"""Facts of a card that are not numbers: tasks, data, licence and papers.

They make a page's metadata, which is schema.org's JSON-LD and the description for Open Graph, and citations of its
papers in BibTeX, APA and CFF. A style whose required parts are missing is left out. pybtex finds the parts of names.
Its styles are not used: they write Res2Net as "Res2net" and end a title at "%".
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import asdict, replace

from cardproof.core.yaml import Mapping, Node, Scalar, Sequence, to_yaml
from cardproof.render.output.text import inert_text, plain_text

if TYPE_CHECKING:
    from cardproof.read import Card, Model
    from cardproof.render.views.claims import ModelView

MOST_CHARACTERS = 300
_BRACE = "\ue000"
"""Replaces a brace in a text until the JSON, which has braces too, is written."""
_MARKUP = re.compile(r"<[^<>]*+>|!\[[^\[\]]*+\]\([^()]*+\)|[`*_]|\{[^{}]*+\}")
_LINK = re.compile(r"\[([^\[\]]*+)\]\([^()]*+\)")


class Paper(Struct, frozen=True):
    """The paper that a card names; missing parts are empty."""

    title: str
    url: str = ""
    authors: tuple[str, ...] = ()
    """Family name first, as in ``Gao, Shang-Hua``."""
    year: str = ""
    journal: str = ""
    doi: str = ""


class About(Struct, frozen=True):
    """Facts about all models of a page."""

    tasks: tuple[str, ...]
    data: tuple[str, ...]
    """Training data."""
    licence: str
    papers: tuple[Paper, ...]


def about(card: Card) -> About:
    """Return the facts of a card's models, each once."""
    return About(
        _metadata_texts(card, "Tasks"),
        _metadata_texts(card, "Training Data"),
        _licence(card),
        tuple(dict.fromkeys(paper for model in card.models if (paper := read_paper(model)))),
    )


def read_paper(model: Model) -> Paper | None:
    """Return the paper of a model, written as text or as a mapping; None without a title or address."""
    node = model.fields.get("Paper")
    if isinstance(node, Scalar) and node.value is not None:
        text = _one_line(node.text)
        return Paper("", text) if text.startswith(("http://", "https://")) else Paper(text)
    if not isinstance(node, Mapping):
        return None
    paper = Paper(
        _text(node, "Title"),
        _text(node, "URL"),
        _texts(node.get("Authors")),
        _text(node, "Year"),
        _text(node, "Journal"),
        _text(node, "DOI"),
    )
    return paper if paper.title or paper.url else None


def _metadata_texts(card: Card, field: str) -> tuple[str, ...]:
    found = (text for model in card.models if model.metadata for text in _texts(model.metadata.get(field)))
    return tuple(dict.fromkeys(found))


def _licence(card: Card) -> str:
    """Return the licence of the models if they have the same one; that of the card's header if they have none."""
    nodes = [node for model in card.models for node in (model.fields, model.metadata) if node]
    licences = {_text(node, key) for node in nodes for key in ("License", "Licence")} - {""}
    if len(licences) == 1:
        return licences.pop()
    return _text(card.header, "license") if card.header and not licences else ""


def _texts(node: Node | None) -> tuple[str, ...]:
    nodes = node.items if isinstance(node, Sequence) else [node]
    return tuple(_one_line(item.text) for item in nodes if isinstance(item, Scalar) and item.value is not None)


def _text(node: Mapping, key: str) -> str:
    found = node.get(key)
    return _one_line(found.text) if isinstance(found, Scalar) and found.value is not None else ""


def _one_line(text: str) -> str:
    return " ".join(text.split())


def json_ld(title: str, description: str, about: About, models: tuple[ModelView, ...]) -> str:
    """Return a page's JSON-LD, escaped for a script element."""
    data = {
        "@context": "https://schema.org",
        "@type": "TechArticle",
        "headline": title,
        "description": description,
        "license": about.licence,
        "citation": [_paper(paper) for paper in about.papers],
        "about": [
            {
                "@type": "SoftwareApplication",
                "name": model.name,
                "applicationCategory": ", ".join(about.tasks),
                "description": _facts(model) if len(models) == 1 else "",
            }
            for model in models
        ],
    }
    text = json.dumps(_without_empty(data), ensure_ascii=False, separators=(",", ":"))
    for character in "<>&`\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.replace(_BRACE, "\\u007b")


def _paper(paper: Paper) -> dict[str, Any]:
    return {
        "@type": "ScholarlyArticle",
        "name": paper.title,
        "url": paper.url,
        "author": [{"@type": "Person", "name": author} for author in paper.authors],
        "datePublished": paper.year,
        "sameAs": f"https://doi.org/{paper.doi}" if paper.doi else "",
    }


def _facts(model: ModelView) -> str:
    return "; ".join(f"{fact.label} {f'{fact.value} {fact.unit}'.strip()} ({fact.verdict})" for fact in model.facts)


def _without_empty(value: Any) -> Any:
    """Return data without empty parts, and with ``_BRACE`` for braces in texts, which other plugins could expand."""
    if isinstance(value, dict):
        return {key: filled for key, inner in value.items() if (filled := _without_empty(inner))}
    if isinstance(value, list):
        return [_without_empty(item) for item in value]
    return value.replace(_BRACE, "").replace("{", _BRACE)


def first_paragraph(head: str) -> str:
    """Return the first paragraph of a page as plain text, shortened at a word."""
    paragraphs = re.split(r"\n\s*\n", head)
    chosen = next(
        (text for text in paragraphs if text.strip() and not text.lstrip().startswith(("#", "!", "<", "|"))), ""
    )
    plain = plain_text(_MARKUP.sub("", _LINK.sub(r"\1", chosen)))
    return plain if len(plain) <= MOST_CHARACTERS else plain[:MOST_CHARACTERS].rpartition(" ")[0] + " …"


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
    if _cff_authors(paper):
        found.append(Citation("CFF", cff(paper)))
    return tuple(found)


def bibtex(paper: Paper) -> str:
    """Return a BibTeX entry; words with inner capitals are in braces, so that BibTeX keeps them."""
    arxiv = arxiv_id(paper.url)
    values = {
        "title": re.sub(r"[^\W_]+", _protect_capitals, _escape_latex(paper.title)),
        "author": " and ".join(map(_escape_latex, paper.authors)),
        "journal": _escape_latex(paper.journal),
        "year": _escape_latex(paper.year),
        "doi": paper.doi,
        "eprint": arxiv,
        "archiveprefix": "arXiv" if arxiv else "",
        "url": "" if arxiv else paper.url,
    }
    lines = [f"  {name:<13} = {{{_without_unbalanced_braces(value)}}}" for name, value in values.items() if value]
    return f"@{'article' if paper.journal else 'misc'}{{{_bibtex_key(paper)},\n" + ",\n".join(lines) + "\n}"


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


def cff(paper: Paper, others: Iterable[Paper] = ()) -> str:
    """Return a CITATION.cff, version 1.2.0, that asks for the paper to be cited; ``others`` are its references.

    Each paper has a title and authors. Values that the format does not allow are left out or converted.
    """
    whole: dict[str, object] = {
        "cff-version": "1.2.0",
        "message": "If you use this model, please cite the paper.",
        "title": paper.title,
        "authors": _cff_authors(paper),
        "preferred-citation": _reference(paper),
    }
    if others:
        whole["message"] = "If you use these models, please cite their papers."
        whole["references"] = [_reference(other) for other in others]
    return to_yaml(whole).rstrip()


def is_citable(paper: Paper) -> bool:
    """Return whether a paper has the required parts of a CITATION.cff."""
    return bool(paper.title and _cff_authors(paper))


def _reference(paper: Paper) -> dict[str, object]:
    found: dict[str, object] = {
        "type": "article" if paper.journal else "generic",
        "title": paper.title,
        "authors": _cff_authors(paper),
    }
    doi = re.sub(r"^(https?://(dx\.)?doi\.org/|doi:\s*)", "", paper.doi, flags=re.IGNORECASE)
    values = {
        "journal": paper.journal,
        "year": int(paper.year) if re.fullmatch(r"[0-9]{1,9}", paper.year) else paper.year,
        "doi": doi if _DOI.fullmatch(doi) else "",
        "url": paper.url if re.fullmatch(r"(https?|s?ftp)://\S+", paper.url) else "",
    }
    return found | {name: value for name, value in values.items() if value != ""}


def _cff_authors(paper: Paper) -> list[dict[str, str]]:
    """Return the authors of a paper; the format requires them to be unique."""
    people: list[dict[str, str]] = []
    for author in paper.authors:
        parts = _name_parts(author)
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


def _escape_latex(text: str) -> str:
    return "".join(_SPECIAL.get(character, character) for character in text)


def _without_unbalanced_braces(text: str) -> str:
    """Return a value without its braces if they are unbalanced, as in a DOI or address they may be."""
    plain = text.replace("\\{", "").replace("\\}", "")
    depth = 0
    for character in plain:
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth < 0:
            break
    return text if depth == 0 else text.replace("{", "").replace("}", "")


def _bibtex_key(paper: Paper) -> str:
    family = _name_parts(paper.authors[0]).get("family-names", "") if paper.authors else ""
    word = next(iter(re.findall(r"\w+", paper.title)), "")
    text = unicodedata.normalize("NFKD", f"{family}{paper.year}{word}").lower()
    return re.sub(r"[^a-z0-9]", "", text) or "paper"


def _name_parts(author: str) -> dict[str, str]:
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
    parts = _name_parts(author)
    family = " ".join(parts[name] for name in ("name-particle", "family-names") if name in parts)
    given = " ".join(
        "-".join(f"{part[0].upper()}." for part in word.split("-") if part)
        for word in parts.get("given-names", "").split()
    )
    return ", ".join(text for text in (family, given, parts.get("name-suffix", "")) if text)

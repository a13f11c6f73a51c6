"""Facts of a card that are not numbers: tasks, data, licence and papers; and a page's metadata made of them.

That is schema.org's JSON-LD, and the description for Open Graph.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from cardproof.core.yaml import Mapping, Node, Scalar, Sequence
from cardproof.render.output.text import plain_text

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

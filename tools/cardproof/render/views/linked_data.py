"""Metadata of a page: schema.org's JSON-LD, and the description for Open Graph."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cardproof.render.output.text import plain_text

if TYPE_CHECKING:
    from cardproof.render.views.about import About, Paper
    from cardproof.render.views.claims import ModelView

MOST_CHARACTERS = 300
_BRACE = "\ue000"
"""Replaces a brace in a text until the JSON, which has braces too, is written."""
_MARKUP = re.compile(r"<[^<>]*+>|!\[[^\[\]]*+\]\([^()]*+\)|[`*_]|\{[^{}]*+\}")
_LINK = re.compile(r"\[([^\[\]]*+)\]\([^()]*+\)")


def json_ld(title: str, description: str, about: About, models: Sequence[ModelView]) -> str:
    """Return a page's JSON-LD, escaped for a script element."""
    data = {
        "@context": "https://schema.org",
        "@type": "TechArticle",
        "headline": title,
        "description": description,
        "license": about.licence,
        "citation": [_paper(paper) for paper in about.papers],
        "about": [_model(model.name, about, _facts(model) if len(models) == 1 else "") for model in models],
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


def _model(name: str, about: About, description: str) -> dict[str, Any]:
    return {
        "@type": "SoftwareApplication",
        "name": name,
        "applicationCategory": ", ".join(about.tasks),
        "description": description,
    }


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

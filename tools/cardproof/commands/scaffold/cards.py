"""The files of a new site for cards that exist already: settings, pages, and copies of the cards."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from cardproof.commands.scaffold.families import RESERVED_NAMES
from cardproof.commands.scaffold.site import COMMON_FILES, NewSite, fill_starters, quoted
from cardproof.core.errors import InputError
from cardproof.core.names import kind_of
from cardproof.core.paths import show_path
from cardproof.read import Card, read_cards
from cardproof.read.markdown import find_header
from cardproof.report.terminal import plural, short_list

COLUMNS = ("parameters", "flops", "image size", "training data", "top 1 accuracy", "top 5 accuracy")
"""Kinds of the fields in the table of all models, if any card states them."""
_JINJA = ("{{", "{%", "{#")


def site_of_cards(zoo: str, cards: Path, folder: Path, name: str | None) -> NewSite:
    """Return a site made of a folder's Markdown files that describe models. Raises InputError if no file does.

    A file whose text Jinja would change has it in a raw block.
    """
    reading = read_cards([cards])
    if fatal := next((finding for finding in reading.findings if finding.fatal), None):
        raise InputError(f"{fatal.place}: {fatal.message}")
    found = [card for card in reading.cards if card.models and card.source.path.suffix == ".md"]
    if not found:
        raise InputError(f"{show_path(cards)}: no Markdown file has a model index or the header of a model card")
    names = tuple(dict.fromkeys(model.name for card in found for model in card.models))
    texts: dict[str, str] = {}
    raw = []
    for card in found:
        text = _template(card)
        texts[_unique_name(card.source.path.relative_to(cards), texts)] = text
        if text != card.source.text:
            raw.append(card.file)
    counts = f"{plural(len(names), 'model')} in {plural(len(texts), 'card')}"
    columns = tuple(_columns(found))
    table = f'<div class="cp-table" markdown>\n\n{{{{ model_table(columns={json.dumps(columns)}) }}}}\n\n</div>'
    values = {
        "%DESCRIPTION%": quoted(f"{counts}, with a verdict on every claim."),
        "%COUNTS%": counts,
        "%CITED%": "",
        "%PRELOAD%": "[torch]",
        "%TABLE%": table if columns else "",
        "%FAMILIES%": "\n      ".join(f"- {quoted(f'models/{file}')}" for file in sorted(texts)),
    }
    own = {"docs/index.md": "cards/index.md", "templates/models/index.md": "cards/models.md"}
    starters = {path: own.get(path, "") for path in COMMON_FILES if path != "templates/code_snippets.md"}
    files = fill_starters(starters, values, zoo, name or "Model cards", texts, folder)
    note = f"the braces of {short_list(raw)} are kept as text, in a raw block: they are not run as Jinja" if raw else ""
    return NewSite(show_path(cards), names, files, note)


def _template(card: Card) -> str:
    """Return the text of a card as a template that Jinja leaves as it is. Raises InputError if no block can hold it."""
    text = card.source.text
    header = find_header(card.source)
    start = header.end if header else 0
    body = text[start:]
    if not any(mark in body for mark in _JINJA):
        return text
    if "endraw" in body:
        place = card.source.place(text.index("endraw", start))
        raise InputError(f"{place}: a text with 'endraw' and the braces of Jinja cannot be copied; remove one of both")
    end = "" if body.endswith("\n") else "\n"
    return f"{text[:start]}{{% raw %}}\n{body}{end}{{% endraw %}}\n"


def _unique_name(path: Path, used: Iterable[str]) -> str:
    """Return the name of a copy: that of the card, unless a page of the site has it."""
    if len(path.parts) == 1 and path.stem.lower() in RESERVED_NAMES:
        path = path.with_name(f"{path.stem.lower()}-card.md")
    while path.as_posix() in used:
        path = path.with_name(f"{path.stem}-2.md")
    return path.as_posix()


def _columns(cards: Iterable[Card]) -> Iterator[str]:
    """Yield the fields of the table, each as the first card writes it."""
    fields: dict[str, str] = {}
    for card in cards:
        for claim in card.claims:
            if not claim.published:
                fields.setdefault(kind_of(claim.field), claim.field)
    yield from (fields[kind] for kind in COLUMNS if kind in fields)

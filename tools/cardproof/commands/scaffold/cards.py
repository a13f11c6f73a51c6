"""The files of a new site for cards that exist already: settings, pages, and copies of the cards."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from cardproof.commands.scaffold.families import RESERVED_NAMES
from cardproof.commands.scaffold.site import COMMON_FILES, IGNORE, STARTER, fill, one_line, plural, quoted
from cardproof.core.errors import InputError
from cardproof.core.files import show_path
from cardproof.core.names import kind_of
from cardproof.read import read_cards
from cardproof.read.markdown import find_header

if TYPE_CHECKING:
    from cardproof.read import Card

COLUMNS = ("parameters", "flops", "image size", "training data", "top 1 accuracy", "top 5 accuracy")
"""Kinds of the fields in the table of all models, if any card states them."""
_JINJA = ("{{", "{%", "{#")


class CopiedCards(Struct, frozen=True):
    """The cards of a folder, as templates of a new site."""

    texts: Mapping[str, str]
    """Path below ``templates/models`` -> text."""
    models: tuple[str, ...]
    columns: tuple[str, ...]
    """Fields in the table of all models, as the cards write them."""
    raw: tuple[str, ...]
    """Files whose text Jinja would have changed; their copies have it in a raw block."""


def copy_cards(folder: Path) -> CopiedCards:
    """Return the Markdown files of a folder that describe models. Raises InputError if there are none."""
    reading = read_cards([folder])
    if fatal := next((finding for finding in reading.findings if finding.fatal), None):
        raise InputError(f"{fatal.place}: {fatal.message}")
    cards = [card for card in reading.cards if card.models and card.source.path.suffix == ".md"]
    if not cards:
        raise InputError(f"{show_path(folder)}: no Markdown file has a model index or the header of a model card")
    texts: dict[str, str] = {}
    raw = []
    for card in cards:
        text = _template(card)
        texts[_unique_name(card.source.path.relative_to(folder), texts)] = text
        if text != card.source.text:
            raw.append(card.file)
    names = tuple(dict.fromkeys(model.name for card in cards for model in card.models))
    return CopiedCards(texts, names, tuple(_columns(cards)), tuple(raw))


def site_of_cards(zoo: str, cards: CopiedCards, name: str, folder: Path) -> dict[str, str]:
    """Return the files of a site, by their paths in its folder; ``name`` is the site's."""
    models = f"{plural(len(cards.models), 'model')} in {plural(len(cards.texts), 'card')}"
    table = f'<div class="cp-table" markdown>\n\n{{{{ model_table(columns={json.dumps(cards.columns)}) }}}}\n\n</div>'
    values = {
        "%SITE_NAME%": quoted(name),
        "%DESCRIPTION%": quoted(f"{models}, with a verdict on every claim."),
        "%TITLE%": one_line(name),
        "%COUNTS%": models,
        "%ZOO%": quoted(zoo),
        "%CITED%": "",
        "%PRELOAD%": "[torch]",
        "%TABLE%": table if cards.columns else "",
        "%FAMILIES%": "\n      ".join(f"- {quoted(f'models/{file}')}" for file in sorted(cards.texts)),
    }
    own = {"docs/index.md": "cards/index.md", "templates/models/index.md": "cards/models.md"}
    files = [path for path in COMMON_FILES if path != "templates/code_snippets.md"]
    texts = {path: fill((STARTER / own.get(path, path)).read_text(encoding="utf-8"), values) for path in files}
    texts |= {f"templates/models/{file}": text for file, text in cards.texts.items()}
    if not (folder / IGNORE).exists():
        texts[IGNORE] = (STARTER / "gitignore").read_text(encoding="utf-8")
    return texts


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

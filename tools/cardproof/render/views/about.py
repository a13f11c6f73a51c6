"""Facts of a card that are not numbers: tasks, data, licence and papers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from cardproof.core.yaml import Mapping, Node, Scalar, Sequence

if TYPE_CHECKING:
    from cardproof.read import Card, Model


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

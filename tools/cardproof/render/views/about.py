"""What a card says of its models beside numbers: tasks, data, licence and paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from cardproof.core.yaml import Mapping, Node, Scalar, Sequence

if TYPE_CHECKING:
    from cardproof.read import Card, Model


class Paper(Struct, frozen=True):
    """The paper that a card names; empty if it does not say."""

    title: str
    url: str = ""
    authors: tuple[str, ...] = ()
    """Family name first, as in ``Gao, Shang-Hua``."""
    year: str = ""
    journal: str = ""
    doi: str = ""


class About(Struct, frozen=True):
    """What a page says of all its models."""

    tasks: tuple[str, ...]
    data: tuple[str, ...]
    """What they were trained on."""
    licence: str
    papers: tuple[Paper, ...]


def about(card: Card) -> About:
    """Return what a card says of its models; what they say alike once."""
    return About(
        _all(card, "Tasks"),
        _all(card, "Training Data"),
        _licence(card),
        tuple(dict.fromkeys(paper for model in card.models if (paper := paper_of(model)))),
    )


def paper_of(model: Model) -> Paper | None:
    """Return the paper of a model, which may be written as text or as a mapping; None without a title or address."""
    node = model.fields.get("Paper")
    if isinstance(node, Scalar) and node.value is not None:
        text = _line(node.text)
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


def _all(card: Card, field: str) -> tuple[str, ...]:
    found = (text for model in card.models if model.metadata for text in _texts(model.metadata.get(field)))
    return tuple(dict.fromkeys(found))


def _licence(card: Card) -> str:
    """Return the licence: of the models if the card says one for all, otherwise of the card's header."""
    said = {_text(model.fields, key) for model in card.models for key in ("License", "Licence")} - {""}
    said |= {_text(model.metadata, key) for model in card.models if model.metadata for key in ("License", "Licence")}
    said -= {""}
    if len(said) == 1:
        return said.pop()
    return _text(card.header, "license") if card.header and not said else ""


def _texts(node: Node | None) -> tuple[str, ...]:
    nodes = node.items if isinstance(node, Sequence) else [node]
    return tuple(_line(item.text) for item in nodes if isinstance(item, Scalar) and item.value is not None)


def _text(node: Mapping, key: str) -> str:
    found = node.get(key)
    return _line(found.text) if isinstance(found, Scalar) and found.value is not None else ""


def _line(text: str) -> str:
    return " ".join(text.split())

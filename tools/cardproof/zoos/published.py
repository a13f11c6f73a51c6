"""What a zoo's own metadata says of its models: values with the place in the zoo's source where each stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from cardproof.core.types import Place


class Value(Struct, frozen=True):
    """One value, as a card would state it."""

    field: str
    """In the words of cards."""
    text: str
    """With its unit, and the digits that the zoo's source writes."""
    key: str
    """Its name in the metadata."""
    place: Place


class Published(Struct, frozen=True):
    """What a zoo says of one model with its weights."""

    model: str
    place: Place
    """Where the zoo's source has the entry."""
    weights: str = ""
    """Address of the file, or of the repository that holds it; empty if none is published."""
    licence: str = ""
    data: tuple[str, ...] = ()
    """What the weights were trained on, as far as the metadata says it."""
    values: tuple[Value, ...] = ()
    results: tuple[tuple[str, tuple[Value, ...]], ...] = ()
    """Data sets with the metrics on each."""


def as_published(model: str, given: Any) -> Published:
    """Return what a zoo says of a model in our own words; of a zoo of the user's own, the link of its ``weights``."""
    if isinstance(given, Published):
        return given
    place = Place(model, 0, 0)  # the zoo's own source is not known
    if given is None:
        return Published(model, place)
    link = given if isinstance(given, str) else _text(given, "url", "link")
    return Published(model, place, link, "" if isinstance(given, str) else _text(given, "licence", "license"))


def _text(given: Mapping[str, Any] | Any, *keys: str) -> str:
    for key in keys:
        value = given.get(key) if hasattr(given, "get") else getattr(given, key, None)
        if isinstance(value, str):
            return value
    return ""


class ModelList(Struct, frozen=True):
    """Some models of a zoo."""

    title: str
    """The zoo's name, as readers know it."""
    version: str
    """Of its distribution; empty if it is none."""
    address: str
    """Where its metadata is to be read; empty if it has none."""
    models: tuple[Published, ...]
    """In the order of the zoo, each once."""

    @property
    def source(self) -> str:
        """Name and version."""
        return f"{self.title} {self.version}".strip()


TASK = "Image Classification"

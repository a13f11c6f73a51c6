"""What cards state, whatever their form: models, their results, and the tables that they stand in."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from cardproof.core.types import Place
from cardproof.core.yaml import Mapping, Scalar

Form = Literal["index", "table", "details", "evaluations"]
"""Source of a model: a model index, a row of a table, the list "Model Stats", a file of results."""


class Result(Struct, frozen=True, eq=False):
    """One evaluation that a card states."""

    place: Place
    task: str | None
    dataset: str | None
    metrics: tuple[tuple[Scalar, Scalar], ...]
    """Name and value of each metric, as written."""
    dataset_at: Place | None = None
    """Place of the data set's name."""


class Table(Struct, frozen=True, eq=False):
    """A table of models, with the words that tell what it is about."""

    place: Place
    """Of its first head."""
    heads: tuple[tuple[str, Place], ...]
    """All heads as written, with their places, which claims name as their column."""
    caption: str = ""
    """The paragraph right above it."""
    headings: tuple[str, ...] = ()
    """The headings that it stands under, the title of the page first."""
    unread: tuple[tuple[str, Place], ...] = ()
    """The heads of columns that are not read."""


class UnreadTable(Struct, frozen=True, eq=False):
    """A table or list that may state something of models, and is not read."""

    place: Place
    """Of its first head or key."""
    reason: str
    names: tuple[str, ...]
    """Texts in it that may name models."""
    counts: bool
    """Whether a column looks like counts: parameters, FLOPs, multiply-adds."""
    what: Literal["table", "list"] = "table"


class Model(Struct, frozen=True, eq=False):
    """One model, with what it inherits from its collections."""

    name: str
    place: Place
    """Of its name."""
    collections: tuple[str, ...]
    fields: Mapping
    """Its own keys and the inherited ones."""
    results: tuple[Result, ...]
    form: Form = "index"
    variant: str = ""
    """What tells it from another model of the same name in its file, such as an image size; mostly empty."""
    doubt: str = ""
    """Why it may be another network than the zoo's of this name: its claims are unchecked for this reason."""

    @property
    def key(self) -> str:
        """Its name, and what tells it from others of this name in its file."""
        return f"{self.name} {self.variant}" if self.variant else self.name

    @property
    def metadata(self) -> Mapping | None:
        node = self.fields.get("Metadata")
        return node if isinstance(node, Mapping) else None

    def text(self, key: str) -> str | None:
        """Return a field that may be written as text or as a mapping with ``URL`` or ``Title`` (Paper, Code)."""
        node = self.fields.get(key)
        if isinstance(node, Mapping):
            node = node.get("URL") or node.get("Title") or node.get("Name")
        return node.text if isinstance(node, Scalar) and node.value is not None else None

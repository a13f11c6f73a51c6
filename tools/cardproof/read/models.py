"""What cards of any form state: models, the tables that contain them, and each value as a claim."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from cardproof.core.field_names import FIELDS, kind_of, normal_field, qualifier_of, scale_of
from cardproof.core.numbers import MAX_TEXT, is_of_another_count, parse_stated
from cardproof.core.secrets import masked
from cardproof.core.source import Source
from cardproof.core.types import MOST_STATED, Claim, Number, Place, shorten
from cardproof.core.yaml import Mapping, Node, Scalar, items_of

Form = Literal["index", "table", "details", "evaluations"]
"""Source of a model: a model index, a row of a table, the list "Model Stats", a file of results."""

_CHANNELS = (1, 3, 4)
MOST_SIDE = 100_000
"""Pixels of the longest side of an image."""
_SIZE = re.compile(
    r"(?P<open>[(\[])?\s*+(?P<sides>\d{1,7}(?:\s*+[xX×*,]\s*+\d{1,7}){0,2})(?P<square>²|\^2)?"
    r"\s*+(?P<close>[)\]])?\s*+(?:px|pixels?)?"
)
ONE_VALUE = ("image size", "mean", "std")
"""Kinds of fields whose list is one value, not several."""


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
    """A table of models, with the words that say what it is about."""

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
    """What distinguishes it from a model of the same name in its file, such as an image size; usually empty."""
    doubt: str = ""
    """Why it may be another network than the zoo's of this name: its claims are unchecked for this reason."""

    @property
    def key(self) -> str:
        """Its name, and what distinguishes it from models of the same name in its file."""
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


def merge_models(model: Model, *others: Model) -> Model:
    """Return a model with the fields and results that other places of the same file state for it."""
    if not others:
        return model
    every = (model, *others)
    metadata: dict[str, tuple[Scalar, Node]] = {}
    for key, entry in (pair for one in every if one.metadata for pair in one.metadata.entries.items()):
        metadata[key if key not in metadata else f"{key} {entry[1].start}"] = entry
    name, own = next(one.fields.entries["metadata"] for one in (*others, model) if one.metadata)
    entries = {key: entry for one in reversed(every) for key, entry in one.fields.entries.items()}
    entries = {**entries, "metadata": (name, Mapping(own.source, own.start, own.end, metadata))}
    fields = Mapping(model.fields.source, model.fields.start, model.fields.end, entries)
    results = tuple(result for one in every for result in one.results)
    return replace(model, fields=fields, results=results)


def stated_model(source: Source, name: Scalar, cells: Iterable[tuple[Scalar, Scalar]], form: Form) -> Model:
    """Return a model with pairs of field and value as its metadata."""
    metadata: dict[str, tuple[Scalar, Node]] = {}
    for key, value in cells:
        metadata[key.text.lower() if key.text.lower() not in metadata else f"{key.text} {value.start}"] = (key, value)
    inside = Mapping(source, name.start, name.end, metadata)
    key = Scalar(source, name.start, name.start, "Metadata", "Metadata", "")
    fields = Mapping(source, name.start, name.end, {"metadata": (key, inside)})
    return Model(name.text, name.place, (), fields, (), form)


class TableValue(Scalar, eq=False):
    """A value in a table, whose column says what it states."""

    kind: str
    name: str
    number: Number | None
    size: tuple[int, int] | None
    unread: str
    operations: bool


def claims_of(model: Model) -> list[Claim]:
    """Return the claims of a model in the order written: metadata, results, then values published elsewhere.

    Each item of a list is a claim; so is each leaf of a nested mapping, with keys joined by dots.
    """
    claims: list[Claim] = []
    for key, node in model.metadata or ():
        if isinstance(node, TableValue):
            claims.append(_claim_of_table(model.name, key, node))
        else:
            _add_metadata_claims(model.name, key.text, node, claims)
    for result in model.results:
        for name, value in result.metrics:
            about: dict[str, Any] = {"dataset": result.dataset, "task": result.task, "metric": True}
            if isinstance(value, TableValue):
                claims.append(_claim_of_table(model.name, name, value, **about))
            elif value.value is not None:
                claims.append(_claim(model.name, name.text, value, **about))
    return claims + _claims_elsewhere(model)


def make_claim(model: str, field: str, stated: str, place: Place, **others: Any) -> Claim:
    """Return a claim with the kind of its field and the number that it states; ``others`` are its further fields."""
    name, kind = normal_field(field), kind_of(field)
    writing = "plain" if others.get("metric") else FIELDS[kind][0] if kind in FIELDS else "text"
    number: Number | None = None
    unread = ""
    if writing in ("count", "bytes", "plain"):
        number = parse_stated(stated, writing, scale_of(field) if writing == "count" else "")
        unread = why_unread(number, kind, field, stated) if number else ""
    size = parse_size(stated) if writing == "size" else None
    number = None if unread else number
    stated = shorten(masked(stated), MOST_STATED)
    return Claim(model, field, stated, place, name, kind, number, size, unread=unread, **others)


def why_unread(number: Number, kind: str, field: str, stated: str) -> str:
    """Return why a number may not be that of its field; empty if it is."""
    if is_of_another_count(number, kind):
        return f"'{stated}' has the unit of another count than '{field}'"
    if qualifier := qualifier_of(field):
        return f"'({qualifier})' may make '{field}' another value than that of the whole network"
    return ""


def _claim(model: str, field: str, node: Scalar, **others: Any) -> Claim:
    return make_claim(model, field, node.text, node.place, value=node.value, style=node.style, **others)


def _claim_of_table(model: str, head: Scalar, node: TableValue, **others: Any) -> Claim:
    return Claim(
        model, head.text, masked(node.text), node.place, node.name, node.kind, node.number, node.size,
        value=node.value, style=node.style, column=head.place, unread=node.unread, operations=node.operations, **others,
    )  # fmt: skip


def _add_metadata_claims(model: str, field: str, node: Node, claims: list[Claim]) -> None:
    if isinstance(node, Scalar):
        if node.value is not None:
            claims.append(_claim(model, field, node))
    elif isinstance(node, Mapping):
        for key, value in node:
            _add_metadata_claims(model, f"{field}.{key.text}", value, claims)
    elif kind_of(field) in ONE_VALUE and all(isinstance(item, Scalar) for item in node.items):
        stated = ", ".join(item.text for item in node.items if isinstance(item, Scalar))
        claims.append(make_claim(model, field, stated, node.place, value=node.plain(), style="list"))
    else:
        for item in node.items:
            _add_metadata_claims(model, field, item, claims)


def _claims_elsewhere(model: Model) -> list[Claim]:
    """Return the values that others publish (``Published Elsewhere: [{Field, Value, Source}]``)."""
    node = model.fields.get("Published Elsewhere")
    claims = []
    for entry in items_of(node) if node else ():
        if not isinstance(entry, Mapping):
            continue
        field, value, source = entry.get("Field"), entry.get("Value"), entry.get("Source")
        if isinstance(field, Scalar) and isinstance(value, Scalar) and isinstance(source, Scalar):
            claims.append(_claim(model.name, field.text, value, published=source.text))
    return claims


def image_size(claims: Iterable[Claim]) -> tuple[int, int] | None:
    """Return the height and width that a card states for its model; None if missing."""
    return next((claim.size for claim in claims if claim.kind == "image size" and claim.is_field), None)


def parse_size(text: str) -> tuple[int, int] | None:
    """Return height and width of ``224``, ``224²``, ``224x320``, ``(3, 224, 320)``; None if the text is not a size."""
    shape = _shape_of(text)
    return shape and shape[1:]


def channels_in(text: str) -> int | None:
    """Return the channels that the size of an image states; None if it states none."""
    shape = _shape_of(text)
    return shape[0] if shape else None


def _shape_of(text: str) -> tuple[int | None, int, int] | None:
    """Return channels, height and width of a size. Of three sides, 1, 3 or 4 at one end are the channels."""
    match = _SIZE.fullmatch(text.strip()) if len(text) <= MAX_TEXT else None
    if match is None or (match["open"] is None) != (match["close"] is None):
        return None
    sides = [int(part) for part in re.findall(r"\d+", match["sides"])]
    channels = None
    if len(sides) == 3:
        first, second, third = sides
        if first in _CHANNELS and (third not in _CHANNELS or second == third):
            channels, sides = first, [second, third]
        elif third in _CHANNELS and (first not in _CHANNELS or first == second):
            channels, sides = third, [first, second]
        else:
            return None
    if not all(sides) or max(sides) > MOST_SIDE or (match["square"] and len(sides) > 1):
        return None
    return channels, sides[0], sides[-1]


def weights_file(model: Model) -> str | None:
    """Return the file name at the end of the card's link to its weights."""
    return file_of_link(model.text("Weights"))


def file_of_link(link: str | None) -> str | None:
    """Return the file name at the end of a link; None if it ends in a slash."""
    return re.split(r"[?#]", link or "")[0].rpartition("/")[2] or None

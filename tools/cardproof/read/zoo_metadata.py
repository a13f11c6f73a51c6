"""The metadata of a zoo as cards: each value is a claim at its place in the zoo's own source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from json import dumps
from pathlib import Path

from msgspec.structs import replace

from cardproof.core.errors import InputError
from cardproof.core.source import Source
from cardproof.core.types import Place
from cardproof.core.yaml import read_yaml
from cardproof.read import Card, Reading
from cardproof.read.model_index import IndexReader
from cardproof.read.models import claims_of
from cardproof.zoos.metadata import TASK, ModelList, Published


class MappedSource(Source, eq=False):
    """A text made from values of another file, with places in that file."""

    places: tuple[Place, ...] = ()
    """For each line, the place of the value on it."""

    def place(self, start: int, end: int | None = None) -> Place:
        """Return the place of a line's value, without an end: an installed file is not fixed."""
        line = Source.place(self, start, end).line
        return replace(self.places[min(line, len(self.places)) - 1], end_column=None)


def read_metadata(listed: ModelList) -> Reading:
    """Return a card for each source file of the zoo. Raises InputError if the models have no metadata."""
    files: dict[str, list[Published]] = {}
    for published in listed.models:
        if published.values or published.results:
            files.setdefault(published.place.file, []).append(published)
    if not files:
        raise InputError(f"{listed.source} has no metadata that claims anything of these models")
    cards = [_card(file, published) for file, published in sorted(files.items())]
    return Reading(cards, [finding for card in cards for finding in card.findings], len(cards))


def _card(file: str, models: Iterable[Published]) -> Card:
    lines = [line for published in models for line in _lines(published)]
    first = lines[0][1]
    text = "".join(f"{line}\n" for line in ("Models:", *(line for line, _ in lines)))
    source = MappedSource(file, Path(file), text, places=(first, *(place for _, place in lines)))
    tree, findings = read_yaml(source)
    assert tree is not None
    reader = IndexReader(Path())
    found = reader.models([tree], source)
    claims = tuple(tuple(claims_of(model)) for model in found)
    return Card(source, None, (), found, claims, (*findings, *reader.findings))


def _lines(published: Published) -> Iterator[tuple[str, Place]]:
    """Yield the lines of a model's entry in a model index, one value a line, each with its place."""
    at = published.place
    yield f"- Name: {dumps(published.model)}", at
    if published.weights:
        yield f"  Weights: {dumps(published.weights)}", at
    if published.values:
        yield "  Metadata:", at
    for value in published.values:
        yield f"    {dumps(value.field)}: {dumps(value.text)}", value.place
    if published.results:
        yield "  Results:", at
    for dataset, metrics in published.results:
        yield f"  - Task: {TASK}", at
        yield f"    Dataset: {dumps(dataset)}", at
        yield "    Metrics:", at
        for value in metrics:
            yield f"      {dumps(value.field)}: {dumps(value.text)}", value.place

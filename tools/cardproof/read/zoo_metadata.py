"""The metadata of a zoo as cards: each value is a claim that stands where the zoo's own source has it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec.structs import replace

from cardproof.core.errors import InputError
from cardproof.core.source import Source
from cardproof.core.types import Place
from cardproof.core.yaml import read_yaml
from cardproof.read import Card, Reading
from cardproof.read.claims import claims_of
from cardproof.read.model_index import IndexReader
from cardproof.zoos.published import TASK, ModelList, Published


class MappedSource(Source, eq=False):
    """A text that was made of values of another file: its places are those of that file."""

    places: tuple[Place, ...] = ()
    """For each line, where the value on it stands."""

    def place(self, start: int, end: int | None = None) -> Place:
        """Return the place of what a line was made of, without an end: an installed file is not fixed."""
        line = Source.place(self, start, end).line
        return replace(self.places[min(line, len(self.places)) - 1], end_column=None)


def read_metadata(listed: ModelList) -> Reading:
    """Return cards of a list of models, one for each source file of the zoo. Raises InputError if it has no value."""
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
    reader = IndexReader(Path(), str)
    found = reader.models(tree, source)
    claims = tuple(tuple(claims_of(model)) for model in found)
    return Card(source, None, None, found, claims, (*findings, *reader.findings))


def _lines(published: Published) -> Iterator[tuple[str, Place]]:
    """Yield the entry of a model in a model index, one value on each line, with the place of each."""
    at = published.place
    yield f"- Name: {_quoted(published.model)}", at
    if published.weights:
        yield f"  Weights: {_quoted(published.weights)}", at
    if published.values:
        yield "  Metadata:", at
    for value in published.values:
        yield f"    {_quoted(value.field)}: {_quoted(value.text)}", value.place
    if published.results:
        yield "  Results:", at
    for dataset, metrics in published.results:
        yield f"  - Task: {TASK}", at
        yield f"    Dataset: {_quoted(dataset)}", at
        yield "    Metrics:", at
        for value in metrics:
            yield f"      {_quoted(value.field)}: {_quoted(value.text)}", value.place


def _quoted(text: str) -> str:
    """Return a text as YAML has it in double quotes."""
    return json.dumps(text)

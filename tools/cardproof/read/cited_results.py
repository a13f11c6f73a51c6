"""Cited results: values that named sources publish, read from one YAML file."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from cardproof.core.errors import InputError
from cardproof.core.field_names import canonical_dataset, kind_of
from cardproof.core.numbers import parse_number
from cardproof.core.types import Number
from cardproof.core.yaml import Mapping, Node, Scalar, Sequence, read_yaml_file


class CitedSource(Struct, frozen=True):
    """One source with its values by model and metric, for one data set."""

    title: str
    url: str
    retrieved: str
    """Date on which the values were copied."""
    dataset: str
    values: dict[tuple[str, str], tuple[Number, str]]
    """By model and kind of metric, with the text as written."""

    def value(self, model: str, dataset: str, kind: str) -> Number | None:
        """Return the value that this source states for a model's metric, or None."""
        if (canonical_dataset(dataset) or dataset.lower()) != (canonical_dataset(self.dataset) or self.dataset.lower()):
            return None
        found = self.values.get((model, kind))
        return found[0] if found else None

    def text(self, value: Number) -> str:
        """Write a value with the digits that the source wrote."""
        return next(text for number, text in self.values.values() if number is value)


def read_cited(path: Path) -> tuple[CitedSource, ...]:
    """Read ``Sources: [{Title, URL, Retrieved, Dataset, Metrics: [...], Values: {model: [...]}}]``.

    Raises InputError, with file, line and column, if the file cannot be read or a source is not of that form.
    """
    tree = read_yaml_file(path)
    sources = tree.get("Sources") if isinstance(tree, Mapping) else None
    if not isinstance(sources, Sequence):
        raise InputError(f"{path.as_posix()}:1:1: a file of cited results holds a list 'Sources'")
    return tuple(_source(entry) for entry in sources.items)


def _source(node: Node) -> CitedSource:
    def text(key: str) -> str:
        value = node.get(key) if isinstance(node, Mapping) else None
        if not isinstance(value, Scalar) or value.value is None:
            raise InputError(f"{node.place}: a cited source needs '{key}'")
        return value.text

    title, url, retrieved, dataset = text("Title"), text("URL"), text("Retrieved"), text("Dataset")
    assert isinstance(node, Mapping)
    metrics, rows = node.get("Metrics"), node.get("Values")
    if not isinstance(metrics, Sequence) or not isinstance(rows, Mapping):
        raise InputError(f"{node.place}: a cited source needs a list 'Metrics' and a mapping 'Values'")
    names = [kind_of(item.text) for item in metrics.items if isinstance(item, Scalar)]
    values: dict[tuple[str, str], tuple[Number, str]] = {}
    for model, row in rows:
        items = row.items if isinstance(row, Sequence) else []
        if len(items) != len(names):
            raise InputError(f"{row.place}: {model.text} needs {len(names)} values, one for each metric")
        for name, item in zip(names, items, strict=True):
            number = parse_number(item.text, "plain") if isinstance(item, Scalar) else None
            if number is None or not isinstance(item, Scalar):
                raise InputError(f"{item.place}: not a number")
            values[model.text, name] = (number, item.text)
    return CitedSource(title, url, retrieved, dataset, values)

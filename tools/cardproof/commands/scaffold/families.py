"""Families of models, of which each has one card, and the model index that the card holds."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from cardproof.core.measurements import Counts, Evidence
from cardproof.core.yaml import Inline, to_yaml
from cardproof.judge.checks.data_sets import classes_of
from cardproof.zoos.metadata import TASK, Published

RESERVED_NAMES = frozenset({"index", "compare", "readme", "page"})
"""Names of a site's pages that are not cards."""

COPIED_FIELDS = ("File Size",)
"""Values that a card copies from the zoo's metadata; other numbers are counted."""


class Family(Struct, frozen=True):
    """Models whose networks are defined in one module."""

    name: str
    """The class of most of them."""
    file: str
    """Of its card, without a suffix."""
    module: str
    """Empty if the networks are built of torch's own classes only."""
    models: tuple[tuple[Published, Evidence], ...]


def families(models: Iterable[tuple[Published, Evidence]], other: str) -> list[Family]:
    """Group measured models by family, sorted by file; ``other`` names the family of networks without a class."""
    by_module: dict[str, list[tuple[Published, Evidence]]] = {}
    for published, evidence in models:
        assert evidence.counts
        module = evidence.counts.source.partition(":")[0]
        by_module.setdefault("" if module.startswith("torch.") else module, []).append((published, evidence))
    found: list[Family] = []
    for module, members in by_module.items():
        classes = Counter(evidence.counts.source.partition(":")[2] for _, evidence in members if evidence.counts)
        name = min(classes, key=lambda name: (-classes[name], name)).rpartition(".")[2] if module else other
        if any(family.name == name for family in found):
            name = f"{name} of {module}"
        file = _unique_file(module.rpartition(".")[2] or other, module, {family.file for family in found})
        found.append(Family(name, file, module, tuple(members)))
    return sorted(found, key=lambda family: family.file)


def _unique_file(name: str, module: str, used: set[str]) -> str:
    file = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "models"
    if file in RESERVED_NAMES | used:
        file = re.sub(r"[^a-z0-9]+", "-", module.lower()).strip("-") if file in used else f"{file}-models"
    while file in RESERVED_NAMES | used:
        file += "-2"
    return file


def family_index(family: str, models: Iterable[tuple[Published, Evidence]]) -> dict[str, Any]:
    """Return the model index of one family; metadata that all its models share is in the collection."""
    entries = [_entry(family, published, evidence) for published, evidence in models]
    first = entries[0]["Metadata"]
    fields = [key for key in ("Tasks", "Training Data") if key in first]
    shared = {key: first[key] for key in fields if all(entry["Metadata"].get(key) == first[key] for entry in entries)}
    for entry in entries:
        entry["Metadata"] = {key: value for key, value in entry["Metadata"].items() if key not in shared}
    collection = {"Name": family, **({"Metadata": shared} if shared else {})}
    return {"Type": "model-index", "Collections": [collection], "Models": entries}


def index_text(index: Mapping[str, Any]) -> str:
    """Return a model index as YAML that an HTML comment can hold."""
    return to_yaml(dict(index)).replace("-->", "--\\x3E")  # such texts are in double quotes


def _entry(family: str, published: Published, evidence: Evidence) -> dict[str, Any]:
    assert evidence.counts
    metadata = _counted_metadata(evidence.counts, published.data)
    metadata |= {value.field: value.text for value in published.values if value.field in COPIED_FIELDS}
    metadata |= _preprocessing_metadata(evidence)
    metadata["Architecture"] = [word for word, count in evidence.counts.parts.items() if count]
    if published.data:
        metadata["Training Data"] = list(published.data)
    entry: dict[str, Any] = {"Name": published.model, "In Collection": family, "Metadata": metadata}
    if published.licence:
        entry["License"] = published.licence
    if published.weights:
        entry["Weights"] = published.weights
    results = [
        {"Task": TASK, "Dataset": name, "Metrics": {value.field: value.text for value in values}}
        for name, values in published.results
    ]
    return {**entry, "Results": results} if results else entry


def _counted_metadata(counts: Counts, data: Sequence[str]) -> dict[str, Any]:
    """Return the exact counts, and the task if the output is one score for each class of the data."""
    found: dict[str, Any] = {}
    head = counts.head
    if head and counts.output_shape == (1, head.classes) and any(head.classes in classes_of(name) for name in data):
        found["Tasks"] = [TASK]
    if counts.all_multiply_adds is not None:
        found["FLOPs"] = counts.all_multiply_adds
    found["Parameters"] = counts.parameters
    if head and counts.output_shape == (1, head.classes):
        found["Classes"] = head.classes
    _, height, width = counts.input_shape
    return {**found, "Image Size": height if height == width else f"{height}x{width}"}


def _preprocessing_metadata(evidence: Evidence) -> dict[str, Any]:
    config = evidence.preprocessing
    if config is None:
        return {}
    values = {
        "Crop Pct": config.crop_pct,
        "Interpolation": config.interpolation,
        "Mean": Inline(config.mean) if config.mean else None,
        "Std": Inline(config.std) if config.std else None,
    }
    return {key: value for key, value in values.items() if value is not None}

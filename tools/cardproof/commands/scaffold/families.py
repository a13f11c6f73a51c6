"""Families of models, of which each has one card, and the model index that the card holds."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import yaml
from msgspec import Struct

from cardproof.judge.checks.data_sets import classes_of
from cardproof.zoos.published import TASK

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cardproof.core.types import Counts, Evidence
    from cardproof.zoos.published import Published

RESERVED = frozenset({"index", "compare", "readme", "page"})
"""Names of pages that a site has beside those of its models."""

SHOWN = ("File Size",)
"""Values of the metadata that a card takes over; what can be counted is counted instead."""


_NUMBER = re.compile(r"[-+.\deE]+")
"""Texts that readers of YAML 1.2 may take for numbers where those of YAML 1.1 do not."""


class Family(Struct, frozen=True):
    """Models whose networks one module defines."""

    name: str
    """The class of most of them."""
    file: str
    """Of its card, without a suffix."""
    module: str
    """Empty if the networks are put together of torch's own classes."""
    models: tuple[tuple[Published, Evidence], ...]


def families(models: Iterable[tuple[Published, Evidence]], other: str) -> list[Family]:
    """Return the families of measured models, by their files; ``other`` names the one of networks without a class."""
    by_module: dict[str, list[tuple[Published, Evidence]]] = {}
    for published, evidence in models:
        assert evidence.counts
        module = evidence.counts.source.partition(":")[0]
        by_module.setdefault("" if module.startswith("torch.") else module, []).append((published, evidence))
    names: dict[str, str] = {}
    files: dict[str, str] = {}
    for module, members in by_module.items():
        classes = Counter(evidence.counts.source.partition(":")[2] for _, evidence in members if evidence.counts)
        name = min(classes, key=lambda name: (-classes[name], name)).rpartition(".")[2] if module else other
        names[module] = name if name not in names.values() else f"{name} of {module}"
        files[module] = _file(module.rpartition(".")[2] or other, module, set(files.values()))
    found = [Family(names[module], files[module], module, tuple(members)) for module, members in by_module.items()]
    return sorted(found, key=lambda family: family.file)


def _file(name: str, module: str, used: set[str]) -> str:
    """Return a file name that nothing else of the site has."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "models"
    if plain in RESERVED | used:
        plain = re.sub(r"[^a-z0-9]+", "-", module.lower()).strip("-") if plain in used else f"{plain}-models"
    while plain in RESERVED | used:
        plain += "-2"
    return plain


class _Dumper(yaml.SafeDumper):
    """Writes short lists on one line, and texts so that none of them ends the comment that holds the index."""


class _Inline(list[Any]):
    """A list that stands on one line."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = '"' if "-->" in text else "'" if _NUMBER.fullmatch(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(
    _Inline, lambda dumper, items: dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=True)
)


def index_of(family: str, models: Iterable[tuple[Published, Evidence]]) -> dict[str, Any]:
    """Return the model index of one family; what all of its models say alike stands once, in the collection."""
    entries = [_entry(family, published, evidence) for published, evidence in models]
    shared = {key: value for key in ("Tasks", "Training Data") if (value := _alike(entries, key)) is not None}
    for entry in entries:
        entry["Metadata"] = {key: value for key, value in entry["Metadata"].items() if key not in shared}
    collection = {"Name": family, **({"Metadata": shared} if shared else {})}
    return {"Type": "model-index", "Collections": [collection], "Models": entries}


def index_text(index: Mapping[str, Any]) -> str:
    """Return a model index as YAML that may stand in a comment of HTML."""
    text: str = yaml.dump(dict(index), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)
    return text.replace("-->", "--\\x3E")  # in double quotes, where only such texts are


def result_of(dataset: str, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return one entry of ``Results``."""
    return {"Task": TASK, "Dataset": dataset, "Metrics": dict(metrics)}


def _entry(family: str, published: Published, evidence: Evidence) -> dict[str, Any]:
    assert evidence.counts
    metadata = _counted(evidence.counts, published.data)
    metadata |= {value.field: value.text for value in published.values if value.field in SHOWN}
    metadata |= _configured(evidence)
    metadata["Architecture"] = [word for word, count in evidence.counts.parts.items() if count]
    if published.data:
        metadata["Training Data"] = list(published.data)
    entry: dict[str, Any] = {"Name": published.model, "In Collection": family, "Metadata": metadata}
    if published.licence:
        entry["License"] = published.licence
    if published.weights:
        entry["Weights"] = published.weights
    results = [result_of(name, {value.field: value.text for value in values}) for name, values in published.results]
    return {**entry, "Results": results} if results else entry


def _counted(counts: Counts, data: Sequence[str]) -> dict[str, Any]:
    """Return what was counted, exactly, and the task if the output is one score for each class of the data."""
    found: dict[str, Any] = {}
    head = counts.head
    if head and counts.output_shape == (1, head.classes) and any(head.classes in classes_of(name) for name in data):
        found["Tasks"] = [TASK]
    found |= {"FLOPs": counts.multiply_adds, "Parameters": counts.parameters}
    if head and counts.output_shape == (1, head.classes):
        found["Classes"] = head.classes
    _, height, width = counts.input_shape
    return {**found, "Image Size": height if height == width else f"{height}x{width}"}


def _configured(evidence: Evidence) -> dict[str, Any]:
    """Return the zoo's preprocessing."""
    config = evidence.preprocessing
    if config is None:
        return {}
    values = {
        "Crop Pct": config.crop_pct,
        "Interpolation": config.interpolation,
        "Mean": _Inline(config.mean) if config.mean else None,
        "Std": _Inline(config.std) if config.std else None,
    }
    return {key: value for key, value in values.items() if value is not None}


def _alike(entries: Sequence[Mapping[str, Any]], key: str) -> Any:
    """Return what all entries say of a field; None if they differ, or some say nothing."""
    first = entries[0]["Metadata"].get(key)
    return first if all(entry["Metadata"].get(key) == first for entry in entries) else None

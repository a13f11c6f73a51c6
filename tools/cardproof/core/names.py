"""Names of fields and data sets in cards, with their many spellings, and what they mean."""

from __future__ import annotations

import re
from functools import cache
from typing import Literal

Writing = Literal["count", "bytes", "plain", "size", "text"]
"""How the value of a field is written: as a kind of number, as the sides of an image, or as text."""

FIELDS: dict[str, tuple[Writing, tuple[str, ...]]] = {
    "parameters": (
        "count",
        ("parameters", "params", "number of parameters", "num params", "param count", "parameter count", "param"),
    ),
    "flops": ("count", ("flops", "macs", "madds", "multiply adds", "mult adds", "multiply add operations")),
    "classes": ("count", ("classes", "num classes", "number of classes")),
    "layers": ("plain", ("layers", "number of layers", "depth")),
    "file size": ("bytes", ("file size",)),
    "image size": ("size", ("image size", "img size", "input size", "resolution")),
    "min size": ("size", ("min size", "min input size", "minimum size", "minimum image size")),
    "crop": ("text", ("crop pct", "crop percentage", "crop")),
    "interpolation": ("text", ("interpolation",)),
    "mean": ("text", ("mean", "image mean")),
    "std": ("text", ("std", "image std")),
    "architecture": ("text", ("architecture",)),
    "tasks": ("text", ("tasks", "task")),
    "top 1 accuracy": (
        "plain",
        ("top 1 accuracy", "top 1", "acc@1", "top 1 acc", "top1", "acc1", "top1 acc", "top1 accuracy", "top@1"),
    ),
    "top 5 accuracy": (
        "plain",
        ("top 5 accuracy", "top 5", "acc@5", "top 5 acc", "top5", "acc5", "top5 acc", "top5 accuracy", "top@5"),
    ),
    "lr": ("plain", ("lr", "learning rate")),
    "epochs": ("plain", ("epochs", "training epochs")),
    "momentum": ("plain", ("momentum",)),
    "batch size": ("plain", ("batch size", "train batch size")),
    "weight decay": ("plain", ("weight decay",)),
    "label smoothing": ("plain", ("label smoothing",)),
    "training techniques": ("text", ("training techniques", "training technique")),
    "training data": (
        "text",
        ("training data", "training dataset", "training datasets", "pretraining data", "datasets"),
    ),
}
"""Kind of a field -> how its value is written, and its normal spellings, the kind among them."""
ACCURACIES = ("top 1 accuracy", "top 5 accuracy")
RECIPE = ("lr", "epochs", "momentum", "batch size", "weight decay", "label smoothing")
"""Kinds of fields about training."""

_KINDS = {spelling: kind for kind, (_, spellings) in FIELDS.items() for spelling in spellings}
_SCALE = re.compile(
    r"\(\s*(?:(thousand|million|billion|trillion)s?|(k|m|g|t|b)(?:n|flops?|macs?|madds?|ops)?)\s*\)\s*$", re.IGNORECASE
)
_WORDS = {"thousand": "K", "million": "M", "billion": "G", "b": "G", "trillion": "T"}


@cache
def normal_field(field: str) -> str:
    """Return a field's name without case, hyphens and units: ``Params (M)`` is ``params``, ``GMACs`` is ``macs``."""
    name = re.sub(r"\s*\([^)]*\)\s*$", "", field.strip().lower())
    name = re.sub(r"[\s_-]+", " ", name).lstrip("# ")
    return name[1:] if re.fullmatch(r"[kmgt](flops|macs|madds)", name) else name


def kind_of(field: str) -> str:
    """Return the key of :data:`FIELDS` for a field (``Params (M)`` is ``parameters``), or else its normal spelling."""
    name = normal_field(field)
    return _KINDS.get(name, name)


def spellings_of(*kinds: str) -> frozenset[str]:
    """Return the normal spellings of some kinds of fields."""
    return frozenset(spelling for kind in kinds for spelling in FIELDS[kind][1])


def scale_of(field: str) -> str:
    """Return the SI prefix in a field's name: ``Params (M)`` has M, ``GMACs`` has G."""
    if match := _SCALE.search(field):
        word = (match[1] or match[2]).lower()
        return _WORDS.get(word, word.upper())
    name = field.strip().lower()
    return name[0].upper() if re.fullmatch(r"[kmgt](flops|macs|madds)", name) else ""


@cache
def canonical_dataset(name: str) -> str | None:
    """Return the canonical name of a data set; None if it is unknown."""
    from res2next.datasets import UnknownDataset, find_dataset

    try:
        return find_dataset(name).name
    except UnknownDataset:
        return None


def dataset_names() -> tuple[str, ...]:
    """Return the names of all data sets that can be evaluated."""
    from res2next.datasets import list_datasets

    return tuple(list_datasets())

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
WITH_TOLERANCE = ("parameters", "flops", "classes", "file size", *ACCURACIES, *RECIPE)
"""Kinds of fields whose values are compared within a tolerance."""

_VARIANTS = {
    "params": (
        *("number of params", "num parameters", "n params", "of params", "of parameters", "no. of params"),
        *("no. of parameters", "params count", "parameters count", "total params", "total parameters"),
    ),
    "flops": ("flop", "number of flops", "num flops", "of flops", "flops count", "flop count"),
    "macs": ("mac", "maccs", "macc", "flops/2"),
    "madds": ("madd", "multadds"),
    "mult adds": ("mult add", "multi adds", "multi add"),
    "multiply adds": ("multiply add",),
    "image size": ("img. size", "image resolution", "img resolution", "input image size", "infer img size"),
    "resolution": ("input resolution",),
    "acc@1": ("acc@top1", "acc@top 1", "acc 1", "prec@1"),
    "acc@5": ("acc@top5", "acc@top 5", "acc 5", "prec@5"),
}
"""Normal spelling -> other ways to write it, in tables above all."""
_NORMAL = {variant: normal for normal, variants in _VARIANTS.items() for variant in variants}
_KINDS = {spelling: kind for kind, (_, spellings) in FIELDS.items() for spelling in spellings}
_MARKS = " \t*†‡§¶.:;↑↓"
"""Marks after a field's name: footnotes, and arrows that say which values are better."""
_PREFIXED = re.compile(r"(?:infer )?([kmgt]) ?(flops?|macs?|maccs?|madds?|mult adds|params?|parameters)")
_BRACKETS = re.compile(r"[(\[](?P<unit>[^()\[\]]{0,60})[)\]]$")
_UNIT = re.compile(
    r"(?:in )?(?:(?:[x×*] ?)?(?P<power>10\^?\{?(?:3|6|9|12)\}?|10[³⁶⁹])"
    r"|(?P<word>thousand|million|billion|trillion|mil)s?|(?P<letter>[kmgtb])(?:n|flops?|macs?|madds?|ops|params?)?)",
)
_TRAILING_UNIT = re.compile(r"(?:,| in) ?(?P<unit>[kmgtb]|(?:thousand|million|billion)s?)$")
_WORDS = {"thousand": "K", "million": "M", "mil": "M", "billion": "G", "b": "G", "trillion": "T"}
_POWERS = {"3": "K", "6": "M", "9": "G", "12": "T", "³": "K", "⁶": "M", "⁹": "G"}
_IN_BRACKETS = re.compile(r"[(\[]([^()\[\]]{1,60})[)\]]")
BESIDE_ACCURACY = frozenset(
    {
        "%", "in", "on", "val", "val.", "validation", "test", "acc", "acc.", "accuracy", "percent", "set", "crop", "↑",
        "error", "err", "err.", "rate", "top-1", "top-5", "@1", "@5",
    }
)  # fmt: skip
"""Words in brackets behind an accuracy that say nothing about its data set."""
_BESIDE_COUNT = frozenset(
    {
        "#", "in", "of", "the", "total", "number", "num", "count", "inference", "infer", "test", "eval", "single",
        "one", "1", "crop", "center", "image", "per", "lower", "is", "better", "flops", "flop", "macs", "mac", "madds",
        "multiply-adds", "mult-adds", "params", "parameters",
    }
)  # fmt: skip
"""Words in brackets behind a count that leave it the count of the whole network for one image."""
_OF_SOURCES = frozenset(
    {
        "ours", "our", "best", "official", "paper", "reported", "reproduced", "baseline", "default",
        "fused", "merged", "deploy", "deployed",
    }
)  # fmt: skip
"""Words in brackets after a value that name its source, or the merged form of the network, which is tried."""
_SIZE = re.compile(r"@?\d{3,4}(?:²|\^2|\s?[x×]\s?\d{3,4})?(?:px)?")
_LONGEST = 200
"""Characters of a field's name; a longer one is text and is not looked at."""


@cache
def normal_field(field: str) -> str:
    """Return a field's name without case, hyphens and units: ``#Params (M)`` is ``params``, ``GMACs`` is ``macs``."""
    name = _split_unit(field)[0]
    name = match[2] if (match := _PREFIXED.fullmatch(name)) else name
    return _NORMAL.get(name, name)


def scale_of(field: str) -> str:
    """Return the SI prefix in a field's name: ``Params (M)`` has M, ``GMACs`` and ``FLOPs (×10^9)`` have G."""
    name, unit = _split_unit(field)
    if match := _UNIT.fullmatch(unit):
        if match["power"]:
            return _POWERS[match["power"].strip("{}").removeprefix("10").strip("^{}")]
        word = match["word"] or match["letter"]
        return _WORDS.get(word, word.upper())
    return match[1].upper() if (match := _PREFIXED.fullmatch(name)) else ""


def _split_unit(field: str) -> tuple[str, str]:
    """Return a field's name in lower case without hyphens and marks, and the unit behind it, if there is one."""
    name, unit = field.strip().lower(), ""
    if len(name) > _LONGEST:
        return name, ""
    while match := _BRACKETS.search(name := name.rstrip(_MARKS)):
        name, text = name[: match.start()], match["unit"].strip(_MARKS)
        unit = text if _UNIT.fullmatch(text) else unit or text
    if not unit and (match := _TRAILING_UNIT.search(name)):
        name, unit = name[: match.start()], match["unit"]
    return re.sub(r"[\s_-]+", " ", name).strip(f"# {_MARKS}"), unit


@cache
def qualifier_of(field: str) -> str:
    """Return the words in brackets that make a field another value: ``Params (backbone)``; usually empty."""
    kind = kind_of(field)
    if kind not in ("parameters", "flops", "classes", "file size", *ACCURACIES):
        return ""
    known = BESIDE_ACCURACY if kind in ACCURACIES else _BESIDE_COUNT
    for match in _IN_BRACKETS.finditer(field.lower()[:_LONGEST]):
        text, unit = match[1], match[1].strip(_MARKS)
        if _UNIT.fullmatch(unit) or _SIZE.fullmatch(unit) or (kind in ACCURACIES and canonical_dataset(unit)):
            continue
        if not all(word in known or _SIZE.fullmatch(word) for word in re.split(r"[\s,;/]+", unit) if word):
            return text
    return ""


def says_another_value(words: str) -> bool:
    """Return whether words in brackets after a count or accuracy may change its meaning: ``24.7M (w/o head)``."""
    plain = (word for word in re.split(r"[\s,;/]+", words.lower().strip(_MARKS)) if word)
    return not all(word in _BESIDE_COUNT | BESIDE_ACCURACY | _OF_SOURCES for word in plain)


def kind_of(field: str) -> str:
    """Return the key of :data:`FIELDS` for a field (``Params (M)`` is ``parameters``), or else its normal spelling."""
    name = normal_field(field)
    return _KINDS.get(name, name)


def spellings_of(*kinds: str) -> frozenset[str]:
    """Return the normal spellings of some kinds of fields."""
    return frozenset(spelling for kind in kinds for spelling in FIELDS[kind][1])


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

"""Names of fields as cards write them, and what they mean: one meaning has many spellings."""

from __future__ import annotations

import re
from functools import cache

PARAMETERS = frozenset(
    {"parameters", "params", "number of parameters", "num params", "param count", "parameter count", "param"}
)
FLOPS = frozenset({"flops", "macs", "madds", "multiply adds", "mult adds", "multiply add operations"})
IMAGE_SIZE = frozenset({"image size", "img size", "input size", "resolution"})
CROP = frozenset({"crop pct", "crop percentage", "crop"})
INTERPOLATION = frozenset({"interpolation"})
MEAN = frozenset({"mean", "image mean"})
STD = frozenset({"std", "image std"})
ARCHITECTURE = frozenset({"architecture"})
FILE_SIZE = frozenset({"file size"})
LAYERS = frozenset({"layers", "number of layers", "depth"})
CLASSES = frozenset({"classes", "num classes", "number of classes"})
MIN_SIZE = frozenset({"min size", "min input size", "minimum size", "minimum image size"})
TASKS = frozenset({"tasks", "task"})
TOP_1 = frozenset(
    {"top 1 accuracy", "top 1", "acc@1", "top 1 acc", "top1", "acc1", "top1 acc", "top1 accuracy", "top@1"}
)
TOP_5 = frozenset(
    {"top 5 accuracy", "top 5", "acc@5", "top 5 acc", "top5", "acc5", "top5 acc", "top5 accuracy", "top@5"}
)
RECIPE = {
    "lr": "lr",
    "learning rate": "lr",
    "epochs": "epochs",
    "training epochs": "epochs",
    "momentum": "momentum",
    "batch size": "batch size",
    "train batch size": "batch size",
    "weight decay": "weight decay",
    "label smoothing": "label smoothing",
}
"""Fields about training, and the one name of each."""
TECHNIQUES = frozenset({"training techniques", "training technique"})

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


def scale_of(field: str) -> str:
    """Return the SI prefix that a field's name brings along: ``Params (M)`` has M, ``GMACs`` has G."""
    if match := _SCALE.search(field):
        word = (match[1] or match[2]).lower()
        return _WORDS.get(word, word.upper())
    name = field.strip().lower()
    return name[0].upper() if re.fullmatch(r"[kmgt](flops|macs|madds)", name) else ""

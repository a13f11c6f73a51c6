"""Kinds of discrepancies between a refuted claim and the network, and the clause that explains one."""

from __future__ import annotations

import re
from fractions import Fraction

from cardproof.core.measurements import Reproduction

DISCREPANCIES = {
    "non-square": "Counted on an image that is not square",
    "other-size": "Counted at another image size",
    "batch-norm": "Batch norm counted as multiply-adds",
    "norms": "Layer or group norm counted as multiply-adds",
    "pooling": "Pooling counted as multiply-adds",
    "biases": "Biases counted as multiply-adds",
    "no-classifier": "Classifier left out",
    "no-subclasses": "Convolutions of a class of their own left out",
    "no-attention": "Attention left out",
    "factor": "Multiplied by a factor",
    "unit": "In another unit than it says",
    "swapped": "Two fields swapped",
    "another-model": "Another model's number",
    "buffers": "Buffers counted as parameters",
    "truncated": "Truncated instead of rounded",
    "classes": "Counted with another number of classes",
    "other-way": "Counted in another way that gives the number exactly",
    "no-way": "We could not explain the number",
    "configuration": "Not what the weights' configuration says",
    "absent-part": "A part is named that does not run in the network",
    "images": "Not the images that the weights get right",
    "recipe": "Not what the recipe of the weights says",
    "min-size": "A smallest image that the network does not take",
    "file-size": "Not the size of the file",
}
"""Kind of discrepancy -> its label in reports. One claim may show several."""

_COUNTED = (
    ("batch norm", "batch-norm"),
    ("layer and group norm", "norms"),
    ("layer norm", "norms"),
    ("average pooling", "pooling"),
    ("max pooling", "pooling"),
    ("inputs of pooling", "pooling"),
    ("means over positions", "pooling"),
    ("biases", "biases"),
    ("buffers", "buffers"),
    ("running statistics", "buffers"),
)
_LEFT_OUT = {
    "classifier": "no-classifier",
    "convolution subclasses": "no-subclasses",
    "attention products": "no-attention",
}
_FACTORS = {Fraction(1): "", Fraction(2): "twice ", Fraction(1, 2): "half ", Fraction(3): "three times "}


def discrepancies_of(reproduction: Reproduction) -> tuple[str, ...]:
    """Return the discrepancies that a way of counting consists of; ``no-way`` if it is only close."""
    if not reproduction.exact:
        return ("no-way",)
    found: dict[str, None] = {}
    if reproduction.input is not None:
        found["other-size" if reproduction.input[0] == reproduction.input[1] else "non-square"] = None
    for word in reproduction.counted:
        found.update(dict.fromkeys(kind for part, kind in _COUNTED if part in word))
    found.update(dict.fromkeys(_LEFT_OUT[word] for word in reproduction.left_out if word in _LEFT_OUT))
    if reproduction.factor != Fraction(1):
        found["factor"] = None
    if reproduction.classes is not None:
        found["classes"] = None
    if "truncates a float" in reproduction.note:
        found["truncated"] = None
    return tuple(found) or ("other-way",)


def describe(reproduction: Reproduction, image_size: tuple[int, int]) -> str:
    """Return a clause on what gives the stated number, and how closely; ``image_size`` is height and width.

    >>> from cardproof.core.measurements import Reproduction
    >>> found = Reproduction("flops", 69200, 69200, True, input=(32, 40))
    >>> describe(found, (32, 32))
    'exactly the multiply-adds of a 32x40 input (non-square; the image size is 32x32)'
    """
    closeness = "within 0.01 % of" if reproduction.tool else "within 0.1 % of"
    if reproduction.exact:
        closeness = "exactly" if reproduction.value == reproduction.stated else "at the digits written,"
    if (note := reproduction.note) and not (reproduction.counted or reproduction.left_out):
        return f"{closeness} {note}" if note.startswith("the ") else f"{closeness} {reproduction.value:,}: {note}"
    if reproduction.tool:
        closeness = f"{closeness} what {reproduction.tool} counts:"
    factor = _FACTORS.get(reproduction.factor, f"{reproduction.factor} times ")
    counted = [re.sub(" (twice|once)", r" (\1 per element)", word) for word in reproduction.counted]
    clauses = [
        _items_with_verb(counted, "counted"),
        _items_with_verb([f"the {word}" for word in reproduction.left_out], "left out"),
    ]
    differences = " and ".join(filter(None, clauses))
    return f"{closeness} {factor}{_subject_of_clause(reproduction, image_size)}" + (
        f", with {differences}" if differences else ""
    )


def _subject_of_clause(reproduction: Reproduction, image_size: tuple[int, int]) -> str:
    if reproduction.field == "parameters":
        head = "" if reproduction.classes is None else f" with {_article(reproduction.classes)}-class head"
        return f"the parameters{head}"
    head = "" if reproduction.classes is None else f" and {_article(reproduction.classes)}-class head"
    if reproduction.input is None:
        return f"the multiply-adds at the image size{head}"
    height, width = reproduction.input
    kind = "" if height == width else "non-square; "
    own = f"({kind}the image size is {image_size[0]}x{image_size[1]})"
    return f"the multiply-adds of {_article(height)}x{width} input{head} {own}"


def _article(number: int) -> str:
    """``a 224`` but ``an 80``."""
    text = str(number)
    an = text.startswith("8") or (text.startswith(("11", "18")) and len(text) % 3 == 2)
    return f"{'an' if an else 'a'} {number}"


def _items_with_verb(items: list[str], verb: str) -> str:
    if not items:
        return ""
    joined = items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
    return f"{joined} {verb}"

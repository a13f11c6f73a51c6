"""Discrepancies: what a refuted claim shows, as words that reports count."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cardproof.core.types import Reproduction

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
    "no-way": "No way of counting that was tried gives the number",
    "configuration": "Not what the weights' configuration says",
    "absent-part": "A part is named that does not run in the network",
    "images": "Not the images that the weights get right",
    "recipe": "Not what the recipe of the weights says",
    "min-size": "A smallest image that the network does not take",
    "file-size": "Not the size of the file",
}
"""Word of a discrepancy -> what a reader is told. One claim may show several."""

_COUNTED = (
    ("batch norm", "batch-norm"),
    ("layer and group norm", "norms"),
    ("average pooling", "pooling"),
    ("max pooling", "pooling"),
    ("biases", "biases"),
    ("buffers", "buffers"),
    ("running statistics", "buffers"),
)
_LEFT_OUT = {
    "classifier": "no-classifier",
    "convolution subclasses": "no-subclasses",
    "attention products": "no-attention",
}


def discrepancies_of(reproduction: Reproduction) -> tuple[str, ...]:
    """Return the discrepancies that a way of counting consists of; a way that is only close shows none of them."""
    if not reproduction.exact:
        return ("no-way",)
    found: dict[str, None] = {}
    if reproduction.input is not None:
        found["other-size" if reproduction.input[0] == reproduction.input[1] else "non-square"] = None
    for word in reproduction.counted:
        found.update(dict.fromkeys(shown for part, shown in _COUNTED if part in word))
    found.update(dict.fromkeys(_LEFT_OUT[word] for word in reproduction.left_out if word in _LEFT_OUT))
    if reproduction.factor != Fraction(1):
        found["factor"] = None
    if reproduction.classes is not None:
        found["classes"] = None
    if "truncates a float" in reproduction.note:
        found["truncated"] = None
    return tuple(found) or ("other-way",)

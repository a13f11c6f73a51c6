"""Puts an explanation of a stated count into one clause of plain English; needs no torch."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cardproof.core.types import Reproduction


def words(reproduction: Reproduction, image_size: tuple[int, int]) -> str:
    """Say what gives the stated number, and whether exactly; ``image_size`` is height and width.

    >>> from cardproof.core.types import Reproduction
    >>> found = Reproduction("flops", 69200, 69200, True, input=(32, 40))
    >>> words(found, (32, 32))
    'exactly the multiply-adds of a 32x40 input (non-square; the image size is 32x32)'
    """
    closeness = "within 0.1 % of"
    if reproduction.exact:
        closeness = "exactly" if reproduction.value == reproduction.stated else "at the digits written,"
    if reproduction.note and not (reproduction.counted or reproduction.left_out):
        return _noted(reproduction, closeness)
    clause = f"{closeness} {_times(reproduction.factor)}{_subject(reproduction, image_size)}"
    return clause + _operations(reproduction)


def _noted(reproduction: Reproduction, closeness: str) -> str:
    note = reproduction.note
    return f"{closeness} {note}" if note.startswith("the ") else f"{closeness} {reproduction.value:,}: {note}"


def _times(factor: Fraction) -> str:
    names = {Fraction(1): "", Fraction(2): "twice ", Fraction(1, 2): "half ", Fraction(3): "three times "}
    return names.get(factor, f"{factor} times ")


def _subject(reproduction: Reproduction, image_size: tuple[int, int]) -> str:
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


_ONCE = " once"
_TWICE = " twice"


def _operations(reproduction: Reproduction) -> str:
    """What was counted besides, and what was left out."""
    clauses = [_list([_counted(word) for word in reproduction.counted], "counted")]
    clauses.append(_list([f"the {word}" for word in reproduction.left_out], "left out"))
    said = [clause for clause in clauses if clause]
    return f", with {' and '.join(said)}" if said else ""


def _counted(word: str) -> str:
    return word.replace(_TWICE, " (twice per element)").replace(_ONCE, " (once per element)")


def _list(items: list[str], verb: str) -> str:
    if not items:
        return ""
    joined = items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
    return f"{joined} {verb}"

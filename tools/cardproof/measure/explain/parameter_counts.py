"""Finds the way of counting parameters that gives a stated number."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import ceil, floor
from typing import Any

from torch import nn

from cardproof.core.measurements import Counts, Head, Reproduction
from cardproof.core.types import Number

MOST_CHANCE = Fraction(1, 20)
"""Chance matches that may be expected among all that was tried, for a match of a number written in full."""

MOST_CHANCE_ROUNDED = Fraction(1, 100)
"""The same for a rounded number: many ways of counting crowd around the few digits of one network."""

USUAL_CLASSES = (
    1000, 10, 100, 21843, 21841, 1001, 80, 2, 1, 91, 20, 21, 200, 101, 365, 102, 37, 196, 120, 47, 397, 8142, 10000,
    11221, 50, 500, 11821, 10450, 81, 90, 19, 150, 257, 400, 600, 700,
)  # fmt: skip
"""Classes of published data sets, ImageNet and CIFAR first; a number one more has a background class."""


HEAD_QUANTA = 20
"""Units of the last written digit by which a head must change a count to be found: a rounded number fits many heads."""

SOLVED_CHANCE = Fraction(1, 100)
"""The most that the stated precision may be of one class's parameters, for an unusual class count to be accepted."""


_Guess = tuple[Fraction | int, dict[str, Any]]
"""The result of one way of counting, and the fields of :class:`Reproduction` that say how it is counted."""


def explain_parameters(
    model: nn.Module, ran: frozenset[int], counts: Counts, stated: Stated
) -> tuple[Reproduction, ...]:
    """Return the simplest way of counting that gives the stated number of parameters, or nothing.

    ``ran`` holds the identities of the modules that ran.
    """
    for tried, (value, how) in enumerate(_guesses(model, ran, counts, stated), start=1):
        if tried * stated.chance > stated.most_chance:
            break
        if value != counts.parameters and stated.is_met_by(value):
            return (_reproduction(stated, value, **how),)
    classes = _solve_classes(counts, stated)
    return (_reproduction(stated, _with_classes(counts, classes), classes=classes),) if classes else ()


def _reproduction(stated: Stated, value: Fraction | int, **how: Any) -> Reproduction:
    return Reproduction("parameters", round(stated.value), round(value), exact=True, **how)


def _guesses(model: nn.Module, ran: frozenset[int], counts: Counts, stated: Stated) -> Iterator[_Guess]:
    p = counts.parameters
    head = counts.head
    yield p + counts.buffers, {"counted": ("buffers",)}
    if stated.quantum == 1:
        yield from _truncated(p)
    if head:
        yield _with_classes(counts, 0), {"left_out": ("classifier",)}
    frozen = sum(q.numel() for q in model.parameters() if not q.requires_grad)
    if frozen:
        yield p - frozen, {"left_out": ("frozen parameters",)}
    idle = _idle_parameters(model, ran)
    if idle:
        yield p - idle, {"left_out": ("parts that do not run in eval mode",)}
    yield counts.multiply_adds, {"note": "the multiply-adds at the image size, not the parameters"}
    persistent = sum(t.numel() for t in model.state_dict().values() if hasattr(t, "numel"))
    yield persistent, {"counted": ("buffers",), "note": "all values of the state dict"}
    yield 2 * p, {"factor": Fraction(2)}
    yield Fraction(p, 2), {"factor": Fraction(1, 2)}
    yield counts.state_dict_bytes, {"note": "the bytes of the state dict, not the parameters"}
    if head:
        for classes in USUAL_CLASSES:
            value = _with_classes(counts, classes)
            if classes != head.classes and stated.quantum * HEAD_QUANTA <= abs(value - p):
                yield value, {"classes": classes}
    weights = sum(q.numel() for q in model.parameters() if q.dim() > 1)
    yield weights, {"left_out": ("biases and normalisation",)}
    running = sum(b.numel() for b in model.buffers() if b.is_floating_point())
    yield p + running, {"counted": ("running statistics",)}


def _truncated(parameters: int) -> Iterator[_Guess]:
    """Yield guesses one below a count: int(x * 1e6) truncates, and a float can lie just below the intended number."""
    note = "int(x * 1e6) truncates a float to one below the intended {intended:,}"
    yield parameters - 1, {"note": note.format(intended=parameters)}
    for decimals in (2, 3, 1, 4):
        intended = round(round(parameters / 1e6, decimals) * 1e6)
        if intended != parameters:
            yield intended - 1, {"note": note.format(intended=intended)}


def _per_class(head: Head) -> int:
    return head.in_features + int(head.bias)


def _with_classes(counts: Counts, classes: int) -> int:
    """Return the parameters with a head of another number of classes."""
    assert counts.head
    return counts.parameters + (classes - counts.head.classes) * _per_class(counts.head)


def _solve_classes(counts: Counts, stated: Stated) -> int | None:
    """Return the class count that gives the stated number, if one class adds much more than its precision."""
    head = counts.head
    if head is None or stated.quantum > SOLVED_CHANCE * _per_class(head):
        return None
    classes = head.classes + round((stated.value - counts.parameters) / _per_class(head))
    is_possible = 1 <= classes <= 100_000 and classes != head.classes
    return classes if is_possible and stated.is_met_by(_with_classes(counts, classes)) else None


def _idle_parameters(model: nn.Module, ran: frozenset[int]) -> int:
    """Return the parameters of modules that did not run, such as auxiliary heads; an attention runs its layers."""
    used: set[int] = set()
    for module in model.modules():
        if id(module) in ran:
            used.update(map(id, module.parameters(recurse=isinstance(module, nn.MultiheadAttention))))
    return sum(p.numel() for p in model.parameters() if id(p) not in used)


class Stated:
    """A stated number as an interval: half a unit of its last written digit to both sides."""

    __slots__ = ("chance", "high", "low", "most_chance", "quantum", "value")

    def __init__(self, number: Number) -> None:
        self.value = Fraction(number.value)
        self.quantum = max(Fraction(number.quantum), Fraction(1))
        """A count has no fractions."""
        self.low = self.value - self.quantum / 2
        self.high = self.value + self.quantum / 2
        self.chance = self.quantum / self.value if self.value > 0 else Fraction(1)
        """How likely one way of counting, of about this size, meets the interval by luck."""
        self.most_chance = MOST_CHANCE if self.quantum == 1 else MOST_CHANCE_ROUNDED

    def is_met_by(self, value: Fraction | int) -> bool:
        """Whether ``value`` rounds to what was written."""
        return self.low <= value <= self.high

    def bounds(self, factor: Fraction) -> tuple[int, int]:
        """The counts (inclusive) that meet the number when multiplied by ``factor``."""
        return ceil(self.low / factor), floor(self.high / factor)

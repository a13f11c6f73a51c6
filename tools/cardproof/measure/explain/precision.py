"""What a stated number leaves open, and how often a value meets it by luck."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cardproof.core.types import Number

MOST_CHANCE = Fraction(1, 20)
"""Chance matches that may be expected among all that was tried, for a match to mean something."""


class Stated:
    """A stated number as an interval: half a unit of its last written digit to both sides."""

    __slots__ = ("chance", "high", "low", "quantum", "value")

    def __init__(self, number: Number) -> None:
        self.value = Fraction(number.value)
        self.quantum = max(Fraction(number.quantum), Fraction(1))
        """A count has no fractions."""
        self.low = self.value - self.quantum / 2
        self.high = self.value + self.quantum / 2
        self.chance = self.quantum / self.value if self.value > 0 else Fraction(1)
        """How likely one way of counting, of about this size, meets the interval by luck."""

    def is_met_by(self, value: Fraction | int) -> bool:
        """Whether ``value`` rounds to what was written."""
        return self.low <= value <= self.high

    def bounds(self, factor: Fraction) -> tuple[int, int]:
        """The counts (inclusive) that meet the number when multiplied by ``factor``."""
        return ceil(self.low / factor), floor(self.high / factor)

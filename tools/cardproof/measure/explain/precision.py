"""The interval of a stated number, and how often a value lies in it by chance."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cardproof.core.types import Number

MOST_CHANCE = Fraction(1, 20)
"""Chance matches that may be expected among all values tried, for a match to be accepted."""


class Stated:
    """A stated number as an interval: plus and minus half a unit of its last written digit."""

    __slots__ = ("chance", "high", "low", "quantum", "value")

    def __init__(self, number: Number) -> None:
        self.value = Fraction(number.value)
        self.quantum = max(Fraction(number.quantum), Fraction(1))
        """At least 1: counts are integers."""
        self.low = self.value - self.quantum / 2
        self.high = self.value + self.quantum / 2
        self.chance = self.quantum / self.value if self.value > 0 else Fraction(1)
        """Probability that one value of about this size lies in the interval by chance."""

    def is_met_by(self, value: Fraction | int) -> bool:
        """Return whether ``value`` rounds to the stated number."""
        return self.low <= value <= self.high

    def bounds(self, factor: Fraction) -> tuple[int, int]:
        """Return the least and the largest count that meets the number when multiplied by ``factor``."""
        return ceil(self.low / factor), floor(self.high / factor)

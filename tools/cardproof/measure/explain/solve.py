"""Solves for the input side that gives a stated count, by bisection: counts grow with the side, in steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cardproof.measure.explain.inputs import Shape
    from cardproof.measure.explain.runs import Runs

_LARGEST = 4096
"""Pixels; larger sides are not tried."""


def solve_side(runs: Runs, way: int, height: int | None, guess: float, bounds: tuple[int, int]) -> Shape | None:
    """Return the input with this ``height`` (None: a square) for which way number ``way`` gives a count in ``bounds``.

    ``guess`` is the side in pixels if counts grew exactly with the area. Of several sides that give the same count a
    round one is returned; None if no side gives it.
    """

    def value(side: int) -> int | None:
        run = runs.at(_shape(height, side))
        return None if run is None else int(run.values[way])

    reach = 16 + round(guess / 8)
    below, above = max(1, round(guess) - reach), min(_LARGEST, round(guess) + reach)
    while below <= above:
        side = _roundest(below, above)
        found = value(side)
        if found is None or found < bounds[0]:
            below = side + 1
        elif found > bounds[1]:
            above = side - 1
        else:
            return _shape(height, side)
    return None


def _shape(height: int | None, side: int) -> Shape:
    return (side if height is None else height, side)


def _roundest(below: int, above: int) -> int:
    """Return the multiple of the greatest power of two between both (inclusive) that is nearest to their middle.

    Round sides halve the range about as well as the middle, and different ways share the runs.
    """
    unit = 1 << above.bit_length()
    while above // unit * unit < below:
        unit //= 2
    middle = (below + above) // 2 // unit * unit
    return middle if middle >= below else middle + unit

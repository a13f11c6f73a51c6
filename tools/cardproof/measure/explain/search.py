"""Finds the way of counting that gives a stated count which is not the network's.

A match must be unlikely by chance. Each way of counting that is tried meets a stated number by chance with a
probability of about ``quantum / value``. With N ways at least as simple as the one found, N * quantum / value chance
matches are expected, and the match is accepted only if that is at most ``Stated.most_chance``. A side or class count
that was solved for adds the quotient of the quantum and the step from one side or class count to the next.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from itertools import accumulate, product
from typing import TYPE_CHECKING

import torch
from msgspec import Struct

from cardproof.core.measurements import Counts, Reproduction
from cardproof.core.types import Question
from cardproof.measure.count.counting_tools import COLUMNS
from cardproof.measure.explain.candidates import (
    FACTORS,
    ForwardPass,
    ForwardPasses,
    Shape,
    Way,
    describe_way,
    make_forward_pass,
    solve_side,
    usual_inputs,
    ways,
)
from cardproof.measure.explain.parameter_counts import USUAL_CLASSES, Stated, explain_parameters

if TYPE_CHECKING:
    from torch import nn

    from cardproof.measure.count.events import Tally

MOST_COST = 7
"""Explanations that cost more are not tried."""

SOLVED_COST = 4
"""Cost of an unusual side."""

MOST_CLASSES = 30_000
"""A little more than ImageNet-21k has."""

MOST_GROWTH = 64
"""Largest factor between an input's area and the image's, in either direction, for its side to be solved for."""

BEYOND_DOUBT = Fraction(1, 1000)
"""A match with fewer expected chance matches ends the search, before sides are solved for."""

MULTIPLE_CHANCE = Fraction(1, 10)
"""Expected chance matches allowed for twice and half the plain count, which cards state most often."""

NEIGHBOURHOOD = Fraction(1, 50)
"""Relative distance within which values count as neighbours of a stated number."""

NEAR = Fraction(1, 1000)
"""Relative difference up to which a simple way of counting is reported as close."""

NEAR_TOOL = Fraction(1, 10_000)
"""The same for what a tool counts: the counts of many tools lie close together."""

HINTED_SIDES = (224, 256, 288, 299, 320, 384, 448, 512)
"""Sides of the usual square inputs of classifiers, at which a number of few digits may be right."""

SIDES_FOR_ASSUMED = (
    32, 64, 28, 48, 96, 112, 128, 160, 192, 240, 256, 288, 299, 320, 331, 384, 448, 480, 512, 600,
)  # fmt: skip
"""The same if nothing states the image size: those of small images come first."""

SOLVED_CHANCE = Fraction(1, 10_000)
"""The largest quotient of a number's precision and the number for which an unusual side is solved for."""


def explain(
    model: nn.Module,
    counts: Counts,
    image_size: Shape,
    questions: tuple[Question, ...],
    ran: Tally | None = None,
    is_assumed: bool = False,
) -> tuple[Reproduction, ...]:
    """Return the simplest way of counting for each stated count that is not the measured one.

    If the digits prove none, the plain ways that would give it are returned as hints, or else a close one (within
    0.1 %); a question without an explanation adds nothing.
    ``model`` is on the meta device; ``image_size`` is height and width; ``ran`` is the tally at that size, if made;
    ``is_assumed`` tells that nothing states the size.
    """
    runs = ForwardPasses(model, counts.input_shape[0])
    if ran is not None:
        runs.runs[image_size] = make_forward_pass(model, ran)
    found: list[Reproduction] = []
    for question in sorted(questions, key=lambda question: question.field != "parameters"):
        if question.field == "min size":
            continue
        stated = Stated(question.number)
        measured = counts.multiply_adds if question.field == "flops" else counts.parameters
        if stated.value <= 0 or stated.is_met_by(measured) or _is_merged(stated, question, counts):
            continue
        base = runs.at(image_size)
        if question.field == "parameters":
            modules = base.tally.ran if base else set()
            found.extend(explain_parameters(model, frozenset(modules), counts, stated))
        elif base:
            classes = frozenset(other.classes for other in found if other.classes is not None)
            found.extend(_Search(runs, counts, image_size, stated, base, classes, is_assumed).results())
    return tuple(found)


def _is_merged(stated: Stated, question: Question, counts: Counts) -> bool:
    """Return whether a stated count is that of the network's merged form, which needs no explanation."""
    if counts.merged is None:
        return False
    return stated.is_met_by(counts.merged.multiply_adds if question.field == "flops" else counts.merged.parameters)


class _Match(Struct, frozen=True):
    """A way of counting that gives the stated number."""

    cost: int
    shape: Shape
    way: Way
    factor: Fraction
    value: Fraction
    classes: int | None = None


class _Search:
    """The search for one stated number of multiply-adds."""

    def __init__(
        self,
        runs: ForwardPasses,
        counts: Counts,
        size: Shape,
        stated: Stated,
        base: ForwardPass,
        classes: frozenset[int],
        is_assumed: bool,
    ) -> None:
        self.runs = runs
        self.counts = counts
        self.size = size
        self.stated = stated
        self.base = base
        self.classes = classes
        """Class counts that explain the card's number of parameters."""
        self.is_assumed = is_assumed
        self.inputs = usual_inputs(size)
        self.expected = _expected_matches(self.inputs, stated.chance)
        """Chance matches that are expected up to each cost."""

    def results(self) -> Iterator[Reproduction]:
        """Yield the simplest exact match, or else hints, or else a close match, or else nothing."""
        match = (
            self._match_multiple()
            or self._search_inputs(BEYOND_DOUBT)
            or self._solve_side()
            or self._solve_classes()
            or self._search_inputs(self.stated.most_chance)
        )
        if match and not self._is_crowded(match):
            yield self._reproduction(match, exact=True)
        elif self.stated.is_met_by(self.counts.parameters):
            note = "the number of parameters, not the multiply-adds"
            value = self.counts.parameters
            yield Reproduction("flops", round(self.stated.value), value, exact=True, note=note)
        elif hints := tuple(self._hints()):
            yield from (self._reproduction(hint, exact=True, proved=False) for hint in hints)
        else:
            yield from (self._reproduction(match, exact=False) for match in self._closest())

    def _reproduction(self, match: _Match, exact: bool, proved: bool = True) -> Reproduction:
        run = self.runs.at(match.shape) or self.base
        counted, left_out = describe_way(match.way, run.amounts)
        return Reproduction(
            field="flops",
            stated=round(self.stated.value),
            value=round(match.value),
            exact=exact,
            input=None if match.shape == self.size else match.shape,
            factor=match.factor,
            counted=counted,
            left_out=left_out,
            classes=match.classes,
            tool=match.way.tool,
            proved=proved,
        )

    def _is_crowded(self, match: _Match) -> bool:
        """Return whether results lie so densely here that any number would be met.

        The expected chance matches assume evenly spread results, but small additions to the plain count cluster around
        it. So the results of at most this cost within two percent of the stated number are counted.
        """
        if match.factor in (FACTORS[1][0], FACTORS[2][0]) and match.way.cost == 0 and match.shape == self.size:
            return False  # twice and half the plain count lie far from all others
        neighbours = sum(self._neighbours(shape, match.cost - cost) for shape, cost in self.inputs)
        return neighbours * self.stated.quantum > self.stated.most_chance * 2 * NEIGHBOURHOOD * self.stated.value

    def _neighbours(self, shape: Shape, most_cost: int) -> int:
        """Return how many different results of at most this cost lie in the neighbourhood, of the runs made so far."""
        run = self.runs.runs.get(shape)
        if run is None or most_cost < 0:
            return 0
        near: set[Fraction] = set()
        for factor, factor_cost in FACTORS:
            low = self.stated.value * (1 - NEIGHBOURHOOD) / factor
            high = self.stated.value * (1 + NEIGHBOURHOOD) / factor
            met = (run.values >= float(low)) & (run.values <= float(high)) & (_costs() <= most_cost - factor_cost)
            near.update(int(value) * factor for value in run.values[met])
        return len(near)

    def _match_multiple(self) -> _Match | None:
        """Return the plain count doubled or halved: so common that two stated digits suffice."""
        for tried, (factor, cost) in enumerate(FACTORS[1:3], start=1):
            value = self.counts.multiply_adds * factor
            if tried * self.stated.chance <= MULTIPLE_CHANCE and self.stated.is_met_by(value):
                return _Match(cost, self.size, ways()[0], factor, value)
        return None

    def _search_inputs(self, most_expected: Fraction) -> _Match | None:
        """Try the usual class counts and inputs until a match is beyond doubt, or no simpler one can follow."""
        most_cost = sum(expected <= most_expected for expected in self.expected) - 1
        best = self._match_usual_classes()
        for shape, cost in self.inputs:
            if cost > most_cost or (best and (cost >= best.cost or self.expected[best.cost] < BEYOND_DOUBT)):
                break
            allowed = best.cost - 1 if best else most_cost
            if cost < 1 or self._is_reachable(shape, allowed - cost):
                best = self._at(shape, cost, allowed) or best
        return best

    def _is_reachable(self, shape: Shape, most_cost: int) -> bool:
        """Return whether a way of at most this cost could give the stated number at a shape, without a run.

        Counts grow about with the area; strides round sides up.
        """
        area = shape[0] * shape[1] / (self.size[0] * self.size[1])
        slack = 1.01 + 8 / shape[0] + 8 / shape[1]
        for factor, factor_cost in FACTORS:
            growth = float(self.stated.value / factor) / self.base.values.double()
            if ((area / slack <= growth) & (growth < area * slack) & (_costs() <= most_cost - factor_cost)).any():
                return True
        return False

    def _at(self, shape: Shape, shape_cost: int, most_cost: int) -> _Match | None:
        """Return the simplest match at this input that costs at most ``most_cost``."""
        run = self.runs.at(shape)
        best: _Match | None = None
        if run is None:
            return None
        for factor, factor_cost in FACTORS:
            low, high = self.stated.bounds(factor)
            allowed = _costs() <= most_cost - shape_cost - factor_cost
            met = (run.values >= low) & (run.values <= high) & allowed
            if met.any():
                first = int(met.nonzero()[0])
                way = ways()[first]
                most_cost = shape_cost + factor_cost + way.cost
                best = _Match(most_cost, shape, way, factor, int(run.values[first]) * factor)
                most_cost -= 1
        return best

    def _match_usual_classes(self) -> _Match | None:
        """Return a match with a classifier for another data set's number of classes, at the image size."""
        for tried, (match, _) in enumerate(self._heads(), start=1):
            if tried * len(USUAL_CLASSES) * self.stated.chance > self.stated.most_chance:
                return None
            if match.classes in USUAL_CLASSES:
                return match
        return None

    def _solve_classes(self) -> _Match | None:
        """Return a match with the number of classes that also explains the card's parameters.

        Alone it would not be evidence: counts of convolutions share large factors with the count of a class.
        """
        expected = Fraction(0)
        for match, step in self._heads():
            expected += self.stated.quantum / step
            if expected > self.stated.most_chance:
                return None
            if match.classes is not None and match.classes in self.classes:
                return match
        return None

    def _heads(self) -> Iterator[tuple[_Match, Fraction]]:
        """Yield simple ways with the nearest class count (None if it does not match), and the step of a class."""
        head = self.counts.head
        heads = [
            entry for entry in enumerate(ways()) if entry[1].cost <= 1 and entry[1].counts_head and not entry[1].tool
        ]
        for (index, way), (factor, factor_cost) in product(heads, FACTORS[:2]):
            if head is None or not self.base.head_positions:
                return
            step = self._per_class(way) * factor
            counted = int(self.base.values[index]) * factor
            classes = head.classes + round((self.stated.value - counted) / step)
            value = counted + (classes - head.classes) * step
            met = self.stated.is_met_by(value) and 1 <= classes <= MOST_CLASSES and classes != head.classes
            cost = 1 + way.cost + factor_cost
            yield _Match(cost, self.size, way, factor, value, classes if met else None), step

    def _per_class(self, way: Way) -> int:
        head = self.counts.head
        assert head is not None
        biases = sum(way.weights[COLUMNS.index(f"head bias {kind}")] for kind in ("linear", "convolution"))
        return self.base.head_positions * (head.in_features + (biases > 0 and head.bias))

    def _solve_side(self) -> _Match | None:
        """Return a match with another square, or with the image's height and another width."""
        if self.stated.chance > SOLVED_CHANCE:
            return None
        expected = Fraction(0)
        height, width = self.size
        for (index, way), (factor, factor_cost) in _simple_ways():
            low, high = self.stated.bounds(factor)
            growth = float(self.stated.value / factor) / max(1, int(self.base.values[index]))
            if not 1 / MOST_GROWTH < growth < MOST_GROWTH:
                continue
            for square in (True, False):
                guess = height * growth**0.5 if square else width * growth
                expected += self.stated.quantum * max(1, round(guess)) / self.stated.value
                if expected > self.stated.most_chance:
                    return None
                shape = solve_side(self.runs, index, None if square else height, guess, (low, high))
                if shape:
                    run = self.runs.at(shape)
                    assert run is not None
                    value = int(run.values[index]) * factor
                    return _Match(SOLVED_COST + way.cost + factor_cost, shape, way, factor, value)
        return None

    def _hints(self) -> Iterator[_Match]:
        """Yield what meets a number of few digits: the multiply-adds and the tools, at the usual sizes."""
        for side in SIDES_FOR_ASSUMED if self.is_assumed else HINTED_SIDES:
            shape = (side, side)
            if shape == self.size or not (self.is_assumed or self._has_about_the_area(shape)):
                continue
            run = self.runs.at(shape)
            for index, way in _plain_and_tools():
                if run and self.stated.is_met_by(value := int(run.values[index])):
                    yield _Match(1 + way.cost, shape, way, FACTORS[0][0], Fraction(value))

    def _has_about_the_area(self, shape: Shape) -> bool:
        """Return whether counts that grow with the area could give the stated number, as plain counts or a tool's."""
        growth = self.stated.value / max(1, self.counts.multiply_adds)
        area = Fraction(shape[0] * shape[1], self.size[0] * self.size[1])
        return area / 2 < growth < area * 3 / 2

    def _closest(self) -> Iterator[_Match]:
        """Yield the closest of the simplest ways if it is within 0.1 %; too few are tried for a match by chance."""
        if self.stated.chance > NEAR:
            return
        matches: list[tuple[Fraction, _Match]] = []
        for shape, cost in self.inputs[:2]:
            run = self.runs.at(shape)
            if run is None:
                continue
            for index, way in _plain_and_tools():
                for factor, factor_cost in FACTORS[: 2 if way.cost == 0 else 1]:
                    value = int(run.values[index]) * factor
                    off = abs(value - self.stated.value) / self.stated.value
                    matches.append((off, _Match(cost + way.cost + factor_cost, shape, way, factor, value)))
        off, match = min(matches, key=lambda entry: entry[0])
        if off <= (NEAR_TOOL if match.way.tool else NEAR):
            yield match


@functools.cache
def _costs() -> torch.Tensor:
    return torch.tensor([way.cost for way in ways()], dtype=torch.int64)


@functools.cache
def _plain_and_tools() -> tuple[tuple[int, Way], ...]:
    """Return the plain count and those of tools, with their positions."""
    return tuple(entry for entry in enumerate(ways()) if entry[1].cost == 0 or (entry[1].tool and entry[1].cost == 1))


@functools.cache
def _simple_ways() -> tuple[tuple[tuple[int, Way], tuple[Fraction, int]], ...]:
    """Return ways for which a side is solved, with factors: the plain count, its multiples, without the classifier."""
    indexed = tuple(enumerate(ways()))
    headless = [entry for entry in indexed if entry[1].cost == 1 and not entry[1].counts_head and not entry[1].tool]
    return (*((indexed[0], factor) for factor in FACTORS), *((entry, FACTORS[0]) for entry in headless))


def _expected_matches(inputs: tuple[tuple[Shape, int], ...], chance: Fraction) -> tuple[Fraction, ...]:
    """Return for each cost the chance matches expected among all ways and inputs of at most that cost."""
    number: Counter[int] = Counter()
    way_costs = Counter(way.cost for way in ways())
    input_costs = Counter(cost for _, cost in inputs)
    for way_cost, input_cost, (_, factor_cost) in product(way_costs, input_costs, FACTORS):
        number[way_cost + input_cost + factor_cost] += way_costs[way_cost] * input_costs[input_cost]
    totals = accumulate(number[cost] for cost in range(MOST_COST + 1))
    return tuple(total * chance for total in totals)

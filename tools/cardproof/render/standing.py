"""Where models stand: the numbers that place them among the other models of the site, and which others are shown."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cardproof.card_report import Score
from cardproof.checks.results import points
from cardproof.cited import metric_key
from cardproof.evaluations import canonical

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cardproof.card_report import Row
    from cardproof.words import Judgement

METRIC = "top 1 accuracy"
LEAST = 3
"""Models that make a comparison."""
MOST_OTHERS = 10
"""Models of other pages that a page shows: it does not grow with the site."""


@dataclass(frozen=True, slots=True)
class Stands:
    """The models that a page compares on one data set, its own first."""

    dataset: str
    own: tuple[Row, ...]
    others: tuple[Row, ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        return (*self.own, *self.others)

    def score(self, row: Row) -> Score:
        """Return a model's accuracy on the data set."""
        return next(score for score in row.scores if score.dataset == self.dataset)


def scores_of(judgements: Iterable[Judgement]) -> tuple[Score, ...]:
    """Return a model's top-1 accuracies, one for each data set: as measured where it was, as stated otherwise."""
    found: dict[str, Score] = {}
    for judgement in judgements:
        claim = judgement.claim
        if not claim.metric or metric_key(claim.field) != METRIC:
            continue
        measured = judgement.verdict in ("confirmed", "refuted") and isinstance(judgement.found, int | float)
        stated = points(claim.stated)
        value = judgement.found if measured else float(stated.value) if stated else None
        if isinstance(value, int | float) and math.isfinite(value):
            dataset = canonical(claim.dataset or "") or claim.dataset or ""
            found.setdefault(dataset, Score(dataset, float(value), judgement.verdict))
    return tuple(found.values())


def stands_of(own: Sequence[Row], rows: Iterable[Row]) -> Stands | None:
    """Return which models a page compares; None where they are too few.

    The data set is that of the page's first accuracy; of other pages those are shown whose multiply-adds are nearest.
    """
    dataset = next((score.dataset for row in own for score in row.scores), None)
    if dataset is None:
        return None
    mine = tuple(row for row in own if _is_placed(row, dataset))
    names = {(row.page, row.name) for row in own}
    others = [row for row in rows if (row.page, row.name) not in names and _is_placed(row, dataset)]
    if not mine or len(mine) + len(others) < LEAST:
        return None
    others.sort(key=lambda row: (_distance(row, mine), row.name))
    return Stands(dataset, mine, tuple(others[:MOST_OTHERS]))


def _is_placed(row: Row, dataset: str) -> bool:
    return bool(row.multiply_adds and row.parameters) and any(score.dataset == dataset for score in row.scores)


def _distance(row: Row, own: Sequence[Row]) -> float:
    """Return by what factor the multiply-adds of a model differ from the nearest of some, as a logarithm."""
    return min(abs(math.log((row.multiply_adds or 1) / (other.multiply_adds or 1))) for other in own)

"""Comparison of a page's models with models of other pages that have similar multiply-adds."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from cardproof.core.field_names import canonical_dataset, kind_of
from cardproof.judge.card_report import ModelRow, Score
from cardproof.judge.checks.results import percentage_points

if TYPE_CHECKING:
    from cardproof.core.types import Judgement, ShownVerdict

METRIC = "top 1 accuracy"
LEAST_MODELS = 3
"""Fewer models are not compared."""
MOST_OTHERS = 10
"""Models of other pages on a page, so that it does not grow with the site."""


class Comparison(Struct, frozen=True):
    """The models that a page compares on one data set, its own first."""

    dataset: str
    own: tuple[ModelRow, ...]
    others: tuple[ModelRow, ...]

    @property
    def rows(self) -> tuple[ModelRow, ...]:
        return (*self.own, *self.others)

    def score(self, row: ModelRow) -> Score:
        return next(score for score in row.scores if score.dataset == self.dataset)


def top1_scores(judgements: Iterable[Judgement]) -> tuple[Score, ...]:
    """Return a model's top-1 accuracy on each data set: the measured one, or else the stated one."""
    found: dict[str, Score] = {}
    for judgement in judgements:
        claim = judgement.claim
        if not claim.metric or claim.kind != METRIC:
            continue
        measured = judgement.verdict in ("confirmed", "refuted") and isinstance(judgement.found, int | float)
        stated = percentage_points(claim)
        value = judgement.found if measured else float(stated.value) if stated else None
        if isinstance(value, int | float) and math.isfinite(value):
            dataset = canonical_dataset(claim.dataset or "") or claim.dataset or ""
            found.setdefault(dataset, Score(dataset, float(value), judgement.verdict))
    return tuple(found.values())


class ModelsBySize:
    """The models of a site by data set, sorted by multiply-adds to find the nearest ones quickly."""

    def __init__(self, rows: Iterable[ModelRow]) -> None:
        self._models: dict[str, list[ModelRow]] = {}
        for row in rows:
            for score in row.scores:
                if _is_comparable(row, score.dataset):
                    self._models.setdefault(score.dataset, []).append(row)
        for models in self._models.values():
            models.sort(key=lambda row: (row.multiply_adds or 0, row.name, row.page))

    def of(self, own: Sequence[ModelRow]) -> Comparison | None:
        """Return the comparison on a page; None if there are too few models.

        The data set is that of the page's first accuracy; of other pages, the models with the nearest multiply-adds are
        compared.
        """
        dataset = next((score.dataset for row in own for score in row.scores), None)
        mine = tuple(row for row in own if dataset and _is_comparable(row, dataset))
        if dataset is None or not mine:
            return None
        names = {(row.page, row.name) for row in own}
        near = {
            (row.page, row.name): row
            for row in self._nearest_models(dataset, mine, len(own))
            if (row.page, row.name) not in names
        }
        sizes = [math.log(row.multiply_adds or 1) for row in mine]
        others = sorted(near.values(), key=lambda row: (_distance(row, sizes), row.name, row.page))[:MOST_OTHERS]
        return Comparison(dataset, mine, tuple(others)) if len(mine) + len(others) >= LEAST_MODELS else None

    def _nearest_models(self, dataset: str, mine: Sequence[ModelRow], own: int) -> Iterator[ModelRow]:
        """Yield at least the nearest models of other pages, among them the page's own."""
        models = self._models.get(dataset, [])
        for row in mine:
            at = bisect_left(models, row.multiply_adds or 0, key=lambda other: other.multiply_adds or 0)
            yield from models[max(0, at - MOST_OTHERS - own) : at + MOST_OTHERS + own]


def count_verdict(row: ModelRow, kind: str) -> ShownVerdict | None:
    """Return the verdict on a model's stated count, which is shown as measured; None if its card states none."""
    return next((verdict for field, verdict in row.marks.items() if kind_of(field) == kind), None)


def _is_comparable(row: ModelRow, dataset: str) -> bool:
    return bool(row.multiply_adds and row.parameters) and any(score.dataset == dataset for score in row.scores)


def _distance(row: ModelRow, sizes: Sequence[float]) -> float:
    """Return the logarithm of the factor between a model's multiply-adds and the nearest of ``sizes`` (logarithms)."""
    size = math.log(row.multiply_adds or 1)
    return min([abs(size - other) for other in sizes])

"""What the passes over all judgements of a card share: a judgement with its model, and the ways to weaken it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from cardproof.core.types import Judgement, Place
from cardproof.judge.checks import Context
from cardproof.read.models import Table

COUNTS = ("parameters", "flops")
"""Checks of counts."""


class Judged(NamedTuple):
    """A judgement with the model that it is about."""

    judgement: Judgement
    context: Context


def unchecked(judgement: Judgement, reason: str) -> Judgement:
    """Return the judgement of a claim that is about something else; what was found stays."""
    return Judgement(
        judgement.claim,
        "unchecked",
        judgement.found,
        judgement.unit,
        method=judgement.method,
        reason=reason,
        check=judgement.check,
        card=judgement.card,
        sources=judgement.sources,
    )


def by_table(judged: Iterable[Judged], tables: Iterable[Table]) -> Mapping[Table, list[int]]:
    """Return the positions of the judgements in each table, in order; tables without any are left out."""
    table_of: dict[Place, Table] = {place: table for table in tables for _, place in table.heads}
    found: dict[Table, list[int]] = {}
    for index, (judgement, _) in enumerate(judged):
        column = judgement.claim.column
        if column in table_of and not judgement.claim.published:
            found.setdefault(table_of[column], []).append(index)
    return found

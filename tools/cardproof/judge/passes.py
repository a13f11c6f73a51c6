"""What the passes over all judgements of a card share: a judgement with its model, which they may weaken."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from msgspec import Struct

from cardproof.core.types import Claim, Judgement, Number
from cardproof.judge.checks import Context
from cardproof.judge.checks._counts import CountKind
from cardproof.read.models import Table

COUNTS = ("parameters", "flops")
"""Checks of counts."""


class Judged(Struct):
    """A judgement with the model that it is about; passes change the judgement."""

    judgement: Judgement
    context: Context
    merged: bool = False
    """Whether the finding of its column stands for its own."""

    @property
    def claim(self) -> Claim:
        return self.judgement.claim

    @property
    def what(self) -> CountKind:
        """What it counts."""
        return cast("CountKind", self.claim.kind)

    @property
    def stated(self) -> Number:
        """Its number, which all have that columns compare."""
        assert self.claim.number
        return self.claim.number

    @property
    def refuted(self) -> bool:
        return self.judgement.verdict == "refuted"

    @property
    def is_count(self) -> bool:
        return self.judgement.check in COUNTS

    @property
    def in_index(self) -> bool:
        """Whether it stands in a model index, and is the card's own."""
        return self.claim.column is None and not self.claim.published and self.context.model.form == "index"

    def set_aside(self, reason: str) -> None:
        self.judgement = unchecked(self.judgement, reason)


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


def by_table(judged: Iterable[Judged], tables: Iterable[Table]) -> list[list[Judged]]:
    """Return the judgements in each table, in order; tables without any are left out."""
    table_of = {place: table for table in tables for _, place in table.heads}
    found: dict[Table, list[Judged]] = {}
    for one in judged:
        if one.claim.column in table_of and not one.claim.published:
            found.setdefault(table_of[one.claim.column], []).append(one)
    return list(found.values())

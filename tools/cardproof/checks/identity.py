"""Identity: whether the network that was built is the one that the card means.

**What it does.** Resolves the card's name by the zoo's own renames. A model that the zoo does not have is an error. A
name whose network has another number of parameters than the card states, by more than 2 % and with no way of counting
that explains it, is reported: the name may mean another network today. A renamed model is a note.

**Why.** Zoos rename and replace. A check against the wrong network is worse than none, so a silent match is not one.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from cardproof.checks import Check, Context
from cardproof.fields import PARAMETERS, normal_field
from cardproof.numbers import equal_as_written
from cardproof.plan import stated_count
from cardproof.words import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

THRESHOLD = Decimal("0.02")


def look(context: Context) -> Iterator[Finding]:
    """Report an unknown model, a renamed one, and one that is probably another network."""
    evidence = context.evidence
    place = context.model.place
    if evidence is None:
        return
    if evidence.error:
        hint = f"check the name against the models of zoo '{evidence.zoo}'"
        yield Finding(place, "unknown-model", "error", f"{context.model.name} was not measured: {evidence.error}", hint)
        return
    if other := _another_network(context):
        yield Finding(place, "another-network", "warning", *other)
    elif evidence.known_as.partition(".")[0] != context.model.name.partition(".")[0]:
        message = f"the zoo '{evidence.zoo}' now calls {context.model.name} {evidence.known_as}"
        yield Finding(place, "renamed", "note", message)


def _another_network(context: Context) -> tuple[str, str] | None:
    evidence = context.evidence
    assert evidence and evidence.counts
    measured = Decimal(evidence.counts.parameters)
    for claim in context.claims:
        own = not claim.published and not claim.metric
        stated = stated_count(claim) if own and normal_field(claim.field) in PARAMETERS else None
        explained = any(r.exact and r.field == "parameters" for r in evidence.reproductions)
        in_units = stated and any(equal_as_written(measured.scaleb(-power), stated) for power in (3, 6, 9))
        if (
            not stated
            or stated.value <= 0
            or explained
            or in_units
            or abs(stated.value - measured) <= THRESHOLD * measured
        ):
            continue
        renamed = f" (its name there is {evidence.known_as})" if evidence.known_as != context.model.name else ""
        message = (
            f"{context.model.name} in zoo '{evidence.zoo}'{renamed} has {measured:,} parameters, the card states "
            f"{claim.stated}: the name may mean another network now"
        )
        return message, "name the network that the card describes, or write a card for the new one"
    return None


CHECK = Check("identity", look=look, findings=("unknown-model", "another-network", "renamed"), page=__doc__)

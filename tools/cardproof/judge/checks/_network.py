"""Whether the network that was built is the one that a card means; asked by several checks."""

from __future__ import annotations

from decimal import Decimal

from cardproof.core.numbers import equal_as_written
from cardproof.judge.checks import Context
from cardproof.read.claims import weights_file

THRESHOLD = Decimal("0.02")


def unmeasured(context: Context) -> str:
    """Say why nothing that the network decides can be judged; empty if it can."""
    return f"not measured: {context.missing}" if context.counts is None else mistaken(context) or ""


def mistaken(context: Context) -> str | None:
    """Say that the zoo has another network than the card's under its name; None if nothing speaks for it.

    Either the zoo's renames lead to another name, or none of its weights for the name is the card's file.

    Another number of parameters alone is no reason not to judge: it may be the card's fault.
    """
    evidence = context.evidence
    if evidence is None or evidence.counts is None or context.network:
        return None
    if another_network(context) is None:
        return None
    if evidence.known_as.partition(".")[0] not in context.model.name:
        return f"the zoo '{evidence.zoo}' has {evidence.known_as} for this name, which is probably another network"
    theirs = evidence.preprocessing.weights if evidence.preprocessing else None
    mine = weights_file(context.model)
    if mine and theirs and mine != theirs:
        return (
            f"the zoo '{evidence.zoo}' has other weights under this name ({theirs}) and another number of parameters: "
            "it is probably another network"
        )
    return None


def another_network(context: Context) -> str | None:
    """Say that the network of a name has too many or too few parameters to be the one that the card means."""
    evidence = context.evidence
    assert evidence and evidence.counts
    measured = Decimal(evidence.counts.parameters)
    if any(way.exact and way.field == "parameters" for way in evidence.reproductions):
        return None
    for claim, stated in context.numbers("parameters"):
        in_units = any(equal_as_written(measured.scaleb(-power), stated) for power in (3, 6, 9))
        if stated.value <= 0 or in_units or abs(stated.value - measured) <= THRESHOLD * measured:
            continue
        if context.network:
            return (
                f"{context.model.name} is {context.network} of zoo '{evidence.zoo}' by the table of names, which has "
                f"{measured:,} parameters, the card states {claim.stated}: one of the two is wrong"
            )
        renamed = f" (its name there is {evidence.known_as})" if evidence.known_as != context.model.name else ""
        return (
            f"{context.model.name} in zoo '{evidence.zoo}'{renamed} has {measured:,} parameters, the card states "
            f"{claim.stated}: the name may mean another network now"
        )
    return None

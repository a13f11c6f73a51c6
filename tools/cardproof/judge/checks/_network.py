"""Whether the network that was built is the one that a card means, for several checks."""

from __future__ import annotations

from decimal import Decimal

from cardproof.core.numbers import equal_as_written
from cardproof.core.types import Number
from cardproof.judge.checks import Context
from cardproof.read.models import weights_file

FEW_DIGITS = 3
"""Digits from which a number that a tool gives, or that is cut off, is distinguished from any other."""

THRESHOLD = Decimal("0.02")
"""Relative difference in parameters within which a network is the card's, or half a unit of what is written."""


def unchecked_reason(context: Context) -> str:
    """Return why claims about the network cannot be judged; empty if they can."""
    return f"not measured: {context.missing}" if context.counts is None else mismatch_reason(context) or ""


def mismatch_reason(context: Context) -> str | None:
    """Return why the zoo's network is probably not the card's; None if it probably is.

    Its number of parameters differs, and the table of names names it, or the zoo renamed it, or its weights are not the
    card's file. Another number alone is not a reason: the card may be wrong.
    """
    evidence = context.evidence
    if evidence is None:
        return None
    differs = parameter_mismatch(context)
    if differs is None or context.network:
        return differs
    if evidence.known_as.partition(".")[0] not in context.model.name:
        return f"the zoo '{evidence.zoo}' has {evidence.known_as} for this name, which is probably another network"
    if context.model.form == "table":
        return None  # tables link their author's own file of weights; its name says nothing about the network
    theirs = evidence.preprocessing.weights if evidence.preprocessing else None
    mine = weights_file(context.model)
    if mine and theirs and mine != theirs:
        return (
            f"the zoo '{evidence.zoo}' has other weights under this name ({theirs}) and another number of parameters: "
            "it is probably another network"
        )
    return None


def parameter_mismatch(context: Context) -> str | None:
    """Return why a network has too many or too few parameters to be the card's; None if it has not.

    A network of the table of names must have the stated number up to its last digit: look-alikes differ by less than
    those that merely share a name.
    """
    evidence = context.evidence
    if evidence is None or evidence.built is None:
        return None
    measured = Decimal(evidence.built.parameters)
    if any(way.exact and way.field == "parameters" for way in evidence.reproductions):
        return None
    if context.network and _has_multiply_adds(context):
        return None
    forms = [sibling.parameters for sibling in evidence.siblings]
    if counts := evidence.counts:
        forms += [counts.merged.parameters] if counts.merged else []
        forms += [counts.folded_parameters, counts.multiply_adds, *counts.tools.values()]  # swapped with its FLOPs
    for claim, stated in context.numbers("parameters"):
        near = stated.quantum * 3 / 2 if context.network else max(THRESHOLD * measured, stated.quantum / 2)
        differs = stated.value > 0 and abs(stated.value - measured) > near and claim.place not in context.decided
        if not differs or _is_misplaced(measured, stated) or any(equal_as_written(form, stated) for form in forms):
            continue
        if context.network:
            return (
                f"{context.model.name} is checked as {evidence.zoo}'s {context.network} ({name_map(context)}), which "
                f"has {measured:,} parameters; card says {claim.stated}: probably another network, or a wrong number"
            )
        renamed = f" (its name there is {evidence.known_as})" if evidence.known_as != context.model.name else ""
        return (
            f"{context.model.name} in zoo '{evidence.zoo}'{renamed} has {measured:,} parameters, the card states "
            f"{claim.stated}: the name may mean another network now"
        )
    return None


def _has_multiply_adds(context: Context) -> bool:
    """Return whether the card states the network's multiply-adds, as they are or as a tool counts them.

    Then it is the card's network, whatever number of parameters the card states.
    """
    counts = context.counts
    values = {counts.multiply_adds, *counts.tools.values()} if counts else set()
    return any(
        stated.digits >= FEW_DIGITS and any(equal_as_written(value, stated) for value in values)
        for _, stated in context.numbers("flops")
    )


def name_map(context: Context) -> str:
    """Return the name map that gave the zoo's name of a model, in words."""
    return "name map of --names" if context.settings.names else "built-in name map"


def _is_misplaced(measured: Decimal, stated: Number) -> bool:
    """Return whether a number has the right digits, but not its unit, or its decimal point elsewhere."""
    powers = (-6, -3, -2, -1, 1, 2, 3, 6, 9) if stated.digits >= 3 else (3, 6, 9)
    return any(equal_as_written(measured.scaleb(-power), stated) for power in powers)

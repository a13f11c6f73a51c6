"""The rows of a table vote on whether it is about the zoo's networks, and its columns on how they were counted.

One wrong value among right ones is a mistake. If most are wrong and nothing explains them, the mistake is more probably
to compare them with the zoo's networks: what cannot be told from another network is unchecked, not refuted. So is a
number with all its digits that nothing explains: a program counted it, of another implementation of the network.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from cardproof.core.types import Finding
from cardproof.judge.checks import Context
from cardproof.judge.checks._network import FEW_DIGITS
from cardproof.judge.checks.results import OF_ZOO
from cardproof.judge.passes import Judged, by_table
from cardproof.read.claims import weights_file
from cardproof.read.models import Table

LEAST_ROWS = 2
"""Rows of a table that vote; in one row, a wrong value is a mistake."""

NEAR, NEAR_OF_FEW_DIGITS = Decimal("0.03"), Decimal("0.05")
"""Share of the multiply-adds by which ways of counting and variants of a network differ; of a number of two digits."""

NEAR_OF_WINDOWS = Decimal("0.25")
"""The same of a network with attention at another size: windows of 7 and 12 differ by 6 % for Swin-B at 384."""

MANY_DIGITS = 6
"""Digits of a count that a program printed."""

LEAST_MODELS = 3
"""Models of an index, and values of a column, that vote."""


def vote(judged: list[Judged], tables: Iterable[Table]) -> list[Finding]:
    """Set aside the judgements of a card that are outvoted; return one finding for each vote."""
    for one in judged:
        _set_aside_if_near(one)
    findings = []
    in_index = [one for one in judged if one.in_index]
    groups = [*((rows, LEAST_ROWS, "table") for rows in by_table(judged, tables)), (in_index, LEAST_MODELS, "card")]
    for group, least, what in groups:
        models: dict[str, list[Judged]] = {}
        columns: dict[tuple[object, str], list[Judged]] = {}
        for one in group:
            if _vote_of(one) is not None:
                columns.setdefault((one.claim.column, one.judgement.check), []).append(one)
                if one.is_count:
                    models.setdefault(one.context.model.key, []).append(one)
        if outvoted := _of_other_networks(models, least, what):
            findings.append(outvoted)
            continue
        if what == "table" and (other := _of_other_implementations(group)):
            findings.append(other)
        findings += filter(None, (_of_another_way(column, what) for column in columns.values()))
    return findings


def _set_aside_if_near(one: Judged) -> None:
    """Set aside a rounded number of multiply-adds that is nearly right and not explained."""
    judgement, stated = one.judgement, one.claim.number
    if judgement.check != "flops" or not one.refuted or judgement.explained or stated is None or stated.quantum == 1:
        return
    found = Decimal(str(judgement.found))
    off = abs(found - stated.value) / found
    if off <= (NEAR if stated.digits >= FEW_DIGITS else NEAR_OF_FEW_DIGITS):
        one.set_aside(f"{off:.1%} off: it may be counted in a way that is not known here")
    elif off <= NEAR_OF_WINDOWS and _is_configured_by_size(one.context):
        why = "at another size than the zoo's, the attention of the card's network may have other windows or positions"
        one.set_aside(why)


def _is_configured_by_size(context: Context) -> bool:
    """Return whether a network with products of attention was counted at another size than the zoo's."""
    counts, preprocessing = context.counts, context.evidence.preprocessing if context.evidence else None
    if counts is None or preprocessing is None or counts.input_shape == preprocessing.input_size:
        return False
    plain = counts.multiply_adds
    return counts.tools.get("ptflops", plain) != counts.tools.get("ptflops without attention", plain)


def _vote_of(one: Judged) -> bool | None:
    """Return whether a judgement speaks for the zoo's network or against it; None if it says nothing."""
    judgement = one.judgement
    if one.is_count and judgement.verdict in ("confirmed", "refuted"):
        return judgement.verdict == "confirmed" or judgement.explained
    if judgement.allowed == OF_ZOO:
        return judgement.verdict == "cited" or bool(judgement.discrepancies)
    return None


def _of_other_networks(models: dict[str, list[Judged]], least: int, what: str) -> Finding | None:
    """Set aside the refuted counts if no count at all holds of most models, and return the finding about it."""
    off = sum(not any(map(_vote_of, counts)) for counts in models.values())
    if len(models) < least or off * 2 <= len(models):
        return None
    share = f"{off} of {len(models)}" if off < len(models) else f"all {len(models)}"
    why = f"{share} models of this {what} state counts that the zoo's networks do not have: it is about other networks"
    first = _set_aside([one for counts in models.values() for one in counts], f"probably another network: {why}")
    zoo = first.context.settings.zoo
    message = f"{share} models of this {what} state counts that networks of zoo '{zoo}' with these names do not have"
    hint = "it is probably about other networks, and these counts are unchecked; audit it with the zoo of its networks"
    return Finding(first.claim.place, "other-networks", "warning", message, hint)


def _of_other_implementations(group: list[Judged]) -> Finding | None:
    """Set aside exact counts of a table that nothing explains, and return the finding about them."""
    off = [one for one in group if _is_of_a_program(one)]
    if not off:
        return None
    why = "a count with all its digits that no way of counting gives: probably of another implementation of the network"
    first = _set_aside(off, why)
    names, zoo = list(dict.fromkeys(one.claim.model for one in off)), first.context.settings.zoo
    message = f"the exact counts of {_first(names, 5)} in this table are of other networks than those of zoo '{zoo}'"
    hint = "they are unchecked; audit them with the zoo that they were counted from"
    return Finding(first.claim.place, "other-networks", "warning", message, hint)


def _is_of_a_program(one: Judged) -> bool:
    """Return whether a refuted count is stated with all its digits, and nothing explains it."""
    stated = one.claim.number
    is_exact = stated is not None and stated.quantum == 1 and stated.digits >= MANY_DIGITS
    return is_exact and one.is_count and one.refuted and not one.judgement.explained


def _of_another_way(column: list[Judged], what: str) -> Finding | None:
    """Set aside the refuted values of a column if most of it is off unexplained, and return the finding about it."""
    off = [one for one in column if not _vote_of(one)]
    if len(off) * 2 <= len(column):
        return None
    field, by_zoo = off[0].claim.field, off[0].judgement.allowed == OF_ZOO
    is_of_any_weights = by_zoo and not any(weights_file(one.context.model) for one in off)
    if len(column) < LEAST_MODELS and not is_of_any_weights:
        return None  # few results without a link to their weights may be of any weights
    share = f"{len(off)} of {len(column)}"
    if by_zoo:
        why = f"{share} values of {field} in this {what} differ from those of the zoo's weights: probably other weights"
        _set_aside(off, why)
        return None  # results of one's own weights are nothing to warn of
    why = f"{share} values of {field} in this {what} differ from what was measured, in a way that was not found"
    first = _set_aside(off, f"probably counted in another way: {why}")
    hint = f"these values are unchecked ({_first([one.claim.model for one in off], 3)}); say how they were counted"
    return Finding(first.claim.place, "another-way", "warning", why, hint)


def _first(names: list[str], most: int) -> str:
    return ", ".join([*names[:most], *(["…"] if len(names) > most else [])])


def _set_aside(group: list[Judged], why: str) -> Judged:
    """Make the refuted and disputed judgements of a group unchecked; return the first that was."""
    changed = [one for one in group if one.judgement.verdict in ("refuted", "disputed")]
    for one in changed:
        one.set_aside(why)
    return changed[0]

"""The rows of a table vote on whether it is about the zoo's networks, and its columns on how they were counted.

One wrong value among right ones is a mistake. If most are wrong and nothing explains them, the mistake is more probably
to compare them with the zoo's networks: what cannot be told from another network is unchecked, not refuted. So is a
number with all its digits that nothing explains: a program counted it, of another implementation of the network.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from cardproof.core.types import Finding, Judgement
from cardproof.judge.checks import Context
from cardproof.judge.checks._network import FEW_DIGITS
from cardproof.judge.checks.results import OF_ZOO
from cardproof.judge.passes import COUNTS, Judged, by_table, unchecked
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


def vote(judged: list[Judged], tables: Iterable[Table]) -> tuple[list[Judged], list[Finding]]:
    """Return the judgements of a card with those unchecked that are outvoted, and one finding for each vote."""
    judged, findings = [_unless_near(one) for one in judged], []
    groups = [(positions, LEAST_ROWS, "table") for positions in by_table(judged, tables).values()]
    in_index = [
        index
        for index, (judgement, context) in enumerate(judged)
        if context.model.form == "index" and judgement.claim.column is None and not judgement.claim.published
    ]
    for positions, least, what in (*groups, (in_index, LEAST_MODELS, "card")):
        rows: dict[str, list[int]] = {}
        columns: dict[tuple[object, str], list[int]] = {}
        for index in positions:
            judgement, context = judged[index]
            if _vote_of(judgement) is not None:
                columns.setdefault((judgement.claim.column, judgement.check), []).append(index)
                if judgement.check in COUNTS:
                    rows.setdefault(context.model.key, []).append(index)
        if outvoted := _of_other_networks(judged, rows, least, what):
            findings.append(outvoted)
            continue
        if what == "table" and (other := _of_other_implementations(judged, positions)):
            findings.append(other)
        for of_column in columns.values():
            if outvoted := _of_another_way(judged, of_column, what):
                findings.append(outvoted)
    return judged, findings


def _unless_near(one: Judged) -> Judged:
    """Set aside a rounded number of multiply-adds that is nearly right and not explained."""
    judgement, stated = one.judgement, one.judgement.claim.number
    if judgement.check != "flops" or judgement.verdict != "refuted" or judgement.explained or stated is None:
        return one
    found = Decimal(str(judgement.found))
    if stated.quantum == 1:
        return one
    off = abs(found - stated.value) / found
    if off <= (NEAR if stated.digits >= FEW_DIGITS else NEAR_OF_FEW_DIGITS):
        return one._replace(
            judgement=unchecked(judgement, f"{off:.1%} off: it may be counted in a way that is not known here")
        )
    if off <= NEAR_OF_WINDOWS and _is_configured_by_size(one.context):
        why = "at another size than the zoo's, the attention of the card's network may have other windows or positions"
        return one._replace(judgement=unchecked(judgement, why))
    return one


def _is_configured_by_size(context: Context) -> bool:
    """Return whether a network with products of attention was counted at another size than the zoo's."""
    counts, preprocessing = context.counts, context.evidence.preprocessing if context.evidence else None
    if counts is None or preprocessing is None or counts.input_shape == preprocessing.input_size:
        return False
    plain = counts.multiply_adds
    return counts.tools.get("ptflops", plain) != counts.tools.get("ptflops without attention", plain)


def _vote_of(judgement: Judgement) -> bool | None:
    """Return whether a judgement speaks for the zoo's network or against it; None if it says nothing."""
    if judgement.check in COUNTS and judgement.verdict in ("confirmed", "refuted"):
        return judgement.verdict == "confirmed" or judgement.explained
    if judgement.allowed == OF_ZOO:
        return judgement.verdict == "cited" or bool(judgement.discrepancies)
    return None


def _of_other_networks(judged: list[Judged], rows: dict[str, list[int]], least: int, what: str) -> Finding | None:
    """Set aside the refuted counts if in most rows no count at all holds, and return the finding about it."""
    off = [name for name, row in rows.items() if not any(_vote_of(judged[index].judgement) for index in row)]
    if len(rows) < least or len(off) * 2 <= len(rows):
        return None
    share = f"{len(off)} of {len(rows)}" if len(off) < len(rows) else f"all {len(rows)}"
    positions = [index for row in rows.values() for index in row]
    why = f"{share} models of this {what} state counts that the zoo's networks do not have: it is about other networks"
    first = _set_aside(judged, positions, f"probably another network: {why}")
    zoo = judged[positions[0]].context.settings.zoo
    message = f"{share} models of this {what} state counts that networks of zoo '{zoo}' with these names do not have"
    hint = "it is probably about other networks, and these counts are unchecked; audit it with the zoo of its networks"
    return Finding(first.claim.place, "other-networks", "warning", message, hint)


def _of_other_implementations(judged: list[Judged], positions: list[int]) -> Finding | None:
    """Set aside exact counts of a table that nothing explains, and return the finding about them."""
    off = [index for index in positions if _is_of_a_program(judged[index].judgement)]
    if not off:
        return None
    names = list(dict.fromkeys(judged[index].judgement.claim.model for index in off))
    why = "a count with all its digits that no way of counting gives: probably of another implementation of the network"
    zoo = judged[off[0]].context.settings.zoo
    first = _set_aside(judged, off, why)
    message = f"the exact counts of {_first(names, 5)} in this table are of other networks than those of zoo '{zoo}'"
    hint = "they are unchecked; audit them with the zoo that they were counted from"
    return Finding(first.claim.place, "other-networks", "warning", message, hint)


def _is_of_a_program(judgement: Judgement) -> bool:
    """Return whether a refuted count is stated with all its digits, and nothing explains it."""
    stated = judgement.claim.number
    return (
        judgement.check in COUNTS
        and judgement.verdict == "refuted"
        and not judgement.explained
        and stated is not None
        and stated.quantum == 1
        and stated.digits >= MANY_DIGITS
    )


def _of_another_way(judged: list[Judged], positions: list[int], what: str) -> Finding | None:
    """Set aside the refuted values of a column if most of it is off unexplained, and return the finding about it."""
    off = [index for index in positions if not _vote_of(judged[index].judgement)]
    if len(off) * 2 <= len(positions):
        return None
    field, by_zoo = judged[off[0]].judgement.claim.field, judged[off[0]].judgement.allowed == OF_ZOO
    few = len(positions) < LEAST_MODELS
    if few and not (by_zoo and not any(weights_file(judged[index].context.model) for index in off)):
        return None  # few results without a link to their weights may be of any weights
    share = f"{len(off)} of {len(positions)}"
    if by_zoo:
        why = f"{share} values of {field} in this {what} differ from those of the zoo's weights: probably other weights"
        _set_aside(judged, off, why)
        return None  # results of one's own weights are nothing to warn of
    why = f"{share} values of {field} in this {what} differ from what was measured, in a way that was not found"
    first = _set_aside(judged, off, f"probably counted in another way: {why}")
    names = [judged[index].judgement.claim.model for index in off]
    hint = f"these values are unchecked ({_first(names, 3)}); say how they were counted"
    return Finding(first.claim.place, "another-way", "warning", why, hint)


def _first(names: list[str], most: int) -> str:
    return ", ".join([*names[:most], *(["…"] if len(names) > most else [])])


def _set_aside(judged: list[Judged], positions: list[int], why: str) -> Judgement:
    """Make the refuted and disputed judgements at these positions unchecked; return the first that was."""
    changed = [index for index in positions if judged[index].judgement.verdict in ("refuted", "disputed")]
    for index in changed:
        judged[index] = judged[index]._replace(judgement=unchecked(judged[index].judgement, why))
    return judged[changed[0]].judgement

"""Columns: stated counts of one column judged together. Digits that prove nothing in one cell prove it in many rows.

A column is one of a table, or the same field over the models of one card. If a well-known tool gives a value, the
value is confirmed by that tool's convention; if one other way of counting gives most of the refuted values, it
explains them all, in one finding.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from cardproof.core.measurements import Reproduction
from cardproof.core.numbers import equal_as_written
from cardproof.core.types import Finding, Judgement, Number, shorten
from cardproof.judge.checks._counts import conventions_of, found_count, is_within, reproductions_of, tolerance_of
from cardproof.judge.checks._network import FEW_DIGITS
from cardproof.judge.checks.flops import is_size_assumed
from cardproof.judge.discrepancies import describe, discrepancies_of
from cardproof.judge.other_networks import COUNTS, Judged
from cardproof.measure.count.counting_tools import TOOLS

FEW_ROWS = 3
"""Rows from which a way of counting that gives them all explains a column: three rows of two digits leave no luck."""

TWICE = "twice"
"""The convention of operations: two for each multiply-add."""

CONVENTIONS = {
    **{name: (f"{tool.name}'s", tool.rule) for name, tool in TOOLS.items()},
    "Keras": ("Keras's", "running means and variances are parameters"),
    "OpenVINO": ("OpenVINO's", "batch norms are folded into the convolutions before them"),
    TWICE: ("operation counters'", "two operations for each multiply-add"),
}
"""Name of a convention -> whose it is and its rule, for a reader; of two that give as many rows, the first is named."""

ROUNDED_DIGITS = 4
"""Digits up to which a class count or an input size that was found for one cell must not contradict its siblings."""


def judge_columns(judged: Iterable[Judged]) -> list[Finding]:
    """Judge the columns of one card, given the judgements of its claims one by one; return the findings about them."""
    columns: dict[object, list[Judged]] = {}
    for one in judged:
        claim = one.claim
        if claim.kind in COUNTS and claim.is_field and claim.number and one.context.counts:
            column = claim.column or (claim.place.file, claim.name)
            columns.setdefault((claim.kind, column), []).append(one)
    return [finding for rows in columns.values() for finding in _judge_column(rows)]


def _judge_column(rows: list[Judged]) -> Iterator[Finding]:
    yield from _warn_of_unusual_form(rows)
    _set_aside_padded(rows)
    judged = [row for row in rows if row.judgement.verdict in ("confirmed", "refuted")]
    known = bool(judged) and judged[0].context.settings.conventions == "known"
    of_tools = Counter(name for row in judged if known and row.refuted for name in _matching_conventions(row))
    yield from _explain_jointly([row for row in judged if row.refuted], max(of_tools.values(), default=0))
    if known:
        yield from _confirm_conventions([row for row in judged if not row.merged])
    _set_aside_at_assumed_size([row for row in judged if row.claim.kind == "flops" and not row.merged])
    _drop_contradictions([row for row in judged if row.refuted and row.judgement.explained and not row.merged])


_PADDED = re.compile(r"(?P<whole>[^.]*)\.(?P<kept>\d*?)0+(?!\d)[^.]*")
"""A number whose decimals end in zeros, and its unit."""


def _set_aside_padded(rows: list[Judged]) -> None:
    """Set aside the cells of a table that are right without their last zeros, which may only fill the cell."""
    padded = [(row, number) for row in rows if row.refuted and row.claim.column and (number := _without_zeros(row))]
    if not padded:
        return
    known = rows[0].context.settings.conventions == "known"
    of_operations = 2 * sum(TWICE in _matching_conventions(row) for row in rows) > len(rows)
    for row, number in padded:
        if _matching_conventions(row) or tolerance_of(row.claim, row.context).kind != "written":
            continue
        by_convention = _conventional_counts(row) if known else {}
        if not of_operations:
            by_convention.pop(TWICE, None)
        counts = [found_count(row.context, row.what), *by_convention.values()]
        if any(count is not None and equal_as_written(count, number) for count in counts):
            row.set_aside("it is right at fewer digits, and its last zeros may only fill the cell of the table")


def _without_zeros(row: Judged) -> Number | None:
    """Return a number at the precision that it has without the zeros at its end; None if it has none."""
    match = _PADDED.fullmatch(row.claim.stated)
    digits = "".join(filter(str.isdecimal, match["whole"] + match["kept"])) if match else ""
    written = int(digits or 0)  # without the zeros, whether or not the reader has left out some
    return replace(row.stated, quantum=abs(row.stated.value) / written) if written else None


def _set_aside_at_assumed_size(rows: list[Judged]) -> None:
    """Set aside what is refuted at a size that nothing states, unless a value of its column is right at it."""
    if any(row.judgement.verdict == "confirmed" and row.stated.digits >= FEW_DIGITS for row in rows):
        return
    for row in rows:
        judgement = row.judgement
        if not row.refuted or not is_size_assumed(row.context):
            continue
        if judgement.explained and not {"other-size", "non-square"} & set(judgement.discrepancies):
            continue  # it was counted at the assumed size
        size = "x".join(str(side) for side in row.context.run_counts.input_shape[1:])
        row.set_aside(f"no image size is stated; {size} was assumed")


FORMS = {"truncated": "write it rounded", "unit": "write it in the unit that is stated"}
"""Discrepancy of a value that is right and is not written so -> what to do."""


def _warn_of_unusual_form(rows: list[Judged]) -> Iterator[Finding]:
    for row in rows:
        judgement = row.judgement
        hint = next((FORMS[one] for one in judgement.discrepancies if one in FORMS), None)
        if judgement.verdict == "unchecked" and hint:
            claim = judgement.claim
            message = f"{claim.field} of {claim.model} says {claim.stated}: {judgement.reason}"
            yield Finding(claim.place, judgement.check, "warning", message, hint, judgement.fix)


def _matching_conventions(row: Judged) -> set[str]:
    """Return the conventions by which a value is right."""
    tolerance = tolerance_of(row.claim, row.context)
    return {name for name, value in _conventional_counts(row).items() if is_within(value, row.stated, tolerance)}


def _conventional_counts(row: Judged) -> dict[str, int]:
    """Return what is counted for the network of a row by each convention."""
    values = conventions_of(row.context, row.what)
    if row.what == "flops" and row.context.settings.flops == "multiply-adds":
        values[TWICE] = 2 * row.context.run_counts.multiply_adds
    return values


def _confirm_conventions(rows: list[Judged]) -> Iterator[Finding]:
    """Confirm the values that a tool gives, by the tool that gives most of the column; yield one note a convention."""
    fits = [_matching_conventions(row) for row in rows]
    total = Counter(name for names in fits for name in names)
    shown = Counter(name for row, names in zip(rows, fits, strict=True) if row.refuted for name in names)
    order = {name: -position for position, name in enumerate(CONVENTIONS)}

    def first(names: set[str]) -> str:
        return max(names, key=lambda name: (total[name], order[name]))

    confirmed: dict[str, list[Judged]] = {}
    few = len(rows) < FEW_ROWS and total[TWICE] == len(rows) and all(_is_called_flops(row) for row in rows)
    for row, names in zip(rows, fits, strict=True):
        of_column = {name for name in names if shown[name] >= FEW_ROWS and 2 * total[name] > len(rows)}
        alone = {name for name in names if (few or name != TWICE) and row.stated.digits >= FEW_DIGITS}
        if row.refuted and (sure := of_column | alone):
            confirmed.setdefault(first(sure), []).append(row)
        elif row.refuted and (possible := names if few else names - {TWICE}):
            whose, rule = CONVENTIONS[first(possible)]
            reason = f"its few digits may be those of {whose} convention: {rule}"
            row.judgement = _without_refutation(row.judgement, verdict="unchecked", reason=reason, explanation=None)
    notes: dict[tuple[str, str], list[Judged]] = {}
    for name, fitting in confirmed.items():
        notes.setdefault(CONVENTIONS[name], []).extend(fitting)
    for (whose, rule), fitting in notes.items():
        for row in fitting:
            judgement = row.judgement
            explanation = f"By {whose} convention: {rule}. The network has {judgement.found:,} {judgement.unit}."
            method = f"{judgement.method}; by {whose} convention"
            row.judgement = _without_refutation(judgement, verdict="confirmed", explanation=explanation, method=method)
        claim = fitting[0].claim
        hint = "no mistake; 'conventions: strict' refutes it"
        verb = "is" if len(fitting) == 1 else "are"
        message = f"{claim.field} of {_model_names(fitting)} {verb} by {whose} convention: {rule}"
        yield Finding(claim.column or claim.place, fitting[0].judgement.check, "note", message, hint)


def _is_called_flops(row: Judged) -> bool:
    """Return whether a row stands in a table's column of FLOPs, which may be operations; MACs are multiply-adds."""
    is_macs = re.search(r"mac|madd|mult", f"{row.claim.field} {row.stated.unit}".lower())
    return row.claim.column is not None and row.what == "flops" and not is_macs


def _without_refutation(judgement: Judgement, **changes: Any) -> Judgement:
    return replace(judgement, fix=None, explained=False, discrepancies=(), **changes)


def _explain_jointly(rows: list[Judged], of_a_tool: int) -> Iterator[Finding]:
    """Explain the refuted values of a column that one way of counting gives, if a tool's convention gives no more.

    Yields the finding of the column; ``of_a_tool`` is the number of values that one tool gives.
    """
    if len(rows) < FEW_ROWS:
        return
    words, fitting, shows = max(_joint_ways(rows), key=lambda way: len(way[1]))
    if len(fitting) < max(FEW_ROWS, of_a_tool + 1) or 10 * len(fitting) < 9 * len(rows):
        return
    if all(row.judgement.explained for row in fitting):
        return
    for row in fitting:
        explanation = f"{words}, as in {len(fitting)} rows of this column."
        row.judgement = replace(row.judgement, explanation=explanation, explained=True, discrepancies=shows)
        row.merged = True
    judgement = fitting[0].judgement
    claim = judgement.claim
    said = f"{claim.field} of {_model_names(fitting)} are not the {judgement.unit}"
    message = f"{said}: {words[:1].lower()}{words[1:]}"
    yield Finding(claim.column or claim.place, judgement.check, "error", message, "write what was measured")


def _joint_ways(rows: list[Judged]) -> Iterator[tuple[str, list[Judged], tuple[str, ...]]]:
    """Yield binary units, and the way that was found for most rows: its words, its rows, and what it shows."""
    power = 30 if rows[0].what == "flops" else 20
    words = f"Counted in units of 2^{power}, not 10^{power * 3 // 10}"
    yield (words, [row for row in rows if _in_binary_units(row)], ("unit",))
    by_key: dict[Reproduction, list[Judged]] = {}
    examples: dict[Reproduction, Reproduction] = {}
    for row in rows:
        for key, found in {_general_form(found): found for found in _exact_reproductions(row)}.items():
            by_key.setdefault(key, []).append(row)
            examples.setdefault(key, found)
    if by_key:
        key, fitting = max(by_key.items(), key=lambda entry: len(entry[1]))
        example = examples[key]
        words = describe(replace(example, stated=example.value), fitting[0].context.run_counts.input_shape[1:])
        words = words.removeprefix("exactly ")
        yield (words[:1].upper() + words[1:], fitting, discrepancies_of(example))


def _in_binary_units(row: Judged) -> bool:
    found = found_count(row.context, row.what)
    assert found is not None
    power, decimal = (30, 9) if row.what == "flops" else (20, 6)
    return equal_as_written(Decimal(found) * 10**decimal / 2**power, row.stated)


def _exact_reproductions(row: Judged) -> list[Reproduction]:
    return [found for found in reproductions_of(row.claim, row.context) if found.exact]


def _general_form(found: Reproduction) -> Reproduction:
    """Return a way of counting without its numbers and without parts that only some networks have."""
    counted = () if found.tool else found.counted
    left_out = () if found.tool else found.left_out
    return replace(found, stated=0, value=0, proved=True, counted=counted, left_out=left_out)


def _drop_contradictions(rows: list[Judged]) -> None:
    """Withdraw class counts and input sizes that few digits gave and that differ between rows."""
    for part in ("classes", "input"):
        by_value: dict[object, list[Judged]] = {}
        for row in rows:
            found = next((found for found in _exact_reproductions(row) if found.proved), None)
            value = getattr(found, part, None)
            if found and value is not None and row.stated.digits <= ROUNDED_DIGITS:
                by_value.setdefault(value, []).append(row)
        if len(by_value) > 1:
            for row in (row for fitting in by_value.values() for row in fitting):
                stated = shorten(row.claim.stated)
                nothing = f"No known way of counting gives {stated} and the other numbers of its column."
                row.judgement = replace(row.judgement, explanation=nothing, explained=False, discrepancies=("no-way",))


def _model_names(rows: list[Judged]) -> str:
    names = list(dict.fromkeys(row.claim.model for row in rows))
    if len(names) <= 12:
        return ", ".join(names)
    return f"{', '.join(names[:10])} and {len(names) - 10} more"

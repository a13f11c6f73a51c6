"""Shared by the checks of counts: comparing at the precision written, and explaining a wrong count."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from msgspec.structs import replace

from cardproof.core.field_names import kind_of
from cardproof.core.measurements import Counts, Reproduction, SiblingCounts, Totals
from cardproof.core.numbers import (
    Kind,
    equal_as_written,
    has_own_scale,
    parse_number,
    round_to_digits,
    show_count,
    unit_factor,
    write_count,
    write_like,
)
from cardproof.core.settings import Settings, Tolerance
from cardproof.core.types import Claim, Fix, Judgement, Number, shorten
from cardproof.judge.checks import Context
from cardproof.judge.checks._network import FEW_DIGITS, mismatch_reason
from cardproof.judge.discrepancies import describe, discrepancies_of
from cardproof.measure.count.counting_tools import TOOLS
from cardproof.read.table_values import NO_UNIT

CountKind = Literal["flops", "parameters"]


def judge_count(claim: Claim, context: Context, what: CountKind, unit: str, method: str) -> Judgement:
    """Compare a claim with the measured count, and explain it if it is refuted."""
    found = found_count(context, what)
    if found is None:
        return Judgement(claim, "unchecked", unit=unit, reason=f"not measured: {context.missing}")
    unchecked = Judgement(claim, "unchecked", found, unit, method=method)
    if (stated := claim.number) is None:
        plain = parse_number(claim.stated, "count") if claim.unread.startswith(NO_UNIT) else None
        if plain and plain.value == found and plain.digits > FEW_DIGITS:  # no luck gives so many digits
            return Judgement(claim, "confirmed", found, unit, "exact", "0", method=method)
        return replace(unchecked, reason=claim.unread or f"'{shorten(claim.stated)}' is not a number of {unit}")
    if why := mismatch_reason(context):
        return replace(unchecked, reason=why)
    judgement = compare(claim, stated, found, unit, method, context)
    if judgement.verdict == "confirmed":
        return judgement
    if stated.value == found * (unit_factor(stated, claim.stated) or 1) and stated.digits >= FEW_DIGITS:
        reason = _unit_that_makes_right(claim, stated, found).rstrip(".")
        reason = reason[:1].lower() + reason[1:]
        return replace(judgement, verdict="unchecked", reason=reason, discrepancies=("unit",))
    if merged := context.counts.merged if context.counts else None:
        value = count_in(merged, what, context.settings)
        in_merged_form = compare(claim, stated, value, unit, f"{method}, in merged form", context)
        if in_merged_form.verdict == "confirmed":
            return in_merged_form
    is_rounded = tolerance_of(claim, context).kind == "written" and stated.quantum > 1
    if is_rounded and stated.value > 0 and stated.value <= found < stated.value + stated.quantum:
        return _judge_truncated(judgement, found, stated)
    if is_rounded and stated.digits >= ROUNDED_UP_DIGITS and 0 < stated.value - found < stated.quantum:
        return _confirm(judgement, f"Rounded up instead of to the nearest: {found:,}.")
    if context.counts is None:
        return _explain_without_run(judgement, context)
    if any(_is_without_idle_parts(way) for way in reproductions_of(claim, context)):
        return _confirm(judgement, "Without the parts that do not run in eval mode, such as auxiliary heads.")
    explanation, explained, shows = explain(claim, context, what, stated, found)
    return replace(judgement, explanation=explanation, explained=explained, discrepancies=shows)


def _confirm(judgement: Judgement, explanation: str) -> Judgement:
    return replace(judgement, verdict="confirmed", explanation=explanation, fix=None)


def _is_without_idle_parts(way: Reproduction) -> bool:
    plain = not way.counted and way.factor == 1 and way.classes is None and not way.note
    return way.exact and way.proved and plain and way.left_out == ("parts that do not run in eval mode",)


def _explain_without_run(judgement: Judgement, context: Context) -> Judgement:
    found = next(iter(reproductions_of(judgement.claim, context)), None)
    if found is None:
        stated = shorten(judgement.claim.stated)
        explanation = f"No known way of counting gives {stated}; some need a run of the network."
        return replace(judgement, explanation=explanation, discrepancies=("no-way",))
    return replace(
        judgement, explanation=_as_sentence(found, (0, 0)), explained=found.exact, discrepancies=discrepancies_of(found)
    )


ROUNDED_UP_DIGITS = 5
"""Digits from which a number that was rounded up is distinguished from any other."""


def _judge_truncated(judgement: Judgement, found: int, stated: Number) -> Judgement:
    """Confirm a number that is the found one with its further digits cut off; with few digits it is unchecked."""
    text = f"Cut off instead of rounded: {found:,} begins with these digits."
    if stated.digits >= FEW_DIGITS:
        return _confirm(judgement, text)
    reason = f"{found:,} was cut off instead of rounded, or it is another number"
    return replace(judgement, verdict="unchecked", reason=reason, discrepancies=("truncated",))


def conventions_of(context: Context, what: CountKind) -> dict[str, int]:
    """Return what well-known tools count for the network, by their names in :data:`~tools.TOOLS`, or Keras."""
    counts = context.run_counts
    if what == "parameters":
        if not counts.statistics:
            return {}
        return {"Keras": counts.parameters + counts.statistics, "OpenVINO": counts.folded_parameters}
    factor = 2 if context.settings.flops == "operations" else 1
    plain = counts.multiply_adds
    return {name: factor * counts.tools.get(name, plain) for name in TOOLS} if counts.tools else {}


def compare(
    claim: Claim,
    stated: Number,
    found: int,
    unit: str,
    method: str,
    context: Context,
    explanation: str = "",
    shows: tuple[str, ...] = (),
) -> Judgement:
    """Confirm a stated number within the tolerance of its field, or refute it with a fix."""
    tolerance = tolerance_of(claim, context)
    allowed, difference = allowed_text(tolerance, stated), signed_difference(found - stated.value, stated.value)
    if is_within(found, stated, tolerance):
        return Judgement(claim, "confirmed", found, unit, allowed, difference, method=method)
    fix = fix_of(claim, stated, found)
    return Judgement(
        claim, "refuted", found, unit, allowed, difference, explanation, method, fix=fix, discrepancies=shows
    )


def found_count(context: Context, what: CountKind) -> int | None:
    """Return the measured count in the unit of the settings; None if it was not measured."""
    if what == "parameters":  # counted without a run
        return context.built.parameters if context.built else None
    return None if context.counts is None else count_in(context.counts, what, context.settings)


def count_in(counts: Counts | Totals | SiblingCounts, what: CountKind, settings: Settings) -> int:
    """Return one count in the unit of the settings."""
    if what == "parameters":
        return counts.parameters
    return counts.multiply_adds * (2 if settings.flops == "operations" else 1)


def tolerance_of(claim: Claim, context: Context, default: Tolerance = Tolerance()) -> Tolerance:  # noqa: B008
    """Return the tolerance of a field: by its own spelling, or by another one of the same kind."""
    given = context.settings.tolerances
    if claim.name in given:
        return given[claim.name]
    return next((tolerance for name, tolerance in given.items() if kind_of(name) == claim.kind), default)


def is_within(found: int | float | Decimal, stated: Number, tolerance: Tolerance) -> bool:
    """Return whether a found value is the stated one within a tolerance."""
    value = Decimal(str(found))
    if not stated.value and value:
        return False  # at few digits, zero would equal any small number
    distance = abs(value - stated.value)
    if tolerance.kind == "exact":
        return distance == 0
    if tolerance.kind == "digits":
        digits = int(tolerance.amount)
        return round_to_digits(value, digits) == round_to_digits(stated.value, digits)
    if tolerance.kind == "percent":
        return distance <= abs(stated.value) * tolerance.amount / 100
    if tolerance.kind == "absolute":
        return distance <= tolerance.amount
    return equal_as_written(found, stated)


def allowed_text(tolerance: Tolerance, stated: Number) -> str:
    """Return a tolerance in words."""
    if tolerance.kind == "digits":
        return f"equal at {tolerance.amount} digits"
    if tolerance.kind == "percent":
        return f"±{tolerance.amount}%"
    if tolerance.kind == "absolute":
        return f"±{show_count(tolerance.amount)}"
    if tolerance.kind == "exact" or stated.quantum == 1:
        return "exact"
    return f"±{show_count(stated.quantum / 2)}"


def signed_difference(difference: Decimal, of: Decimal) -> str:
    """Write a difference with its sign and its share of the stated value."""
    if not difference:
        return "0"
    text = f"{'+' if difference > 0 else '−'}{show_count(abs(difference))}"
    return f"{text} ({float(difference / of):+.3%})".replace("(-", "(−") if of else text


def fix_of(claim: Claim, stated: Number, found: int | Decimal) -> Fix | None:
    """Return the edit that writes the found value in the style of the claim; None if the style is unknown.

    A count keeps its significant digits: where its last digit stands says nothing if the count is of another size. A
    result keeps its decimals.
    """
    if isinstance(found, int) and claim.kind in ("parameters", "flops", "file size"):
        kind: Kind = "bytes" if claim.kind == "file size" else "count"
        least = FEW_DIGITS if _unit_that_makes_right(claim, stated, found) else 0
        written = write_count(found, stated, claim.stated, kind, least)
    elif found * 2 <= stated.quantum:
        return None  # no digit of the found value would be left
    else:
        written = write_like(found, stated, claim.stated)
    return None if written is None else replacing_fix(claim, written, safe=True)


def replacing_fix(claim: Claim, written: str, safe: bool = False) -> Fix | None:
    """Return the edit that replaces a claim's text; None if it spans lines or nothing changes."""
    place = claim.place
    if place.end_column is None or claim.style not in ("", "'", '"') or written == claim.stated:
        return None
    return Fix(place.line, place.column, place.end_column, f"{claim.style}{written}{claim.style}", safe)


def explain(
    claim: Claim, context: Context, what: CountKind, stated: Number, found: int
) -> tuple[str, bool, tuple[str, ...]]:
    """Return the explanation of a refuted count, whether it is exact, and its discrepancies."""
    if stated.value <= 0:
        return f"{show_count(stated.value)} is not a count.", False, ("no-way",)
    size = context.run_counts.input_shape[1:]
    candidates = reproductions_of(claim, context)
    if swapped := _swapped_with_other_count(context, what, stated):
        return swapped, True, ("swapped",)
    if unit := _unit_that_makes_right(claim, stated, found):
        return unit, True, ("unit",)
    multiply_adds = context.run_counts.multiply_adds
    if what == "flops" and found != multiply_adds and equal_as_written(multiply_adds, stated):
        return "Exactly the multiply-adds: each was counted as one operation, not two.", True, ("unit",)
    if counted := next((r for r in candidates if r.exact and r.proved), None):
        return (
            _as_sentence(counted, size) + _sum_with_buffers(counted, context.run_counts),
            True,
            discrepancies_of(counted),
        )
    if other := _count_of_another_model(context, what, stated):
        return other, True, ("another-model",)
    if hint := _count_hint(context, what, stated, found, candidates):
        return f"{hint} This is a hint and no proof.", False, ("no-way",)
    if near := next((r for r in candidates if not r.exact), None):
        sentence = f"No known way of counting gives exactly {shorten(claim.stated)}. {_as_sentence(near, size)}"
        return sentence, False, discrepancies_of(near)
    return f"No known way of counting gives {shorten(claim.stated)}.", False, ("no-way",)


def reproductions_of(claim: Claim, context: Context) -> list[Reproduction]:
    """Return the ways of counting that were found for a claim's number."""
    number, evidence = claim.number, context.evidence
    if number is None or evidence is None:
        return []
    return [r for r in evidence.reproductions if r.field == claim.kind and r.stated == int(number.value)]


ABOUT_TWICE = (Decimal("2.00"), Decimal("2.12"))
"""How many times the multiply-adds operations are, with those that tools add."""


def _count_hint(context: Context, what: CountKind, stated: Number, found: int, candidates: list[Reproduction]) -> str:
    size = context.run_counts.input_shape[1:]
    if hint := next((r for r in candidates if not r.proved and r.input), None):
        assert hint.input
        by = f"what {hint.tool} counts" if hint.tool else "right"
        height, width = hint.input
        return f"It is {by} at {height}x{width}; the image size is {size[0]}x{size[1]}."
    tools = (name for name, value in conventions_of(context, what).items() if equal_as_written(value, stated))
    if name := next(tools, ""):
        return f"It is what {TOOLS[name].name if name in TOOLS else name} counts."
    for places in (1, -1, 2, -2):
        if stated.digits >= 2 and equal_as_written(Decimal(found).scaleb(-places), stated):
            return f"A decimal point that moved would explain it: {show_count(stated.value.scaleb(places))} is right."
    if exchanged := _exchanged_digits(stated, found):
        return exchanged
    if what == "flops" and ABOUT_TWICE[0] <= stated.value / found <= ABOUT_TWICE[1]:
        return "It is about twice the multiply-adds: operations may be meant, with those that a tool adds."
    return ""


def _exchanged_digits(stated: Number, found: int) -> str:
    digits = str(int(stated.value / stated.quantum)) if stated.digits >= FEW_DIGITS else ""
    for at in range(len(digits) - 1):
        other = f"{digits[:at]}{digits[at + 1]}{digits[at]}{digits[at + 2 :]}"
        if other != digits and equal_as_written(found, replace(stated, value=Decimal(other) * stated.quantum)):
            return f"Two digits are exchanged: {show_count(Decimal(other) * stated.quantum)} would be right."
    return ""


UNITS = {0: ("units", ""), 3: ("thousands", "K"), 6: ("millions", "M"), 9: ("billions", "G")}
"""Power of ten -> what a value is in, and its prefix."""


def _unit_that_makes_right(claim: Claim, stated: Number, found: int) -> str:
    """Return which unit makes a value right that its own unit, or that of its column, makes wrong; empty if none."""
    factor = unit_factor(stated, claim.stated) if stated.digits >= 2 else None
    if factor is None or factor.normalize().as_tuple().digits != (1,) or factor.adjusted() not in UNITS:
        return ""
    said, letter = UNITS[factor.adjusted()]
    for power, (name, prefix) in UNITS.items():
        shift = power - factor.adjusted()
        if not shift or not equal_as_written(Decimal(found).scaleb(-shift), stated):
            continue
        if factor == 1:
            return f"The value is in {name}, and the unit {prefix} is missing."
        if has_own_scale(claim.stated):
            return f"The value is in {name}: the unit is {prefix}, not {letter}." if prefix else f"It is not in {said}."
        unit = f" ({prefix})" if prefix else ""
        return f"The head says {said}; the value is in {name}{unit}."
    return ""


def _swapped_with_other_count(context: Context, what: CountKind, stated: Number) -> str | None:
    others: CountKind = "parameters" if what == "flops" else "flops"
    other = next(context.numbers(others), None)
    if not _is_one_of(others, stated, context):
        return None
    if other and _is_one_of(what, other[1], context):
        return f"The two are swapped: {other[0].field} on line {other[0].place.line} has the value of this one."
    count = found_count(context, others)
    if count is None or not equal_as_written(count, stated):
        return None
    return f"This is exactly the network's number of {'parameters' if what == 'flops' else 'multiply-adds'}."


def _is_one_of(what: CountKind, stated: Number, context: Context) -> bool:
    counts = [found_count(context, what), *conventions_of(context, what).values()]
    return any(count is not None and equal_as_written(count, stated) for count in counts)


def _count_of_another_model(context: Context, what: CountKind, stated: Number) -> str | None:
    """Explain a count by another model of this run; four digits rule out chance."""
    if stated.digits < 4:
        return None
    for name, counts in sorted(context.others.items()):
        value = count_in(counts, what, context.settings)
        if name != context.model.name and equal_as_written(value, stated):
            kind = "multiply-adds" if what == "flops" else "parameters"
            return f"This is exactly the number of {kind} of another model: {name}."
    return None


def _sum_with_buffers(reproduction: Reproduction, counts: Counts) -> str:
    if reproduction.value != counts.parameters + counts.buffers or reproduction.field != "parameters":
        return ""
    return (
        f" {reproduction.value:,} = {counts.parameters:,} parameters + {counts.buffers:,} buffer values "
        "(running statistics and step counters)."
    )


def _as_sentence(reproduction: Reproduction, size: tuple[int, int]) -> str:
    text = describe(reproduction, size)
    return text[:1].upper() + text[1:].rstrip(".") + "."

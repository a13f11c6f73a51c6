"""Other networks: sets aside the judgements of a card that are about another network than the zoo's.

A table may be about another task or data set. Its rows vote on whether it is about the zoo's networks, and its columns
on how they were counted: one wrong value among right ones is a mistake, but if most are wrong and have no
explanation, they are probably about other networks than the zoo's. Values that may be about another network are
unchecked, not refuted. So is a number with all its digits without an explanation: a program counted it, of another
implementation of the network.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import cast

from msgspec import Struct
from msgspec.structs import replace

from cardproof.core.measurements import Reproduction
from cardproof.core.numbers import equal_as_written
from cardproof.core.types import Claim, Finding, Judgement, Number
from cardproof.judge.checks import Context
from cardproof.judge.checks._counts import CountKind, count_in, reproductions_of
from cardproof.judge.checks._network import FEW_DIGITS
from cardproof.judge.checks.results import OF_ZOO
from cardproof.read.models import Table, weights_file
from cardproof.read.table_subject import DataSet, Subject, subject_of_results

COUNTS = ("parameters", "flops")
"""Checks of counts."""

LEAST_COUNTS = 4
"""Counts of a table that outweigh its words, if two thirds of them hold."""

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


SET_ASIDE = ("refuted", "disputed")
"""Verdicts of what is set aside after a vote."""


class Judged(Struct):
    """A judgement with the model that it is about; passes change the judgement."""

    judgement: Judgement
    context: Context
    merged: bool = False
    """Whether the finding of its column replaces its own."""

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
        """Whether it is in a model index and stated by the card itself, not published elsewhere."""
        return self.claim.column is None and not self.claim.published and self.context.model.form == "index"

    def set_aside(self, reason: str) -> None:
        self.judgement = as_unchecked(self.judgement, reason)


def as_unchecked(judgement: Judgement, reason: str) -> Judgement:
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


def set_aside_other_subjects(judged: list[Judged], tables: Iterable[Table]) -> list[Finding]:
    """Set aside the judgements of a card that are about something else; return one finding a table."""
    findings: list[Finding] = []
    for rows in by_table(judged, tables):
        subject = rows[0].context.subject(rows[0].claim)
        assert subject
        if not subject.task and _is_mostly_confirmed(rows):
            continue  # whatever the words say: the rows are the zoo's networks
        before = [row.judgement for row in rows]
        for row in rows:
            if row.context.counts and row.judgement.check:  # otherwise it is unchecked already
                _judge_by_subject(subject, row)
        changed = [row.judgement for row, earlier in zip(rows, before, strict=True) if row.judgement != earlier]
        findings += _findings(subject, changed)
    for one in judged:
        if one.in_index and one.refuted and one.is_count:
            _judge_by_subject(subject_of_results(one.context.model), one)
    return findings


def _is_mostly_confirmed(rows: list[Judged]) -> bool:
    counts = [row.judgement.verdict for row in rows if row.is_count and row.context.counts]
    return len(counts) >= LEAST_COUNTS and counts.count("confirmed") * 3 >= len(counts) * 2


def _findings(subject: Subject, changed: list[Judgement]) -> Iterator[Finding]:
    """Yield one finding about a table of which some judgements changed, unless the changed ones hold."""
    assert subject.table
    place = subject.table.place
    models = list(dict.fromkeys(now.claim.model for now in changed if now.verdict == "unchecked"))
    if subject.task and changed:
        message = f"this table is about {subject.task} ({subject.task_said}): its rows are more than the zoo's networks"
        hint = f"its values are unchecked; rows with a name of the zoo: {_join_names(models)}"
        yield Finding(place, "another-task", "note", message, hint)
    elif subject.dataset and models:
        message = (
            f"this table is about {subject.dataset.name} ({subject.dataset_said}): the zoo's networks of these names, "
            f"{_join_names(models)}, are probably others"
        )
        hint = "values that do not hold with them are unchecked; audit the card with the zoo of its networks"
        yield Finding(place, "another-data-set", "warning", message, hint)


def _join_names(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _judge_by_subject(subject: Subject, one: Judged) -> None:
    """Judge a claim by what its table or the results of its model are about."""
    if subject.task:
        why = f"{subject.task_said}: it may count parts that the zoo's network does not have"
        one.set_aside(f"its table is about {subject.task} ({subject.task_said})" if subject.table else why)
    elif subject.dataset and one.judgement.verdict != "confirmed" and _has_another_head(one.context, subject.dataset):
        if held := _with_head_of(subject.dataset, one):
            one.judgement = held
        elif one.refuted:
            said = f"{subject.dataset_said}: probably another network than the zoo's"
            in_table = f"its table is about {subject.dataset.name} ({subject.dataset_said}): probably another network"
            one.set_aside(in_table if subject.table else said)


def _has_another_head(context: Context, dataset: DataSet) -> bool:
    head = context.counts.head if context.counts else None
    return head is None or head.classes not in dataset.classes


def _with_head_of(dataset: DataSet, one: Judged) -> Judgement | None:
    judgement, counts, stated = one.judgement, one.context.counts, one.claim.number
    if counts is None or counts.head is None or stated is None or not one.is_count:
        return None
    for classes in dataset.classes:
        more = classes - counts.head.classes
        value = counts.parameters + more * (counts.head.in_features + counts.head.bias)
        if judgement.check == "parameters" and value > 0 and equal_as_written(value, stated):
            said = f"with the {classes:,}-class head of {dataset.name}: {value:,} parameters"
            return _confirm(judgement, value, stated, said)
    if way := _way_with_classes(one, dataset.classes):
        size = f" for an image of {way.input[0]}x{way.input[1]}" if way.input else ""
        head = f" with the {way.classes:,}-class head of {dataset.name}" if way.classes else ""
        return _confirm(judgement, way.value, stated, f"{way.value:,}{head}{size}")
    return None


def _way_with_classes(one: Judged, classes: tuple[int, ...]) -> Reproduction | None:
    """Return a plain way of counting at another size, or with one of these heads, that gives a stated count exactly."""
    for way in reproductions_of(one.claim, one.context):
        plain = not (way.counted or way.left_out or way.note) and way.factor == 1
        if way.exact and plain and (way.classes is None or way.classes in classes):
            return way
    return None


def _confirm(judgement: Judgement, found: int, stated: Number, said: str) -> Judgement:
    difference = Decimal(found) - stated.value
    return replace(
        as_unchecked(judgement, ""),
        verdict="confirmed",
        found=found,
        allowed=judgement.allowed,
        difference="0" if not difference else f"{difference:+,f}".replace("-", "−"),
        method=f"{judgement.method}, {said}",
        detail=said,
    )


def with_sibling_head(judgement: Judgement, context: Context) -> Judgement:
    """Confirm a refuted count that is exactly that of other weights which the zoo has under the same name."""
    stated, evidence = judgement.claim.number, context.evidence
    if judgement.verdict != "refuted" or judgement.check not in COUNTS or stated is None or evidence is None:
        return judgement
    for sibling in evidence.siblings:
        value = count_in(sibling, "flops" if judgement.check == "flops" else "parameters", context.settings)
        if equal_as_written(value, stated):
            head = f"with the {sibling.classes:,} classes of the zoo's weights" if sibling.classes else "of the zoo's"
            return _confirm(judgement, value, stated, f"{head} {sibling.weights}")
    return judgement


def set_aside_outvoted(judged: list[Judged], tables: Iterable[Table]) -> list[Finding]:
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
        if outvoted := _set_aside_other_networks(models, least, what):
            findings.append(outvoted)
            continue
        if what == "table" and (other := _set_aside_other_implementations(group)):
            findings.append(other)
        findings += filter(None, (_set_aside_other_ways(column, what) for column in columns.values()))
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
    """Return whether a judgement is evidence for the zoo's network (True) or against it; None if for neither."""
    judgement = one.judgement
    if one.is_count and judgement.verdict in ("confirmed", "refuted"):
        return judgement.verdict == "confirmed" or judgement.explained
    if judgement.allowed == OF_ZOO:
        return judgement.verdict == "cited" or bool(judgement.discrepancies)
    return None


def _set_aside_other_networks(models: dict[str, list[Judged]], least: int, what: str) -> Finding | None:
    """Set aside the refuted counts if most models have no count that is right, and return the finding about it."""
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


def _set_aside_other_implementations(group: list[Judged]) -> Finding | None:
    """Set aside exact counts of a table that have no explanation, and return the finding about them."""
    off = [one for one in group if _is_of_a_program(one)]
    if not off:
        return None
    why = "a count with all its digits that no way of counting gives: probably of another implementation of the network"
    first = _set_aside(off, why)
    names, zoo = list(dict.fromkeys(one.claim.model for one in off)), first.context.settings.zoo
    message = f"the exact counts of {_some_of(names, 5)} in this table are of other networks than those of zoo '{zoo}'"
    hint = "they are unchecked; audit them with the zoo that they were counted from"
    return Finding(first.claim.place, "other-networks", "warning", message, hint)


def _is_of_a_program(one: Judged) -> bool:
    """Return whether a refuted count is stated with all its digits, and nothing explains it."""
    stated = one.claim.number
    is_exact = stated is not None and stated.quantum == 1 and stated.digits >= MANY_DIGITS
    return is_exact and one.is_count and one.refuted and not one.judgement.explained


def _set_aside_other_ways(column: list[Judged], what: str) -> Finding | None:
    """Set aside the refuted values of a column if most values are wrong without an explanation; return the finding."""
    off = [one for one in column if not _vote_of(one)]
    if len(off) * 2 <= len(column) or not any(one.judgement.verdict in SET_ASIDE for one in off):
        return None  # most hold, or all that do not are those of another implementation
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
    hint = f"these values are unchecked ({_some_of([one.claim.model for one in off], 3)}); say how they were counted"
    return Finding(first.claim.place, "another-way", "warning", why, hint)


def _some_of(names: list[str], most: int) -> str:
    return ", ".join([*names[:most], *(["…"] if len(names) > most else [])])


def _set_aside(group: list[Judged], why: str) -> Judged:
    """Make the refuted and disputed judgements of a group unchecked; return the first that was."""
    changed = [one for one in group if one.judgement.verdict in SET_ASIDE]
    for one in changed:
        one.set_aside(why)
    return changed[0]

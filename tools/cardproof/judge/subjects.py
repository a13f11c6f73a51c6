"""Tables about something else: another task or data set than that of the zoo's network of the same name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from msgspec.structs import replace

from cardproof.core.measurements import Reproduction
from cardproof.core.numbers import equal_as_written
from cardproof.core.types import Finding, Judgement, Number
from cardproof.judge.checks import Context
from cardproof.judge.checks._counts import count_in, reproductions_of
from cardproof.judge.passes import COUNTS, Judged, by_table, unchecked
from cardproof.read.models import Table
from cardproof.read.subject import DataSet, Subject, subject_of_results

LEAST = 4
"""Counts of a table that outweigh its words, if two thirds of them hold."""


def about_something_else(judged: list[Judged], tables: Iterable[Table]) -> list[Finding]:
    """Set aside the judgements of a card that are about something else; return one finding a table."""
    findings: list[Finding] = []
    for rows in by_table(judged, tables):
        subject = rows[0].context.subject(rows[0].claim)
        assert subject
        if not subject.task and _holds_mostly(rows):
            continue  # whatever the words say: the rows are the zoo's networks
        before = [row.judgement for row in rows]
        for row in rows:
            _judge_in_table(row, subject)
        changed = [row.judgement for row, earlier in zip(rows, before, strict=True) if row.judgement != earlier]
        findings += _findings(subject, changed)
    for one in judged:
        if one.in_index and one.refuted and one.is_count:
            _judge_by_results(one)
    return findings


def _holds_mostly(rows: list[Judged]) -> bool:
    counts = [row.judgement.verdict for row in rows if row.is_count and row.context.counts]
    return len(counts) >= LEAST and counts.count("confirmed") * 3 >= len(counts) * 2


def _findings(subject: Subject, changed: list[Judgement]) -> Iterator[Finding]:
    """Yield one finding about a table of which some judgements changed, unless the changed ones hold."""
    assert subject.table
    place = subject.table.place
    models = list(dict.fromkeys(now.claim.model for now in changed if now.verdict == "unchecked"))
    if subject.task and changed:
        message = f"this table is about {subject.task} ({subject.task_said}): its rows are more than the zoo's networks"
        hint = f"its values are unchecked; rows with a name of the zoo: {_listed(models)}"
        yield Finding(place, "another-task", "note", message, hint)
    elif subject.dataset and models:
        message = (
            f"this table is about {subject.dataset.name} ({subject.dataset_said}): the zoo's networks of these names, "
            f"{_listed(models)}, are probably others"
        )
        hint = "values that do not hold with them are unchecked; audit the card with the zoo of its networks"
        yield Finding(place, "another-data-set", "warning", message, hint)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _judge_in_table(row: Judged, subject: Subject) -> None:
    if row.context.counts is None or not row.judgement.check:
        return  # it is unchecked already
    if subject.task:
        row.set_aside(f"its table is about {subject.task} ({subject.task_said})")
    elif subject.dataset and row.judgement.verdict != "confirmed" and _has_another_head(row.context, subject.dataset):
        if held := _with_head_of(subject.dataset, row):
            row.judgement = held
        elif row.refuted:
            row.set_aside(
                f"its table is about {subject.dataset.name} ({subject.dataset_said}): probably another network"
            )


def _judge_by_results(one: Judged) -> None:
    """Judge a refuted count of a model index, whose results tell what the model is for."""
    subject = subject_of_results(one.context.model)
    if subject.task:
        one.set_aside(f"{subject.task_said}: it may count parts that the zoo's network does not have")
    elif subject.dataset and _has_another_head(one.context, subject.dataset):
        why = f"{subject.dataset_said}: probably another network than the zoo's"
        one.judgement = _with_head_of(subject.dataset, one) or unchecked(one.judgement, why)


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
            return _confirmed(judgement, value, stated, said)
    if way := _way_with_classes(one, dataset.classes):
        size = f" for an image of {way.input[0]}x{way.input[1]}" if way.input else ""
        head = f" with the {way.classes:,}-class head of {dataset.name}" if way.classes else ""
        return _confirmed(judgement, way.value, stated, f"{way.value:,}{head}{size}")
    return None


def _way_with_classes(one: Judged, classes: tuple[int, ...]) -> Reproduction | None:
    """Return a plain way of counting at another size, or with one of these heads, that gives a stated count exactly."""
    for way in reproductions_of(one.claim, one.context):
        plain = not (way.counted or way.left_out or way.note) and way.factor == 1
        if way.exact and plain and (way.classes is None or way.classes in classes):
            return way
    return None


def _confirmed(judgement: Judgement, found: int, stated: Number, said: str) -> Judgement:
    """Return the confirmation of a count that holds in the way that ``said`` names."""
    difference = Decimal(found) - stated.value
    return replace(
        unchecked(judgement, ""),
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
            return _confirmed(judgement, value, stated, f"{head} {sibling.weights}")
    return judgement

"""The dry run: what a build would measure and why, what it would recall, and about how long that takes. No torch."""

from __future__ import annotations

import json
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct, to_builtins

from cardproof.plan.needs import plan
from cardproof.plan.options import force_of
from cardproof.plan.recall import plan_recall
from cardproof.zoos.aliases import load_names

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping
    from pathlib import Path

    from cardproof.core.settings import Settings
    from cardproof.core.types import Need
    from cardproof.plan.recall import RecallPlan
    from cardproof.read import Reading

COUNTS = "counts"
"""What gives FLOPs, parameters, sizes and layers: one measurement."""

FIRST_COUNT = 0.1
"""Seconds that counting one network takes if nothing is on record: the 220 models of the shared corpus took 20 s of
two cores, imports included."""

FIRST_RESULT = 60.0
"""Seconds that evaluating one model on a data set takes if nothing is on record; from seconds to hours."""

Basis = Literal["its last measurement", "median of the others", "no measurement yet"]


class Task(Struct, frozen=True):
    """One measurement that a build would make."""

    model: str
    measure: str
    """``counts``, or ``results on`` a data set."""
    why: str
    """``new``, ``forced``, or ``stale: `` with what changed."""
    seconds: float
    """What it is expected to take."""
    basis: Basis
    """Where that number comes from."""


class Kept(Struct, frozen=True):
    """One measurement that is on record and valid."""

    model: str
    measure: str
    measured: str
    """Time in UTC, ISO 8601; empty in records without."""


class Impossible(Struct, frozen=True):
    """One measurement that cannot be made here."""

    model: str
    measure: str
    reason: str


class DryRun(Struct, frozen=True):
    """What a build would do."""

    tasks: tuple[Task, ...] = ()
    recalled: tuple[Kept, ...] = ()
    impossible: tuple[Impossible, ...] = ()

    @property
    def seconds(self) -> float:
        """Return the work of all tasks; workers share that of counts."""
        return sum(task.seconds for task in self.tasks)


def dry_run(
    reading: Reading, settings: Settings, store: Path | None, wanted: Container[str], force: Iterable[str]
) -> DryRun:
    """Plan and recall for the cards ``wanted`` as an audit of what was read does, and stop there."""
    forced = force_of(force)
    forced.check(model.name for model in reading.models)
    if settings.zoo is None:
        return DryRun()
    needs = plan(reading, load_names(settings))
    chosen = {need for (file, _), need in needs.items() if file in wanted}
    return _dry_run(plan_recall(dict.fromkeys(needs.values()), chosen, settings, store, forced), chosen)


def _dry_run(recall: RecallPlan, chosen: Iterable[Need]) -> DryRun:
    """Return what would be done for some needs, in the order of their models' names."""
    needs = sorted(chosen, key=lambda need: need.model)
    tasks, recalled, impossible = [], [], []
    counted, evaluated = _recorded_seconds(recall)
    jobs = {(job.need, job.dataset): job for job in recall.evaluations.jobs}
    for need in needs:
        stored = recall.recalled.stored.get(need)
        if why := recall.missing.get(need):
            last = stored.environment.seconds if stored else 0.0
            tasks.append(Task(need.model, COUNTS, why, *_expected(last, counted, FIRST_COUNT)))
        elif need in recall.lost:
            impossible.append(Impossible(need.model, COUNTS, recall.lost[need]))
        elif stored:
            recalled.append(Kept(need.model, COUNTS, stored.environment.measured))
        results = (*stored.evaluations, *stored.outdated) if stored else ()
        for dataset in need.datasets:
            measure = f"results on {dataset}"
            earlier = [result for result in results if result.dataset == dataset]
            if job := jobs.get((need, dataset)):
                last = earlier[0].environment.seconds if earlier else 0.0
                tasks.append(Task(need.model, measure, job.why, *_expected(last, evaluated[dataset], FIRST_RESULT)))
            elif reason := recall.evaluations.reasons.get((need, dataset)):
                impossible.append(Impossible(need.model, measure, reason))
            elif valid := [r for r in recall.evaluations.valid.get(need, ()) if r.dataset == dataset]:
                recalled.append(Kept(need.model, measure, valid[0].environment.measured))
    return DryRun(tuple(tasks), tuple(recalled), tuple(impossible))


def _recorded_seconds(recall: RecallPlan) -> tuple[list[float], Mapping[str, list[float]]]:
    """Return what counts took, and what results took on each data set, of all that is on record."""
    records = recall.recalled.stored.values()
    counted = [record.environment.seconds for record in records if record.environment.seconds]
    evaluated: dict[str, list[float]] = {name: [] for need in recall.wanted for name in need.datasets}
    for record in records:
        for result in (*record.evaluations, *record.outdated):
            if result.environment.seconds:
                evaluated.setdefault(result.dataset, []).append(result.environment.seconds)
    return counted, evaluated


def _expected(last: float, others: list[float], first: float) -> tuple[float, Basis]:
    """Return how long a measurement will take, and where that comes from."""
    if last:
        return last, "its last measurement"
    return (median(others), "median of the others") if others else (first, "no measurement yet")


def json_of_dry_run(found: DryRun) -> str:
    """Return a dry run as one JSON object: ``plan``, ``recalled``, ``impossible``, ``summary``."""
    data: dict[str, Any] = {
        "plan": to_builtins(found.tasks),
        "recalled": to_builtins(found.recalled),
        "impossible": to_builtins(found.impossible),
        "summary": {
            "to_measure": len(found.tasks),
            "recalled": len(found.recalled),
            "impossible": len(found.impossible),
            "seconds": round(found.seconds, 3),
            "exit": 0,
        },
    }
    return json.dumps(data, indent=2, ensure_ascii=False)


def text_of_dry_run(found: DryRun) -> str:
    """Return a dry run for a reader: a line for each measurement, and the sum."""
    lines = [f"{task.model}: {task.measure}, {task.why}, about {_duration(task.seconds)}" for task in found.tasks]
    lines += [f"{one.model}: {one.measure} cannot be measured: {one.reason}" for one in found.impossible]
    work = f", about {_duration(found.seconds)} of work" if found.tasks else ""
    guessed = sum(task.basis == "no measurement yet" for task in found.tasks)
    if guessed:
        work += f" ({guessed} of them never measured here before)"
    lines.append(f"{len(found.tasks)} to measure{work}; {len(found.recalled)} recalled; nothing was written")
    return "\n".join(lines)


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.0f} min"

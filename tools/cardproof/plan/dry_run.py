"""The dry run: what a build would measure and why, what it would recall, and about how long that would take."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from contextlib import closing, nullcontext
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Literal

from msgspec import Struct, to_builtins

from cardproof.core.json import strict_json
from cardproof.core.terminal import printable
from cardproof.evidence.records import PrivateRecords
from cardproof.plan.options import parse_force
from cardproof.plan.recall import RecallPlan, plan, plan_recall
from cardproof.zoos.name_tables import load_names

if TYPE_CHECKING:
    from cardproof.core.settings import Settings
    from cardproof.core.types import Need
    from cardproof.read import Reading

COUNTS = "counts"
"""The measurement of FLOPs, parameters, sizes and layers."""

FIRST_COUNT = 0.1
"""Seconds for counting one network if nothing is on record: the 220 models of the shared corpus took 20 s on two
cores, imports included."""

FIRST_RESULT = 60.0
"""Seconds for evaluating one model on a data set if nothing is on record; in fact from seconds to hours."""

Basis = Literal["its last measurement", "median of the others", "no measurement yet"]


class Task(Struct, frozen=True):
    """One measurement that a build would make."""

    model: str
    measure: str
    """``counts``, or ``results on`` a data set."""
    why: str
    """``new``, ``forced``, or ``stale: `` with the changed inputs."""
    seconds: float
    """Expected duration."""
    basis: Basis
    """Source of that estimate."""


class Recall(Struct, frozen=True):
    """One measurement that is on record and valid."""

    model: str
    measure: str
    measured: str
    """Time in UTC, ISO 8601; empty if the record has none."""


class Impossible(Struct, frozen=True):
    """One measurement that cannot be made here."""

    model: str
    measure: str
    reason: str


class DryRun(Struct, frozen=True):
    """The tasks of a build."""

    tasks: tuple[Task, ...] = ()
    recalled: tuple[Recall, ...] = ()
    impossible: tuple[Impossible, ...] = ()

    @property
    def seconds(self) -> float:
        """The sum of all tasks; workers share those that count."""
        return sum(task.seconds for task in self.tasks)


def dry_run(
    reading: Reading,
    settings: Settings,
    store: Path | None,
    wanted: Container[str],
    force: Iterable[str],
    *,
    remember: bool = False,
) -> DryRun:
    """Plan and recall for the cards ``wanted`` and measure nothing; ``remember``: as :class:`MeasureOptions` has it."""
    forced = parse_force(force)
    forced.check(model.name for model in reading.models)
    if settings.zoo is None:
        return DryRun()
    needs = plan(reading, load_names(settings))
    chosen = {need for (file, _), need in needs.items() if file in wanted}
    with closing(PrivateRecords(settings.zoo)) if remember else nullcontext() as private:
        return _dry_run(plan_recall(dict.fromkeys(needs.values()), chosen, settings, store, forced, private), chosen)


def _dry_run(recall: RecallPlan, chosen: Iterable[Need]) -> DryRun:
    tasks, recalled, impossible = [], [], []
    seconds: dict[str, list[float]] = {}  # on record, by measurement
    for record in recall.recalled.stored.values():
        seconds.setdefault(COUNTS, []).append(record.environment.seconds)
        for result in record.outdated:
            seconds.setdefault(f"results on {result.dataset}", []).append(result.environment.seconds)
    jobs = {(job.need, job.dataset): job for job in recall.evaluations.jobs}
    for need in sorted(chosen, key=lambda need: need.model):
        stored = recall.recalled.stored.get(need)
        if why := recall.missing.get(need):
            last = stored.environment.seconds if stored else 0.0
            tasks.append(Task(need.model, COUNTS, why, *_expected(COUNTS, last, seconds)))
        elif need in recall.impossible:
            impossible.append(Impossible(need.model, COUNTS, recall.impossible[need]))
        elif stored:
            recalled.append(Recall(need.model, COUNTS, stored.environment.measured))
        for dataset in need.datasets:
            measure = f"results on {dataset}"
            earlier = [result for result in (stored.outdated if stored else ()) if result.dataset == dataset]
            if job := jobs.get((need, dataset)):
                last = earlier[0].environment.seconds if earlier else 0.0
                tasks.append(Task(need.model, measure, job.why, *_expected(measure, last, seconds)))
            elif reason := recall.evaluations.reasons.get((need, dataset)):
                impossible.append(Impossible(need.model, measure, reason))
            elif valid := [r for r in recall.evaluations.valid.get(need, ()) if r.dataset == dataset]:
                recalled.append(Recall(need.model, measure, valid[0].environment.measured))
    return DryRun(tuple(tasks), tuple(recalled), tuple(impossible))


def _expected(measure: str, last: float, seconds: Mapping[str, list[float]]) -> tuple[float, Basis]:
    if last:
        return last, "its last measurement"
    if others := list(filter(None, seconds.get(measure, ()))):
        return median(others), "median of the others"
    return FIRST_COUNT if measure == COUNTS else FIRST_RESULT, "no measurement yet"


def json_of_dry_run(found: DryRun) -> str:
    """Return a dry run as one JSON object: ``plan``, ``recalled``, ``impossible``, ``summary``."""
    lists = {"plan": found.tasks, "recalled": found.recalled, "impossible": found.impossible}
    counts = dict(zip(("to_measure", "recalled", "impossible"), map(len, lists.values()), strict=True))
    summary = {**counts, "seconds": round(found.seconds, 3), "exit": 0}
    return strict_json({**to_builtins(lists), "summary": summary}, indent=2)


def text_of_dry_run(found: DryRun) -> str:
    """Return a dry run for a reader: a line for each measurement, and the sum."""
    lines = [f"{task.model}: {task.measure}, {task.why}, about {_duration(task.seconds)}" for task in found.tasks]
    lines += [f"{task.model}: {task.measure} cannot be measured: {task.reason}" for task in found.impossible]
    work = f", about {_duration(found.seconds)} of work" if found.tasks else ""
    guessed = sum(task.basis == "no measurement yet" for task in found.tasks)
    if guessed:
        work += f" ({guessed} of them never measured here before)"
    lines.append(f"{len(found.tasks)} to measure{work}; {len(found.recalled)} recalled; nothing was written")
    return "\n".join(map(printable, lines))


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.0f} min"

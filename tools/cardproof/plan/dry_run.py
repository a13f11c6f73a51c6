"""Forecast: what a build would measure and why, what it would recall, and about how long that takes. No torch."""

from __future__ import annotations

import json
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct, to_builtins

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cardproof.core.types import Need
    from cardproof.plan.recall import RecallPlan

COUNTS = "counts"
"""What gives FLOPs, parameters, sizes and layers: one measurement."""

FIRST_COUNT = 0.1
"""Seconds that counting one network takes where nothing is on record: the 220 models of the shared corpus took 20 s of
two cores, imports included."""

FIRST_RESULT = 60.0
"""Seconds that evaluating one model on a data set takes where nothing is on record; from seconds to hours."""

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


def forecast_of(outlook: RecallPlan, chosen: Iterable[Need]) -> DryRun:
    """Return the forecast for some needs, in the order of their models' names."""
    needs = sorted(chosen, key=lambda need: need.model)
    tasks, recalled, impossible = [], [], []
    counted, evaluated = _known_seconds(outlook)
    jobs = {(job.need, job.dataset): job for job in outlook.evaluations.jobs}
    for need in needs:
        stored = outlook.recalled.stored.get(need)
        if why := outlook.missing.get(need):
            last = stored.environment.seconds if stored else 0.0
            tasks.append(Task(need.model, COUNTS, why, *_expected(last, counted, FIRST_COUNT)))
        elif need in outlook.lost:
            impossible.append(Impossible(need.model, COUNTS, outlook.lost[need]))
        elif stored:
            recalled.append(Kept(need.model, COUNTS, stored.environment.measured))
        results = (*stored.evaluations, *stored.outdated) if stored else ()
        for dataset in need.datasets:
            measure = f"results on {dataset}"
            earlier = [result for result in results if result.dataset == dataset]
            if job := jobs.get((need, dataset)):
                last = earlier[0].environment.seconds if earlier else 0.0
                tasks.append(Task(need.model, measure, job.why, *_expected(last, evaluated[dataset], FIRST_RESULT)))
            elif reason := outlook.evaluations.reasons.get((need, dataset)):
                impossible.append(Impossible(need.model, measure, reason))
            elif valid := [r for r in outlook.evaluations.valid.get(need, ()) if r.dataset == dataset]:
                recalled.append(Kept(need.model, measure, valid[0].environment.measured))
    return DryRun(tuple(tasks), tuple(recalled), tuple(impossible))


def _known_seconds(outlook: RecallPlan) -> tuple[list[float], Mapping[str, list[float]]]:
    """Return what counts took, and what results took on each data set, of all that is on record."""
    records = outlook.recalled.stored.values()
    counted = [record.environment.seconds for record in records if record.environment.seconds]
    evaluated: dict[str, list[float]] = {name: [] for need in outlook.wanted for name in need.datasets}
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


def json_of_forecast(forecast: DryRun) -> str:
    """Return a forecast as one JSON object: ``plan``, ``recalled``, ``impossible``, ``summary``."""
    data: dict[str, Any] = {
        "plan": [to_builtins(task, enc_hook=str) for task in forecast.tasks],
        "recalled": [to_builtins(kept, enc_hook=str) for kept in forecast.recalled],
        "impossible": [to_builtins(one, enc_hook=str) for one in forecast.impossible],
        "summary": {
            "to_measure": len(forecast.tasks),
            "recalled": len(forecast.recalled),
            "impossible": len(forecast.impossible),
            "seconds": round(forecast.seconds, 3),
            "exit": 0,
        },
    }
    return json.dumps(data, indent=2, ensure_ascii=False)


def text_of_forecast(forecast: DryRun) -> str:
    """Return a forecast for a reader: a line for each measurement, and the sum."""
    lines = [f"{task.model}: {task.measure}, {task.why}, about {_shown(task.seconds)}" for task in forecast.tasks]
    lines += [f"{one.model}: {one.measure} cannot be measured: {one.reason}" for one in forecast.impossible]
    work = f", about {_shown(forecast.seconds)} of work" if forecast.tasks else ""
    guessed = sum(task.basis == "no measurement yet" for task in forecast.tasks)
    if guessed:
        work += f" ({guessed} of them never measured here before)"
    lines.append(f"{len(forecast.tasks)} to measure{work}; {len(forecast.recalled)} recalled; nothing was written")
    return "\n".join(lines)


def _shown(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.0f} min"

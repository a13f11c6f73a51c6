"""Find out: recall what is on record of a run's models, and measure what is missing, in worker processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from cardproof.evaluations import Plan, plan_evaluations
from cardproof.evidence import Recalled, key_of, recall
from cardproof.judge import Proved
from cardproof.zoos import network_digests, recipe_of

if TYPE_CHECKING:
    from pathlib import Path

    from cardproof.settings import Settings
    from cardproof.words import Evaluated, Evidence, Need

Progress = Callable[[int, int, str], None]
"""Called with how much is done, how much there is to do, and what was done last."""


def find_out(
    unique: list[Need],
    chosen: set[Need],
    settings: Settings,
    store: Path | None,
    workers: int | None,
    progress: Progress | None,
) -> Proved:
    """Recall what is known of the models, and measure what is missing of the chosen ones."""
    assert settings.zoo is not None
    digests = network_digests(settings.zoo, {need.model for need in unique})
    keys = {need: key_of(need, settings.zoo, digests[need.model]) for need in unique}
    recalled = recall(unique, keys, store) if store else Recalled()
    missing = [need for need in unique if need in chosen and need not in recalled.valid]
    evidence = dict(recalled.valid)
    if missing:
        evidence |= _measure(missing, settings.zoo, keys, workers, progress)
    evaluations = plan_evaluations(unique, recalled.stored, digests, settings, chosen)
    evaluated = _evaluate(evaluations, settings.zoo, workers, progress)
    for need, found in evidence.items():
        results = evaluations.valid[need] + tuple(evaluated.get(need, ()))
        evidence[need] = replace(found, evaluations=results, outdated=evaluations.outdated[need])
    return Proved(
        evidence,
        digests,
        {need: recipe for need in unique if (recipe := recipe_of(settings.zoo, need.model))},
        evaluations.reasons,
        len(missing),
        sum(len(results) for results in evaluated.values()),
        recalled.tampered,
    )


def _evaluate(plan: Plan, zoo: str, workers: int | None, progress: Progress | None) -> dict[Need, list[Evaluated]]:
    """Make the evaluations of a plan; those that fail are added to its reasons."""
    results: dict[Need, list[Evaluated]] = {}
    if not plan.jobs:
        return results
    from cardproof.engine import evaluate, usable_cores

    for job, result in evaluate(plan.jobs, zoo, workers or usable_cores(), progress):
        if isinstance(result, str):
            plan.reasons[job.need, job.dataset] = f"evaluating failed: {result}"
            continue
        results.setdefault(job.need, []).append(result)
        replaced = [old for old in plan.outdated[job.need] if old.dataset != job.dataset]
        plan.outdated[job.need] = tuple(replaced)
    return results


def _measure(
    missing: list[Need], zoo: str, keys: dict[Need, str], workers: int | None, progress: Progress | None
) -> dict[Need, Evidence]:
    from cardproof.engine import measure  # it starts processes, and its import costs a warm build 40 ms

    evidence: dict[Need, Evidence] = {}
    for need, found in measure(missing, zoo, keys, workers):
        evidence[need] = found
        if progress:
            progress(len(evidence), len(missing), need.model)
    return evidence

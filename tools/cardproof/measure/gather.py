"""Find out: recall what is on record of a run's models, and measure what is missing, in worker processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import fields, replace

from cardproof.core.clock import as_recorded
from cardproof.core.types import Curve, Environment, Evidence, Recipe
from cardproof.evidence.records import Inputs, Record
from cardproof.plan.force import Force
from cardproof.plan.recall import RecallPlan, on_record, plan_recall
from cardproof.zoos import ZooError, curve_of, recipe_of

if TYPE_CHECKING:
    from pathlib import Path

    from cardproof.core.settings import Settings
    from cardproof.core.types import Evaluated, Need
    from cardproof.plan.evaluations import Plan

Progress = Callable[[int, int, str], None]
"""Called with how much is done, how much there is to do, and what was done last."""


def _forget(_: Evidence) -> None:
    """Keep nothing before the run is over."""


class MeasureOptions(Struct, frozen=True):
    """How a run measures, beyond what the settings say."""

    force: Force = field(default_factory=Force)
    engine: str = "local"
    """``local``, or the address of a Dask scheduler."""
    keep: Callable[[Evidence], None] = _forget
    """Called with a model's evidence as soon as something new was found out about it."""


def gather(
    unique: list[Need],
    chosen: set[Need],
    settings: Settings,
    store: Path | None,
    workers: int | None,
    progress: Progress | None,
    orders: MeasureOptions | None = None,
) -> GatheredEvidence:
    """Recall what is known of the models, and measure what is missing of the chosen ones.

    Raises ZooError where the zoo is not here and nothing is on record; NewerError for a record that a newer cardproof
    wrote; InputError where the engine cannot be used.
    """
    assert settings.zoo is not None
    orders = orders or MeasureOptions()
    outlook = plan_recall(unique, chosen, settings, store, orders.force)
    plan = outlook.evaluations
    finding = _Measuring(outlook, settings.zoo, workers, progress, orders)
    finding.measure()
    results = finding.evaluate()
    return GatheredEvidence(
        {need: _with_results(found, plan, need, results) for need, found in finding.evidence.items()},
        outlook.digests,
        {need: recipe for need in unique if (recipe := recipe_of(settings.zoo, need.in_zoo))},
        plan.reasons,
        len(outlook.missing),
        sum(len(found) for found in results.values()),
        outlook.recalled.tampered,
        {need: curve for need in unique if (curve := curve_of(settings.zoo, need.in_zoo))},
    )


class _Measuring:
    """The measuring of one run: what was found is kept at once."""

    def __init__(
        self, outlook: RecallPlan, zoo: str, workers: int | None, progress: Progress | None, orders: MeasureOptions
    ) -> None:
        self.outlook = outlook
        self.zoo = zoo
        self.workers = workers
        self.progress = progress
        self.orders = orders
        self.evidence: dict[Need, Evidence] = dict(outlook.valid)
        self.evidence |= {need: self._unmeasured(need, why) for need, why in outlook.lost.items()}

    def measure(self) -> None:
        """Measure the counts that are missing.

        Raises ZooError where the zoo cannot be loaded and nothing is on record.
        """
        missing = self.outlook.missing
        if not missing:
            return
        from cardproof.measure.submit import measure  # it starts processes, and its import costs a warm build 40 ms

        keys = {need: self.outlook.wanted[need].key for need in missing}
        try:
            for done, (need, found) in enumerate(measure(missing, self.zoo, keys, self.workers, self.orders.engine), 1):
                self._keep(need, found)
                if self.progress:
                    self.progress(done, len(missing), need.model)
        except ZooError as trouble:
            if not self.outlook.recalled.stored:
                raise
            for need in missing.keys() - self.evidence.keys():
                why = str(trouble) + on_record(need, self.outlook.recalled, "the zoo")
                self.evidence[need] = self._unmeasured(need, why)

    def evaluate(self) -> dict[Need, list[Evaluated]]:
        """Make the evaluations of the plan; those that fail are added to its reasons."""
        plan = self.outlook.evaluations
        results: dict[Need, list[Evaluated]] = {}
        if not plan.jobs:
            return results
        from cardproof.measure.submit import evaluate

        for job, result in evaluate(plan.jobs, self.zoo, self.workers, self.progress, self.orders.engine):
            if isinstance(result, str):
                plan.reasons[job.need, job.dataset] = f"evaluating failed: {result}"
                continue
            results.setdefault(job.need, []).append(replace(result, environment=as_recorded(result.environment)))
            replaced = [old for old in plan.outdated[job.need] if old.dataset != job.dataset]
            plan.outdated[job.need] = tuple(replaced)
            if job.need in self.evidence:
                self.orders.keep(_with_results(self.evidence[job.need], plan, job.need, results))
        return results

    def _keep(self, need: Need, found: Evidence) -> None:
        """Take the counts of a model as its evidence; where there are none, say what is on record of it."""
        if found.error:
            found = replace(found, error=found.error + on_record(need, self.outlook.recalled))
        found = replace(found, environment=as_recorded(found.environment))
        self.evidence[need] = as_record(found, self.outlook.wanted[need].inputs)
        self.orders.keep(_with_results(self.evidence[need], self.outlook.evaluations, need, {}))

    def _unmeasured(self, need: Need, why: str) -> Evidence:
        """Return evidence that says only why there is none; it is for this run, and another may find out more."""
        nowhere = Environment("", 0.0, "", "", "", "", "")
        return Evidence(need.model, self.zoo, need.model, "", None, (), None, why, nowhere)


def as_record(evidence: Evidence, inputs: Inputs) -> Record:
    """Return evidence with the names of what it depends on."""
    return Record(**{part.name: getattr(evidence, part.name) for part in fields(Evidence)}, inputs=inputs)


def _with_results(evidence: Evidence, plan: Plan, need: Need, results: dict[Need, list[Evaluated]]) -> Evidence:
    """Return evidence with the results on data sets that are valid up to now, in the order of the need."""
    found = plan.valid[need] + tuple(results.get(need, ()))
    in_order = sorted(found, key=lambda result: need.datasets.index(result.dataset))
    return replace(evidence, evaluations=tuple(in_order), outdated=plan.outdated[need])


class GatheredEvidence(Struct, frozen=True):
    """What is known of the models of a run: recalled, or measured just now."""

    evidence: dict[Need, Evidence] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    """Of the network of each model, by its name."""
    recipes: dict[Need, Recipe] = field(default_factory=dict)
    unevaluated: dict[tuple[Need, str], str] = field(default_factory=dict)
    """Why there is no valid result of a model on a data set."""
    measured: int = 0
    """Models whose counts were measured in this run."""
    evaluated: int = 0
    """Results on data sets that were measured in this run."""
    tampered: tuple[Path, ...] = ()
    """Records that were edited by hand."""
    curves: dict[Need, Curve] = field(default_factory=dict)
    """The loss of trainings whose logs travel with the weights."""

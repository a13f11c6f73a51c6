"""Gather evidence: recall what is on record of a run's models, and measure what is missing, in worker processes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct, field
from msgspec.structs import fields, replace

from cardproof.core.clock import recorded_environment
from cardproof.core.errors import error_text
from cardproof.core.measurements import Curve, Evaluated, Evidence, Recipe
from cardproof.core.types import Need
from cardproof.evidence.records import Inputs, PrivateRecords, Record
from cardproof.measure.engines import Engine, EngineError, check_engine, failed_evidence, measure_in_worker
from cardproof.plan.options import DEFAULTS, LOCAL, MeasureOptions
from cardproof.plan.recall import RecallPlan, plan_recall, record_note
from cardproof.zoos import ZooError, curve_of, recipe_of

if TYPE_CHECKING:
    from cardproof.core.settings import Settings
    from cardproof.plan.needed_evaluations import Job, Plan


Measured = TypeVar("Measured", Record, Evaluated)


class GatheredEvidence(Struct, frozen=True):
    """The evidence of a run's models, recalled or measured."""

    evidence: dict[Need, Evidence] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    """Of the network of each model, by its name."""
    recipes: dict[Need, Recipe] = field(default_factory=dict)
    unevaluated: dict[tuple[Need, str], str] = field(default_factory=dict)
    """Why a model has no valid result on a data set."""
    measured: int = 0
    """Models whose counts were measured in this run."""
    recalled: frozenset[Need] = frozenset()
    """Models whose counts were on record."""
    evaluated: int = 0
    """Results on data sets that were measured in this run."""
    tampered: tuple[Path, ...] = ()
    """Records whose seal does not fit."""
    curves: dict[Need, Curve] = field(default_factory=dict)
    """Trainings whose logs are published with the weights."""

    @property
    def unmeasured(self) -> int:
        """Number of models without counts."""
        return sum(found.counts is None for found in self.evidence.values())


def gather(
    needs: list[Need], chosen: set[Need], settings: Settings, store: Path | None, options: MeasureOptions
) -> GatheredEvidence:
    """Recall what is on record of the models, and measure what is missing of the chosen ones; nothing without a zoo.

    Raises ZooError if the zoo is missing and nothing is on record; NewerError for a record of a newer cardproof;
    InputError if the engine cannot be used.
    """
    if settings.zoo is None:
        return GatheredEvidence()
    private = PrivateRecords(settings.zoo) if options.remember else None
    with ExitStack() as ended:
        if private:
            ended.callback(private.close)
        recall = plan_recall(needs, chosen, settings, store, options.force, private)
        return _gather(needs, settings.zoo, recall, options, private)


def _gather(
    needs: list[Need], zoo: str, recall: RecallPlan, options: MeasureOptions, private: PrivateRecords | None
) -> GatheredEvidence:
    plan = recall.evaluations
    measuring = _Measuring(recall, zoo, options, private)
    measuring.count()
    results = measuring.evaluate()
    return GatheredEvidence(
        {need: _with_results(found, plan, need, results) for need, found in measuring.evidence.items()},
        recall.digests,
        {need: recipe for need in needs if (recipe := recipe_of(zoo, need.in_zoo))},
        plan.reasons,
        sum(measuring.evidence[need].counts is not None for need in recall.missing),
        frozenset(need for need, record in recall.valid.items() if not record.error),
        sum(len(found) for found in results.values()),
        tuple(recall.recalled.tampered),
        {need: curve for need in needs if (curve := curve_of(zoo, need.in_zoo))},
    )


class _Measuring:
    """The measurements of one run; each result is stored at once."""

    def __init__(
        self, recall: RecallPlan, zoo: str, options: MeasureOptions, private: PrivateRecords | None = None
    ) -> None:
        self.recall = recall
        self.private = private
        self.zoo = zoo
        self.options = options
        self.evidence: dict[Need, Evidence] = dict(recall.valid)
        self.evidence |= {need: failed_evidence(need, zoo, why) for need, why in recall.impossible.items()}

    def count(self) -> None:
        """Measure the missing counts. Raises ZooError if the zoo cannot be loaded and nothing is on record."""
        missing = self.recall.missing
        if not missing:
            return
        keys = {need: self.recall.wanted[need].key for need in missing}
        try:
            for done, (need, found) in enumerate(measure(missing, self.zoo, keys, self.options), 1):
                if found.error:
                    found = replace(found, error=found.error + record_note(need, self.recall.recalled))
                found = replace(found, environment=recorded_environment(found.environment))
                old = self.recall.recalled.stored.get(need)
                old = replace(old, outdated=found.outdated) if old else None
                self.evidence[need] = _unless_equal(with_inputs(found, self.recall.wanted[need].inputs), old)
                self._store(need, {})
                if self.options.progress:
                    self.options.progress(done, len(missing), need.model)
        except ZooError as error:
            if self.private or not self.recall.recalled.stored:
                raise
            for need in missing.keys() - self.evidence.keys():
                why = str(error) + record_note(need, self.recall.recalled, "the zoo")
                self.evidence[need] = failed_evidence(need, self.zoo, why)

    def evaluate(self) -> dict[Need, list[Evaluated]]:
        """Run the evaluations of the plan; failures are added to its reasons."""
        plan = self.recall.evaluations
        results: dict[Need, list[Evaluated]] = {}
        if not plan.jobs:
            return results
        for job, result in evaluate(plan.jobs, self.zoo, self.options):
            if isinstance(result, str):
                plan.reasons[job.need, job.dataset] = f"evaluating failed: {result}"
                continue
            result = replace(result, environment=recorded_environment(result.environment))
            old = next((old for old in plan.outdated[job.need] if old.dataset == job.dataset), None)
            results.setdefault(job.need, []).append(_unless_equal(result, old))
            replaced = [old for old in plan.outdated[job.need] if old.dataset != job.dataset]
            plan.outdated[job.need] = tuple(replaced)
            if job.need in self.evidence:
                self._store(job.need, results)
        return results

    def _store(self, need: Need, results: dict[Need, list[Evaluated]]) -> None:
        found = _with_results(self.evidence[need], self.recall.evaluations, need, results)
        if self.options.keep:
            self.options.keep(found)
        if self.private:
            self.private.keep(need, found)


def _unless_equal(new: Measured, old: Measured | None) -> Measured:
    """Return the old measurement if the new one differs in its time only, so that nothing becomes stale."""
    if old is None:
        return new
    when = {"measured": old.environment.measured, "seconds": old.environment.seconds}
    return old if replace(new, environment=replace(new.environment, **when)) == old else new


def with_inputs(evidence: Evidence, inputs: Inputs) -> Record:
    """Return evidence with the names of its inputs."""
    return Record(**{part.name: getattr(evidence, part.name) for part in fields(Evidence)}, inputs=inputs)


def _with_results(evidence: Evidence, plan: Plan, need: Need, results: dict[Need, list[Evaluated]]) -> Evidence:
    """Return evidence with its valid results on data sets, in the order of the need."""
    found = plan.valid[need] + tuple(results.get(need, ()))
    in_order = sorted(found, key=lambda result: need.datasets.index(result.dataset))
    return replace(evidence, evaluations=tuple(in_order), outdated=plan.outdated[need])


def measure(
    needs: Iterable[Need], zoo: str, keys: Mapping[Need, str], options: MeasureOptions = DEFAULTS
) -> Iterator[tuple[Need, Evidence]]:
    """Measure each need in a worker and yield its evidence when it is finished, in any order.

    A network that cannot be built or run, or takes too long, gives evidence with an error. If a worker dies, the model
    that it was measuring is measured again while nothing else runs, since another may have taken the memory. Raises
    ZooError if the zoo cannot be loaded, and EngineError if the engine cannot be used.
    """
    from concurrent.futures import as_completed  # not for a build that measures nothing

    waiting = list(needs)
    chosen = create_engine(options.engine, options.jobs)
    done: set[Need] = set()
    with chosen.open(zoo, len(waiting)) as submit:
        futures = {submit(measure_in_worker, need, zoo, keys[need]): need for need in waiting}
        for future in as_completed(futures):
            try:
                found: Evidence = future.result()
            except chosen.worker_died:
                continue
            except TimeoutError as limit:
                found = failed_evidence(futures[future], zoo, error_text(limit), keys[futures[future]])
            done.add(futures[future])
            yield futures[future], found
    for need in waiting:
        if need not in done:
            yield need, _measure_alone(need, zoo, keys[need], chosen)


def _measure_alone(need: Need, zoo: str, key: str, engine: Engine) -> Evidence:
    """Measure a model while nothing else runs: if the worker dies now, this model is the cause."""
    try:
        with engine.open(zoo, 1) as submit:
            found: Evidence = submit(measure_in_worker, need, zoo, key).result()
            return found
    except TimeoutError as limit:
        return failed_evidence(need, zoo, error_text(limit), key)
    except engine.worker_died:
        error = "the worker process died while it measured this model (out of memory, or a crash in native code)"
        return failed_evidence(need, zoo, error, key)


def evaluate(jobs: Iterable[Job], zoo: str, options: MeasureOptions) -> Iterator[tuple[Job, Evaluated | str]]:
    """Evaluate models and yield each result or error; raises as :func:`measure` does.

    The local engine evaluates one model at a time, with all cores, and calls ``options.progress`` with the number of
    images; a cluster calls it with the number of models.
    """
    yield from create_engine(options.engine, options.jobs).evaluate(list(jobs), zoo, options.progress)


def create_engine(name: str, jobs: int | None) -> Engine:
    """Return an engine; ``jobs`` is the number of processes of the local one. Raises EngineError."""
    if name == LOCAL:
        from cardproof.measure.engines.local import LocalEngine

        return LocalEngine(jobs)
    check_engine(name)
    try:
        from cardproof.measure.engines.cluster import ClusterEngine
    except ImportError as missing:
        raise EngineError(f"engine '{name}' needs Dask ({missing}): pip install 'cardproof[cluster]'") from missing
    return ClusterEngine(name)

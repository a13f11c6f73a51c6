"""Recall: which of a run's models are on record, and which have to be measured and why."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field

from cardproof.evidence.private import PrivateRecords, recall_for_audit
from cardproof.evidence.records import Dependencies, Recalled, Record, dependencies, recall
from cardproof.plan.evaluations import Plan, plan_evaluations
from cardproof.zoos import ZooError
from cardproof.zoos.digests import FAILED, network_digests

if TYPE_CHECKING:
    from cardproof.core.settings import Settings
    from cardproof.core.types import Need
    from cardproof.plan.options import Force

EXTRAS = ("timm", "transformers")
"""Zoos whose package is an extra of cardproof's own."""

NEW, FORCED = "new", "forced"
"""Why something is measured; the third reason is ``stale: `` with the changed inputs."""


class RecallPlan(Struct):
    """The records of a run's models, and the measurements to make."""

    digests: dict[str, str]
    """Digest of each model's network, by the model's name; empty if the zoo is missing."""
    wanted: dict[Need, Dependencies]
    recalled: Recalled
    valid: dict[Need, Record]
    """Records that are used unchanged."""
    missing: dict[Need, str]
    """Models whose counts have to be measured, with the reason."""
    evaluations: Plan
    zoo_error: str = ""
    """Why the zoo is missing; then nothing can be measured, and no record can be validated."""
    impossible: dict[Need, str] = field(default_factory=dict)
    """Models that cannot be measured because the zoo is missing, with their reason and record."""


def plan_recall(
    unique: Iterable[Need],
    chosen: set[Need],
    settings: Settings,
    store: Path | None,
    force: Force,
    private: PrivateRecords | None = None,
) -> RecallPlan:
    """Return the records of the models, and the measurements to make for the chosen ones.

    ``private`` are the records of audits, which are used beside those of ``store``. Raises ZooError if the zoo is
    missing and nothing is on record either, or only such records are; NewerError for a record of a newer cardproof.
    """
    assert settings.zoo is not None
    unique = tuple(unique)
    zoo_error: Exception | None = None
    try:
        digests = digests_of(unique, settings.zoo)
    except (ZooError, ModuleNotFoundError) as trouble:
        digests, zoo_error = dict.fromkeys((need.model for need in unique), ""), trouble
    wanted = {need: dependencies(need, settings.zoo, digests[need.model]) for need in unique}
    if private:
        recalled = recall_for_audit(unique, wanted, store, private)
    else:
        recalled = recall(unique, wanted, store) if store else Recalled()
    if zoo_error and (private or not recalled.stored):
        raise _missing_zoo(settings.zoo, zoo_error) from zoo_error
    if zoo_error:
        return _without_zoo(unique, settings.zoo, zoo_error, RecallPlan(digests, wanted, recalled, {}, {}, Plan()))
    failed = {need: digests[need.model] for need in unique if digests[need.model].startswith(FAILED)}
    known = tuple(need for need in unique if need not in failed)
    valid = {
        need: record
        for need, record in recalled.valid.items()
        if need not in failed and (need not in chosen or not force.counts(need.model))
    }
    missing = {need: _why(need, recalled) for need in known if need in chosen and need not in valid}
    evaluations = plan_evaluations(known, recalled.stored, digests, settings, chosen, force)
    plan = RecallPlan(digests, wanted, recalled, valid, missing, evaluations)
    for need, why in failed.items():
        _without(need, why, plan, "")
    return plan


def digests_of(needs: Iterable[Need], zoo: str) -> dict[str, str]:
    """Return the digest of each model's network, by the model's name; raises like :func:`network_digests`."""
    names = {need.model: need.in_zoo for need in needs}
    digests = network_digests(zoo, set(names.values()))
    return {name: digests[network] for name, network in names.items()}


def record_note(need: Need, recalled: Recalled, changed: str = "") -> str:
    """Describe the invalid record of a model that cannot be measured now; empty if it has none."""
    record = recalled.stored.get(need)
    changed = changed or recalled.stale.get(need, "")
    if not record or not changed:
        return ""
    return f"; evidence of {record.environment.measured[:10]} is on record, but since then {changed} changed"


def _why(need: Need, recalled: Recalled) -> str:
    if need in recalled.valid:
        return FORCED
    return f"stale: {recalled.stale[need]} changed" if need in recalled.stale else NEW


def _without_zoo(unique: tuple[Need, ...], zoo: str, trouble: Exception, plan: RecallPlan) -> RecallPlan:
    """Return the plan if the zoo is missing: no record can be compared with it."""
    plan.zoo_error = str(_missing_zoo(zoo, trouble))
    for need in unique:
        record = plan.recalled.stored.get(need)
        _without(need, plan.zoo_error, plan, f", made with {record.environment.zoo}" if record else "")
    return plan


def _without(need: Need, why: str, plan: RecallPlan, made: str) -> None:
    """Plan a model of which nothing can be compared or measured; its results are kept."""
    record = plan.recalled.stored.get(need)
    results = (*record.evaluations, *record.outdated) if record else ()
    plan.evaluations.valid[need], plan.evaluations.outdated[need] = (), results
    plan.evaluations.reasons |= {(need, name): f"not evaluated: {why}" for name in need.datasets}
    on_record = f"; evidence of {record.environment.measured[:10]} is on record{made}" if record else ""
    plan.impossible[need] = why + on_record


def _missing_zoo(zoo: str, trouble: Exception) -> ZooError:
    if isinstance(trouble, ZooError):
        return trouble
    package = trouble.args[0]
    wanted = f"'cardproof[{zoo}]'" if zoo in EXTRAS else package
    return ZooError(f"zoo '{zoo}' needs the package {package}, which is not installed here: pip install {wanted}")

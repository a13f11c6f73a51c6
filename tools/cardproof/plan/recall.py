"""Recall: which of a run's models are on record, and which have to be measured and why. Imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, field

from cardproof.evidence.records import Depends, Recalled, Record, depends_on, recall
from cardproof.plan.evaluations import Plan, plan_evaluations
from cardproof.zoos import ZooError, network_digests

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cardproof.core.settings import Settings
    from cardproof.core.types import Need
    from cardproof.plan.options import Force

NEW, FORCED = "new", "forced"
"""Why something is measured; the third reason is ``stale: `` with what changed."""


class RecallPlan(Struct):
    """What is known before anything is measured."""

    digests: dict[str, str]
    """Of the network of each model, by its name; empty if the zoo is not here."""
    wanted: dict[Need, Depends]
    recalled: Recalled
    valid: dict[Need, Record]
    """Records that are used as they are."""
    missing: dict[Need, str]
    """Models whose counts are to be measured, with the reason."""
    evaluations: Plan
    absent: str = ""
    """Why the zoo is not here; nothing can then be measured, and nothing that is on record be relied on."""
    lost: dict[Need, str] = field(default_factory=dict)
    """Models that cannot be measured for want of the zoo, with what is on record of them."""


def plan_recall(
    unique: Iterable[Need], chosen: set[Need], settings: Settings, store: Path | None, force: Force
) -> RecallPlan:
    """Return what is on record of the models, and what has to be measured of the chosen ones.

    Raises ZooError if the zoo is not here and nothing is on record either, and NewerError for a record that a newer
    cardproof wrote.
    """
    assert settings.zoo is not None
    unique = tuple(unique)
    absent: Exception | None = None
    try:
        digests = digests_of(unique, settings.zoo)
    except (ZooError, ModuleNotFoundError) as trouble:
        digests, absent = dict.fromkeys((need.model for need in unique), ""), trouble
    wanted = {need: depends_on(need, settings.zoo, digests[need.model]) for need in unique}
    recalled = recall(unique, wanted, store) if store else Recalled()
    if absent and not recalled.stored:
        raise _not_here(settings.zoo, absent) from absent
    if absent:
        return _without_zoo(unique, settings.zoo, absent, RecallPlan(digests, wanted, recalled, {}, {}, Plan()))
    valid = {
        need: record for need, record in recalled.valid.items() if need not in chosen or not force.counts(need.model)
    }
    missing = {need: _why(need, recalled) for need in unique if need in chosen and need not in valid}
    evaluations = plan_evaluations(unique, recalled.stored, digests, settings, chosen, force)
    return RecallPlan(digests, wanted, recalled, valid, missing, evaluations)


def digests_of(needs: Iterable[Need], zoo: str) -> dict[str, str]:
    """Return the digest of each model's network, by the model's name; raises as :func:`network_digests` does."""
    names = {need.model: need.in_zoo for need in needs}
    of_networks = network_digests(zoo, set(names.values()))
    return {name: of_networks[network] for name, network in names.items()}


def on_record(need: Need, recalled: Recalled, changed: str = "") -> str:
    """Say what is on record of a model that cannot be measured now, and why it says nothing; empty for nothing."""
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
    """Return the plan if the zoo is not here: no record can be compared with it."""
    plan.absent = str(_not_here(zoo, trouble))
    for need in unique:
        record = plan.recalled.stored.get(need)
        results = (*record.evaluations, *record.outdated) if record else ()
        plan.evaluations.valid[need], plan.evaluations.outdated[need] = (), results
        plan.evaluations.reasons |= {(need, name): f"not evaluated: {plan.absent}" for name in need.datasets}
        made = f"; evidence of {record.environment.measured[:10]} is on record, made with" if record else ""
        plan.lost[need] = plan.absent + (f"{made} {record.environment.zoo}" if record else "")
    return plan


def _not_here(zoo: str, trouble: Exception) -> ZooError:
    if isinstance(trouble, ZooError):
        return trouble
    return ZooError(f"zoo '{zoo}' needs the package {trouble.args[0]}, which is not installed here")

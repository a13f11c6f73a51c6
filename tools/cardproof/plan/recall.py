"""What a run's models need: which measurements, which of these are on record, and which have to be made and why."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from cardproof.core.errors import boundary
from cardproof.core.field_names import ACCURACIES, canonical_dataset
from cardproof.core.json import NewerError, TamperedError
from cardproof.core.paths import existing_text
from cardproof.core.types import Claim, Finding, Need, Number, Question
from cardproof.evidence.records import (
    Dependencies,
    PrivateRecords,
    Record,
    changed_inputs,
    dependencies,
    file_name,
    is_record,
    load_record,
    source_state,
    usable_record,
)
from cardproof.plan.local_files import model_names, model_of_weights
from cardproof.plan.needed_evaluations import Plan, plan_evaluations
from cardproof.read.models import image_size, weights_file
from cardproof.zoos import ZooError
from cardproof.zoos.source_digests import FAILED, network_digests

if TYPE_CHECKING:
    from cardproof.core.settings import Settings
    from cardproof.plan.options import Force
    from cardproof.read import Reading
    from cardproof.read.models import Model
    from cardproof.zoos.name_tables import NameTable

EXTRAS = ("timm", "transformers")
"""Zoos whose package is an extra of cardproof's own."""

MOST_SIDE = 4096
"""Largest side of an image that a network is tried with."""


def plan(
    reading: Reading, names: NameTable | None = None, report: Callable[[Finding], object] = lambda _: None
) -> dict[tuple[str, str], Need]:
    """Return the need of each model, by the file of its card and its name; ``names`` maps them to the zoo's names.

    ``report`` gets the findings about models whose needs cannot be found out; only their counts are measured.
    """
    needs = {}
    for card in reading.cards:
        in_files = model_names(card.models)
        for model, claims in zip(card.models, card.claims_of, strict=True):
            key = card.file, model.key
            needs[key] = Need(model.name, None, None, ())
            with boundary(report, model.place, "identity", f"in planning what {model.name} needs"):
                weights = None if model_of_weights(model, in_files) else weights_file(model)
                needs[key] = _need_of(model, claims, weights, names.network(model.name) if names else "")
    return needs


def _need_of(model: Model, claims: tuple[Claim, ...], weights: str | None, network: str) -> Need:
    questions = dict.fromkeys(question for claim in claims if (question := _question(claim)))
    stated = (claim.dataset for claim in claims if claim.metric and claim.dataset and claim.kind in ACCURACIES)
    datasets = dict.fromkeys(name for dataset in stated if (name := canonical_dataset(dataset)))
    return Need(model.name, weights, image_size(claims), tuple(questions), tuple(datasets), network)


def _question(claim: Claim) -> Question | None:
    if claim.metric:
        return None
    if claim.kind == "min size" and claim.size and claim.size[0] == claim.size[1] <= MOST_SIDE:
        return Question("min size", Number(Decimal(claim.size[0]), Decimal(1)))
    if claim.number is None or claim.number.value <= 0:
        return None
    if claim.kind == "flops":
        return Question("flops", claim.number)
    return Question("parameters", claim.number) if claim.kind == "parameters" else None


class Recalled(Struct, frozen=True):
    """The stored records of a run's models."""

    valid: dict[Need, Record] = field(default_factory=dict)
    """Records with valid counts."""
    stored: dict[Need, Record] = field(default_factory=dict)
    """All records, with all results on data sets as outdated ones: results have further inputs."""
    stale: dict[Need, str] = field(default_factory=dict)
    """Changed inputs of the records that are not valid."""
    tampered: list[Path] = field(default_factory=list)
    """Files that were edited by hand."""


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
    impossible: dict[Need, str] = field(default_factory=dict)
    """Models that cannot be measured, with the reason and their record: the zoo is missing, or its digest failed."""


def plan_recall(
    unique: Collection[Need],
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
    zoo_error: ZooError | None = None
    try:
        digests = digests_of(unique, settings.zoo)
    except (ZooError, ModuleNotFoundError) as trouble:
        digests, zoo_error = dict.fromkeys((need.model for need in unique), ""), _missing_zoo(settings.zoo, trouble)
    wanted = {need: dependencies(need, settings.zoo, digests[need.model]) for need in unique}
    recalled = recall(unique, wanted, store, private)
    if zoo_error and (private or not recalled.stored):
        raise zoo_error
    if zoo_error:  # no record can be compared with it
        failed, evaluations = dict.fromkeys(unique, str(zoo_error)), Plan()
    else:
        failed = {need: digests[need.model] for need in unique if digests[need.model].startswith(FAILED)}
        known = [need for need in unique if need not in failed]
        evaluations = plan_evaluations(known, recalled.stored, digests, settings, chosen, force)
    valid = {
        need: record
        for need, record in recalled.valid.items()
        if need not in failed and (need not in chosen or not force.counts(need.model))
    }
    missing = {
        need: _reason_to_measure(need, recalled)
        for need in unique
        if need in chosen and need not in valid and need not in failed
    }
    found = RecallPlan(digests, wanted, recalled, valid, missing, evaluations)
    for need, why in failed.items():
        record = recalled.stored.get(need)
        evaluations.valid[need], evaluations.outdated[need] = (), record.outdated if record else ()
        evaluations.reasons |= {(need, name): f"not evaluated: {why}" for name in need.datasets}
        made = f", made with {record.environment.zoo}" if record and zoo_error else ""
        on_record = f"; evidence of {record.environment.measured[:10]} is on record{made}" if record else ""
        found.impossible[need] = why + on_record
    return found


def recall(
    needs: Iterable[Need], wanted: Mapping[Need, Dependencies], store: Path | None, private: PrivateRecords | None
) -> Recalled:
    """Read the records of a site, and in an audit those of the user's cache.

    Raises NewerError for a record of the site that a newer cardproof wrote; an audit leaves it out.
    """
    found = Recalled()
    state = cache(source_state)  # models of one zoo share most of its sources
    for need in needs:
        records = list(_site_records(need, store, private is not None, found.tampered)) if store else []
        records += private.of(need) if private else ()
        if not records:
            continue
        results = (result for record in records for result in (*record.evaluations, *record.outdated))
        found.stored[need] = replace(records[0], evaluations=(), outdated=tuple(dict.fromkeys(results)))
        valid = (
            usable_record(record, need, wanted[need], state, any_numbers=private is not None) for record in records
        )
        if record := next(filter(None, valid), None):
            found.valid[need] = record
        else:
            found.stale[need] = changed_inputs(records[0], wanted[need], state)
    return found


def _site_records(need: Need, folder: Path, in_audit: bool, tampered: list[Path]) -> Iterator[Record]:
    path = folder / file_name(need.model)
    try:
        record = load_record(path)
    except FileNotFoundError:
        return
    except NewerError:
        if not in_audit:
            raise
    except TamperedError:
        if not in_audit and is_record(existing_text(path) or ""):
            tampered.append(path)  # anything else is not ours, and the build says that it is in the way
    else:
        if record.model == need.model:  # not if the file system ignores case, or two names have one digest
            yield record


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


def _reason_to_measure(need: Need, recalled: Recalled) -> str:
    if need in recalled.valid:
        return "forced"
    return f"stale: {recalled.stale[need]} changed" if need in recalled.stale else "new"


def _missing_zoo(zoo: str, trouble: Exception) -> ZooError:
    if isinstance(trouble, ZooError):
        return trouble
    package = trouble.args[0]
    wanted = f"'cardproof[{zoo}]'" if zoo in EXTRAS else package
    return ZooError(f"zoo '{zoo}' needs the package {package}, which is not installed here: pip install {wanted}")

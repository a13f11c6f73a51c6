"""Evidence records on a page, each once for all its claims, with the command to measure again."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from cardproof.core.names import canonical_dataset
from cardproof.judge.checks import check_of
from cardproof.plan.evaluations import PACKAGED
from cardproof.render.catalog.model_summary import DATASET_TITLES
from cardproof.render.output.text import slug

if TYPE_CHECKING:
    from cardproof.core.measurements import Environment, Evaluated, Evidence, Recipe
    from cardproof.core.types import Claim, Need

COUNTED = "counted"
RECIPE = "recipe"


class RecordView(Struct, frozen=True):
    """One evidence record in words."""

    anchor: str
    title: str
    facts: tuple[tuple[str, str], ...]
    """Inputs, versions and time, by name."""
    command: str
    """The command that measures it again, in the folder of ``mkdocs.yml``."""


class Sources(Struct, frozen=True):
    """The inputs of the records of one model."""

    template: str
    """The card, relative to the folder of ``mkdocs.yml``."""
    need: Need
    evidence: Evidence | None
    recipe: Recipe | None


def record_kind(claim: Claim) -> str:
    """Return the kind of record that a claim's verdict is based on; empty if no check measures its field."""
    check = check_of(claim)
    if check is None:
        return ""
    if check.results:
        return f"results {canonical_dataset(claim.dataset or '') or claim.dataset}"
    return RECIPE if check.name == "recipe" else COUNTED


def claim_records(claims: Iterable[Claim], sources: Sources) -> dict[str, RecordView]:
    """Return the records for the claims of a model, by kind; those of several models may be equal."""
    found = {}
    for kind in dict.fromkeys(map(record_kind, claims)):
        record = _record(kind, sources)
        if record:
            found[kind] = record
    return found


def _record(kind: str, sources: Sources) -> RecordView | None:
    evidence = sources.evidence
    if kind == COUNTED and evidence and evidence.built:
        return _counts_record(evidence, sources)
    if kind == RECIPE and sources.recipe:
        return _recipe_record(sources.recipe, sources)
    if kind.startswith("results ") and evidence:
        dataset = kind.partition(" ")[2]
        result = next((result for result in evidence.evaluations if result.dataset == dataset), None)
        return _result_record(result, sources) if result else _cited_record(dataset, sources)
    return None


def _counts_record(evidence: Evidence, sources: Sources) -> RecordView:
    inputs = getattr(evidence, "inputs", ())
    return RecordView(
        f"evidence-{slug(evidence.model)}",
        f"{evidence.model}: built, counted and compared with its zoo",
        (("Inputs", _joined(inputs)), *_environment_facts(evidence.environment)),
        audit_command(sources),
    )


def _recipe_record(recipe: Recipe, sources: Sources) -> RecordView:
    facts = [("Recipe", recipe.name), ("From", recipe.source)]
    if recipe.log:
        facts.append(("Log of the training", recipe.log))
    return RecordView(
        f"evidence-recipe-{slug(recipe.name)}",
        f"Recipe {recipe.name}",
        tuple((name, text) for name, text in facts if text),
        audit_command(sources),
    )


def _result_record(result: Evaluated, sources: Sources) -> RecordView:
    model = sources.need.model
    inputs = (
        *result.inputs,
        ("images", f"{result.images:,} ({result.split})"),
        ("digest of the images", result.data_digest),
    )
    return RecordView(
        f"evidence-{slug(model)}-on-{slug(result.dataset)}",
        f"{model}: evaluated on {dataset_name(result.dataset)}",
        (("Inputs", _joined(inputs)), *_environment_facts(result.environment)),
        audit_command(sources, result.dataset),
    )


def _cited_record(dataset: str, sources: Sources) -> RecordView:
    known = dataset if canonical_dataset(dataset) else None
    return RecordView(
        f"evidence-cited-{slug(dataset)}" + ("-with-weights" if sources.need.weights else ""),
        f"Published results on {dataset_name(dataset)}",
        (("Inputs", "values of named sources; each claim names its own. Not measured here."),),
        audit_command(sources, known),
    )


def audit_command(sources: Sources, dataset: str | None = None) -> str:
    """Return the command line that measures a model of a card again, with upper-case words for the reader's paths."""
    words = ["cardproof", "audit", sources.template]
    if sources.evidence:
        words += ["--zoo", sources.evidence.zoo, "--force", sources.need.model]
    if dataset and dataset not in PACKAGED:
        words += ["--data", f"{dataset}=IMAGES"]
    if dataset and sources.need.weights:
        words += ["--weights", "WEIGHTS"]
    return shlex.join(words)


def dataset_name(name: str) -> str:
    """Return the name of a data set for readers."""
    return DATASET_TITLES.get(name, name)


def unique_records(records: Iterable[RecordView]) -> tuple[RecordView, ...]:
    """Return each record once, in order."""
    return tuple({record.anchor: record for record in records}.values())


def _environment_facts(environment: Environment) -> Sequence[tuple[str, str]]:
    env = environment
    return (
        ("Versions", f"{env.zoo}, torch {env.torch}, Python {env.python}"),
        ("Ran", f"{env.measured}, {env.seconds:.2f} s, device {env.device}, {env.processor}"),
    )


def _joined(pairs: Iterable[tuple[str, str]]) -> str:
    return "; ".join(f"{name} {value}" for name, value in pairs if value)

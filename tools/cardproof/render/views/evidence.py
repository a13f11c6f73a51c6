"""Evidence records on a page, each once for all its claims, with the command to measure again."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import TYPE_CHECKING

from msgspec import Struct

from cardproof.core.field_names import canonical_dataset
from cardproof.judge.checks import check_of
from cardproof.plan.needed_evaluations import PACKAGED
from cardproof.render.catalog.model_summary import DATASET_TITLES
from cardproof.render.output.text import slug

if TYPE_CHECKING:
    from cardproof.core.measurements import Environment, Evidence, Recipe
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
    found = {kind: _record(kind, sources) for kind in dict.fromkeys(map(record_kind, claims))}
    return {kind: record for kind, record in found.items() if record}


def _record(kind: str, sources: Sources) -> RecordView | None:
    evidence, model = sources.evidence, sources.need.model
    if kind == COUNTED and evidence and evidence.built:
        title = f"{evidence.model}: built, counted and compared with its zoo"
        facts = _facts(getattr(evidence, "inputs", ()), evidence.environment)
        return RecordView(f"evidence-{slug(evidence.model)}", title, facts, audit_command(sources))
    if kind == RECIPE and (recipe := sources.recipe):
        named = (("Recipe", recipe.name), ("From", recipe.source), ("Log of the training", recipe.log))
        facts = tuple((name, text) for name, text in named if text)
        return RecordView(
            f"evidence-recipe-{slug(recipe.name)}", f"Recipe {recipe.name}", facts, audit_command(sources)
        )
    if not kind.startswith("results ") or not evidence:
        return None
    dataset = kind.partition(" ")[2]
    for result in evidence.evaluations:
        if result.dataset == dataset:
            images = (("images", f"{result.images:,} ({result.split})"), ("digest of the images", result.data_digest))
            return RecordView(
                f"evidence-{slug(model)}-on-{slug(dataset)}",
                f"{model}: evaluated on {dataset_name(dataset)}",
                _facts((*result.inputs, *images), result.environment),
                audit_command(sources, dataset),
            )
    return RecordView(
        f"evidence-cited-{slug(dataset)}" + ("-with-weights" if sources.need.weights else ""),
        f"Published results on {dataset_name(dataset)}",
        (("Inputs", "values of named sources; each claim names its own. Not measured here."),),
        audit_command(sources, dataset if canonical_dataset(dataset) else None),
    )


def _facts(inputs: Iterable[tuple[str, str]], env: Environment) -> tuple[tuple[str, str], ...]:
    return (
        ("Inputs", "; ".join(f"{name} {value}" for name, value in inputs if value)),
        ("Versions", f"{env.zoo}, torch {env.torch}, Python {env.python}"),
        ("Ran", f"{env.measured}, {env.seconds:.2f} s, device {env.device}, {env.processor}"),
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

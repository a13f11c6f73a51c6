"""Needs: which models must be measured, at which size, and which stated counts may need an explanation."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING

from cardproof.core.errors import boundary
from cardproof.core.names import ACCURACIES, canonical_dataset
from cardproof.core.types import Claim, Finding, Need, Number, Question
from cardproof.plan.local_files import model_names, model_of_weights
from cardproof.read.claims import image_size, weights_file

MOST_SIDE = 4096
"""Largest side of an image that a network is tried with."""

if TYPE_CHECKING:
    from cardproof.read import Reading
    from cardproof.read.models import Model
    from cardproof.zoos.aliases import Names


def plan(
    reading: Reading, names: Names | None = None, report: Callable[[Finding], object] = lambda _: None
) -> dict[tuple[str, str], Need]:
    """Return the need of each model, by the file of its card and its name; ``names`` maps them to the zoo's names.

    ``report`` gets the findings about models whose needs cannot be told; nothing of them is measured but their counts.
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

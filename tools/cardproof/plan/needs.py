"""Needs: which models must be measured, at which size, and which stated counts may need an explanation."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from cardproof.core.names import ACCURACIES, canonical_dataset
from cardproof.core.types import Claim, Need, Number, Question
from cardproof.read.claims import image_size, weights_file

MOST_SIDE = 4096
"""Largest side of an image that a network is tried with."""

if TYPE_CHECKING:
    from cardproof.read import Reading
    from cardproof.read.model_index import Model
    from cardproof.zoos.aliases import Names


def plan(reading: Reading, names: Names | None = None) -> dict[tuple[str, str], Need]:
    """Return the need of each model, by the file of its card and its name; ``names`` maps them to the zoo's names."""
    return {
        (card.file, model.key): need_of(model, claims, names.network(model.name) if names else "")
        for card in reading.cards
        for model, claims in zip(card.models, card.claims_of, strict=True)
    }


def need_of(model: Model, claims: tuple[Claim, ...], network: str = "") -> Need:
    """Return the measurements that the claims of one model need."""
    questions = dict.fromkeys(question for claim in claims if (question := _question(claim)))
    stated = (claim.dataset for claim in claims if claim.metric and claim.dataset and claim.kind in ACCURACIES)
    datasets = dict.fromkeys(name for dataset in stated if (name := canonical_dataset(dataset)))
    return Need(model.name, weights_file(model), image_size(claims), tuple(questions), tuple(datasets), network)


def _question(claim: Claim) -> Question | None:
    """Return the question about a stated count or a smallest square image."""
    if claim.metric:
        return None
    if claim.kind == "min size" and claim.size and claim.size[0] == claim.size[1] <= MOST_SIDE:
        return Question("min size", Number(Decimal(claim.size[0]), Decimal(1)))
    if claim.number is None or claim.number.value <= 0:
        return None
    if claim.kind == "flops":
        return Question("flops", claim.number)
    return Question("parameters", claim.number) if claim.kind == "parameters" else None

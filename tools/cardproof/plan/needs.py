"""Plan: which models must be measured, at which size, and which stated counts will want an explanation."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from cardproof.core.names import ACCURACIES, canonical
from cardproof.core.types import Claim, Need, Number, Question
from cardproof.read.claims import image_size, weights_file

MOST_SIDE = 4096
"""Of an image that a network is fed only to see whether it takes it."""

if TYPE_CHECKING:
    from cardproof.read import Reading
    from cardproof.read.model_index import Model
    from cardproof.zoos.aliases import Names


def plan(reading: Reading, names: Names | None = None) -> dict[tuple[str, str], Need]:
    """Return the need of each model, by the file of its card and its name; ``names`` says what the zoo calls them."""
    return {
        (card.file, model.name): need_of(model, claims, names.network(model.name) if names else "")
        for card in reading.cards
        for model, claims in zip(card.models, card.claims_of, strict=True)
    }


def need_of(model: Model, claims: tuple[Claim, ...], network: str = "") -> Need:
    """Return what must be known to judge the claims of one model."""
    questions: dict[Question, None] = {}
    for claim in claims:
        if question := _question(claim):
            questions.setdefault(question)
    return Need(model.name, weights_file(model), image_size(claims), tuple(questions), datasets_of(claims), network)


def datasets_of(claims: tuple[Claim, ...]) -> tuple[str, ...]:
    """Return the data sets, by their own names, on which accuracies are stated."""
    found: dict[str, None] = {}
    for claim in claims:
        if claim.metric and claim.dataset and claim.kind in ACCURACIES:
            name = canonical(claim.dataset)
            if name:
                found[name] = None
    return tuple(found)


def _question(claim: Claim) -> Question | None:
    """Return what is asked of a network about a stated count, or about the smallest square image that it takes."""
    if claim.metric:
        return None
    if claim.kind == "min size" and claim.size and claim.size[0] == claim.size[1] <= MOST_SIDE:
        return Question("min size", Number(Decimal(claim.size[0]), Decimal(1)))
    if claim.number is None or claim.number.value <= 0:
        return None
    if claim.kind == "flops":
        return Question("flops", claim.number)
    return Question("parameters", claim.number) if claim.kind == "parameters" else None

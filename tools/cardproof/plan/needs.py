"""Plan: which models must be measured, at which size, and which stated counts will want an explanation."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from cardproof.core.datasets import canonical
from cardproof.core.field_names import FLOPS, MIN_SIZE, PARAMETERS, TOP_1, TOP_5, normal_field
from cardproof.core.types import Claim, Need, Number, Question
from cardproof.read.claims import image_size, parse_size, stated_count, weights_file

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
    return Need(model.name, weights_file(model), image_size(model), tuple(questions), datasets_of(claims), network)


def datasets_of(claims: tuple[Claim, ...]) -> tuple[str, ...]:
    """Return the data sets, by their own names, on which accuracies are stated."""
    found: dict[str, None] = {}
    for claim in claims:
        if claim.metric and claim.dataset and normal_field(claim.field) in TOP_1 | TOP_5:
            name = canonical(claim.dataset)
            if name:
                found[name] = None
    return tuple(found)


def _smallest(claim: Claim) -> Question | None:
    """Return the question whether a network takes a square image of a stated side."""
    size = parse_size(claim.stated)
    if claim.metric or size is None or size[0] != size[1] or size[0] > MOST_SIDE:
        return None
    return Question("min size", Number(Decimal(size[0]), Decimal(1)))


def _question(claim: Claim) -> Question | None:
    name = normal_field(claim.field)
    if name in MIN_SIZE:
        return _smallest(claim)
    number = stated_count(claim)
    if claim.metric or number is None or number.value <= 0:
        return None
    if name in FLOPS:
        return Question("flops", number)
    return Question("parameters", number) if name in PARAMETERS else None

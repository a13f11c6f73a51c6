"""Plan: which models must be measured, at which size, and which stated counts will want an explanation."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

from cardproof.evaluations import canonical
from cardproof.fields import FLOPS, IMAGE_SIZE, MIN_SIZE, PARAMETERS, TOP_1, TOP_5, normal_field, scale_of
from cardproof.numbers import parse_number
from cardproof.read.nodes import Scalar, Sequence
from cardproof.words import Claim, Need, Number, Question

MOST_SIDE = 4096
"""Of an image that a network is fed only to see whether it takes it."""

if TYPE_CHECKING:
    from cardproof.names import Names
    from cardproof.read import Reading
    from cardproof.read.index import Model


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


def image_size(model: Model) -> tuple[int, int] | None:
    """Return height and width that the card states: ``224``, ``224x320`` or a list; None where it states none."""
    for key, node in model.metadata or ():
        if normal_field(key.text) in IMAGE_SIZE:
            items = node.items if isinstance(node, Sequence) else [node]
            text = "x".join(item.text for item in items if isinstance(item, Scalar))
            return parse_size(text)
    return None


def parse_size(text: str) -> tuple[int, int] | None:
    """Return height and width of ``224``, ``224x320``, ``(3, 224, 320)``; None where the text is no size."""
    numbers = [int(part) for part in re.findall(r"\d+", text)]
    if not re.fullmatch(r"[\s\d()\[\],x×*]+(px|pixels)?\s*", text) or not numbers or max(numbers) > 100_000:
        return None
    if len(numbers) == 1 and numbers[0]:
        return numbers[0], numbers[0]
    if len(numbers) in (2, 3) and all(numbers):
        return numbers[-2], numbers[-1]
    return None


def weights_file(model: Model) -> str | None:
    """Return the file name at the end of the card's link to its weights."""
    return file_of_link(model.text("Weights"))


def file_of_link(link: str | None) -> str | None:
    """Return the file name at the end of a link."""
    name = re.split(r"[?#]", link)[0].rpartition("/")[2] if link else ""
    return name or None


def stated_count(claim: Claim) -> Number | None:
    """Return the number of a claim about a count, with the scale that its field's name brings along."""
    return parse_number(claim.stated, "count", scale_of(claim.field))


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

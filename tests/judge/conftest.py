"""What the tests of judging share."""

from __future__ import annotations

from difflib import get_close_matches

import pytest
from msgspec.structs import replace

from cardproof.core.measurements import Counts, Environment, Evidence, Head, Preprocessing
from cardproof.core.settings import Settings
from cardproof.judge.verdicts import Verdicts, judge
from cardproof.measure.gather import GatheredEvidence
from cardproof.plan.recall import plan
from cardproof.read import read_cards

NOWHERE = Environment("2026-11-25T05:00:00Z", 1.0, "meta", "3.11", "2.14", "torchvision 0.29", "x86_64")


@pytest.fixture
def judge_card(write):
    """Return a function that judges a card with made-up measurements: parameters and multiply-adds by the model's name.

    A model without them is one that the zoo does not have. ``facts`` are further fields of the evidence, and
    ``doubts`` why a model may be another network, by the model's name.
    """

    def _judge(text: str, counts: dict[str, tuple[int, int]], name="README.md", doubts=None, **facts) -> Verdicts:
        reading = read_cards([write(name, text)])
        (card,) = reading.cards
        models = tuple(replace(model, doubt=(doubts or {}).get(model.name, "")) for model in card.models)
        reading.cards = [replace(card, models=models)]
        needs = plan(reading)
        evidence = {}
        for need in needs.values():
            error = None if need.model in counts else f"LookupError: timm has no model '{need.model}'"
            found = Evidence(need.model, "timm", need.model, "key", None, (), None, error, NOWHERE)
            if error:
                found = replace(found, near_names=tuple(get_close_matches(need.model, counts, 1)))
            else:
                parameters, multiply_adds = counts[need.model]
                head = Head(512, 1000, True)
                measured = Counts((3, 224, 224), (1, 1000), parameters, 0, multiply_adds, 0, 0, 1, head, {}, "net:Net")
                at_224 = Preprocessing((3, 224, 224))
                given = {"preprocessing": at_224} | {key: value.get(need.model, ()) for key, value in facts.items()}
                found = replace(found, counts=measured, **given)
            evidence[need] = found
        return judge(reading, needs, GatheredEvidence(evidence), Settings(zoo="timm"), ())

    return _judge

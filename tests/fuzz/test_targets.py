"""Some seconds of fuzzing: texts made from the seeds of each target, and all inputs that once raised."""

from __future__ import annotations

import os
from random import Random

import pytest
from fuzz.targets import TARGETS, crashers, mutant

EXAMPLES = {"address": 500, "card": 200, "fence": 150, "match": 500, "number": 2_000, "table": 300}
"""How many texts a target gets; others get :data:`OTHERS`. ``run.py`` looks for more, as long as it is told to."""
OTHERS = 200

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_a_target_raises_nothing(name):
    """CI draws the same texts each time. Hypothesis would draw no others, and take more time than the targets."""
    target = TARGETS[name]
    draw = Random(name if os.environ.get("CI") else None)
    for _ in range(EXAMPLES.get(name, OTHERS)):
        text = mutant(draw, target.seeds)
        try:
            target.run(text)
        except Exception as error:
            error.add_note(f"of the text {text!r}")
            raise


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param(name, text, id=f"{name}-{number}")
        for name, texts in crashers().items()
        for number, text in enumerate(texts)
    ],
)
def test_an_input_that_once_raised_does_not(name, text):
    TARGETS[name].run(text)

"""Some seconds of fuzzing: texts made from the seeds of each target, and all inputs that once raised."""

from __future__ import annotations

import os
import string
from pathlib import Path
from random import Random

import pytest
from fuzz.targets import TARGETS, TOKENS

CRASHERS = Path(__file__).parent / "crashers"
EXAMPLES = {"address": 500, "card": 200, "fence": 150, "match": 500, "number": 2_000, "table": 300}
"""How many texts a target gets; others get :data:`OTHERS`. ``run.py`` looks for more, as long as it is told to."""
OTHERS = 200

pytestmark = pytest.mark.slow


def mutant(draw: Random, seeds: tuple[str, ...]) -> str:
    """Draw a seed in which some pieces are removed, doubled, taken from another seed, or put in."""
    text = draw.choice(seeds)
    for _ in range(draw.randint(0, 5)):
        start = draw.randint(0, len(text))
        end = min(len(text), start + draw.choice((0, 0, 1, 3, 30, 300)))
        other = draw.choice(seeds)
        at = draw.randint(0, len(other))
        printable = "".join(draw.choices(string.printable, k=draw.randint(0, 6)))
        piece = draw.choice((draw.choice(TOKENS), printable, text[start:end] * 2, other[at : at + 40]))
        text = text[:start] + piece + text[end:]
    return text


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


@pytest.mark.parametrize("path", sorted(CRASHERS.glob("*/*")), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_an_input_that_once_raised_does_not(path):
    TARGETS[path.parent.name].run(path.read_bytes().decode("utf-8", "surrogateescape"))

"""Some seconds of fuzzing: texts made from the seeds of each target, and all inputs that once raised."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
from fuzz.targets import TARGETS, TOKENS
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

CRASHERS = Path(__file__).parent / "crashers"
EXAMPLES = {"address": 500, "card": 200, "fence": 150, "match": 500, "number": 2_000, "table": 300}
"""How many texts a target gets; others get :data:`OTHERS`. ``run.py`` looks for more, as long as it is told to."""
OTHERS = 200

pytestmark = pytest.mark.slow


@st.composite
def mutants(draw: st.DrawFn, seeds: tuple[str, ...]) -> str:
    """Draw a seed in which some pieces are removed, doubled, taken from another seed, or put in."""
    text = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 5))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.sampled_from((0, 0, 1, 3, 30, 300))))
        other = draw(st.sampled_from(seeds))
        at = draw(st.integers(0, len(other)))
        piece = draw(
            st.sampled_from(TOKENS)
            | st.text(string.printable, max_size=6)
            | st.just(text[start:end] * 2)
            | st.just(other[at : at + 40])
        )
        text = text[:start] + piece + text[end:]
    return text


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_a_target_raises_nothing(name):
    target = TARGETS[name]
    health = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example)

    quick = (Phase.explicit, Phase.generate)  # making a failing text short takes minutes

    @settings(max_examples=EXAMPLES.get(name, OTHERS), suppress_health_check=health, phases=quick, database=None)
    @given(mutants(target.seeds))
    def run(text: str) -> None:
        target.run(text)

    run()


@pytest.mark.parametrize("path", sorted(CRASHERS.glob("*/*")), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_an_input_that_once_raised_does_not(path):
    TARGETS[path.parent.name].run(path.read_bytes().decode("utf-8", "surrogateescape"))

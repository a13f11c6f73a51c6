"""A worker measures one model and says what went wrong."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from convnets import ROOT, convnet, question
from torch import nn

from cardproof.measure.record import measure_model


class Zoo:
    """Builds toys by width."""

    def build(self, name: str) -> nn.Module:
        if name == "memory":
            raise MemoryError
        if name == "stop":
            raise KeyboardInterrupt
        return convnet([int(name)])


def test_it_counts_and_explains() -> None:
    found = measure_model(Zoo(), "8", (3, 32, 32), question("flops", 69200))
    assert found.error is None
    assert found.counts
    assert found.counts.multiply_adds == 55376
    assert [r.input for r in found.reproductions] == [(32, 40)]


def test_a_network_that_cannot_be_built_is_an_error_not_a_crash() -> None:
    found = measure_model(Zoo(), "eight", (3, 32, 32), ())
    assert found.counts is None
    assert found.error == "ValueError: invalid literal for int() with base 10: 'eight'"


def test_a_network_that_cannot_run_keeps_its_parameters_and_gives_the_reason() -> None:
    found = measure_model(Zoo(), "8", (1, 32, 32), ())
    assert (found.counts, found.error) == (None, None)
    assert found.unrun
    assert (found.unrun.parameters, found.unrun.buffers, found.unrun.state_dict_bytes) == (322, 17, 338 * 4 + 8)
    assert found.unrun.reason.startswith("the network could not be run on one 1x32x32 image: RuntimeError: ")


def test_the_parameters_of_a_network_that_cannot_run_are_explained() -> None:
    found = measure_model(Zoo(), "8", (1, 32, 32), (*question("parameters", 339), *question("flops", 1)))
    assert [(way.field, way.value, way.counted) for way in found.reproductions] == [("parameters", 339, ("buffers",))]


@pytest.mark.parametrize(("name", "raised"), [("memory", MemoryError), ("stop", KeyboardInterrupt)])
def test_memory_and_interrupts_are_not_swallowed(name: str, raised: Any) -> None:
    with pytest.raises(raised):
        measure_model(Zoo(), name, (3, 32, 32), ())


def test_wording_needs_no_torch() -> None:
    code = (
        "import sys, cardproof.measure, cardproof.judge.discrepancies, cardproof.measure.count.vocabulary\n"
        "assert 'torch' not in sys.modules\n"
    )
    environment = {"PYTHONPATH": str(ROOT / "tools")}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)

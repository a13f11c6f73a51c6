"""An explanation reads as one clause of plain English."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from cardproof.core.measurements import Reproduction
from cardproof.judge.discrepancies import describe


def said(**more: Any) -> str:
    values: dict[str, Any] = {"field": "flops", "stated": 5_396_798_208, "value": 5_396_798_208, "exact": True}
    return describe(Reproduction(**values | more), (224, 224))


@pytest.mark.parametrize(
    ("more", "clause"),
    [
        (
            {
                "input": (224, 285),
                "counted": ("batch norm twice", "average pooling"),
                "left_out": ("classifier",),
            },
            "exactly the multiply-adds of a 224x285 input (non-square; the image size is 224x224), with batch norm"
            " (twice per element) and average pooling counted and the classifier left out",
        ),
        ({"factor": Fraction(2)}, "exactly twice the multiply-adds at the image size"),
        ({"factor": Fraction(4), "exact": False}, "within 0.1 % of 4 times the multiply-adds at the image size"),
        ({"input": (800, 800)}, "exactly the multiply-adds of an 800x800 input (the image size is 224x224)"),
        ({"classes": 10}, "exactly the multiply-adds at the image size and a 10-class head"),
        ({"field": "parameters", "counted": ("buffers",)}, "exactly the parameters, with buffers counted"),
        (
            {"field": "parameters", "left_out": ("parts that do not run in eval mode",)},
            "exactly the parameters, with the parts that do not run in eval mode left out",
        ),
        (
            {"note": "the number of parameters, not the multiply-adds"},
            "exactly the number of parameters, not the multiply-adds",
        ),
    ],
)
def test_a_reader_is_told(more: dict[str, Any], clause: str) -> None:
    assert said(**more) == clause

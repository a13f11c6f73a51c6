"""Parameters, buffers and multiply-adds, counted on the meta device."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from res2next import create_model, list_models

COUNTS = {
    # name: (parameters, values in buffers, multiply-adds of one 224x224 image)
    "res2next50": (24_671_464, 64_533, 4_172_677_120),
    "res2net50_48w_2s": (25_287_304, 55_061, 4_159_832_064),
    "res2net50_26w_4s": (25_699_120, 59_577, 4_255_166_464),
    "res2net50_14w_8s": (25_059_816, 62_945, 4_178_898_944),
    "res2net50_26w_6s": (37_051_448, 71_881, 6_295_523_328),
    "res2net50_26w_8s": (48_403_776, 84_185, 8_335_880_192),
    "res2net101_26w_4s": (45_206_688, 119_230, 8_066_974_464),
    "res2net50d": (25_718_352, 59_707, 4_494_807_040),
    "res2net101d": (45_225_920, 119_360, 8_306_615_040),
    "dla60_res2net": (20_848_072, 49_071, 4_122_681_344),
    "dla60_res2next": (17_032_984, 52_319, 3_458_752_512),
}


def multiply_adds(name: str) -> int:
    with torch.device("meta"):
        network, image = create_model(name).eval(), torch.empty(1, 3, 224, 224)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(image)
    return counter.get_total_flops() // 2  # torch counts a multiply-add as two


def test_every_model_is_counted_here() -> None:
    assert tuple(COUNTS) == list_models()


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_and_buffer_values_are_the_known_ones(name: str) -> None:
    with torch.device("meta"):
        network = create_model(name)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    buffers = sum(buffer.numel() for buffer in network.buffers())
    assert (parameters, buffers) == COUNTS[name][:2]


def test_res2next50_has_24671464_parameters() -> None:
    assert sum(parameter.numel() for parameter in create_model("res2next50").parameters()) == 24_671_464


@pytest.mark.parametrize("name", COUNTS)
def test_multiply_adds_at_224_are_the_known_ones(name: str) -> None:
    assert multiply_adds(name) == COUNTS[name][2]


@pytest.mark.parametrize(("name", "stated"), [("dla60_res2net", 21.15), ("dla60_res2next", 17.33)])
def test_the_authors_counted_projections_that_a_dla_never_uses(name: str, stated: float) -> None:
    unused = sum(i * o + 2 * o for i, o in ((128, 256), (256, 512), (256, 512)))
    assert round((COUNTS[name][0] + unused) / 1e6, 2) == stated

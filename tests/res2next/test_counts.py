"""Parameters, buffers and multiply-adds, counted on the meta device."""

from __future__ import annotations

import pytest
import torch
from convnets import flop_counter_multiply_adds

from res2next import create_model, list_models
from res2next.registry import find

COUNTS = {
    # name: (parameters, values in buffers, multiply-adds of one image: 224x224, 8x8, 28x28)
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
    "res2next_tiny": (60_578, 2_178, 604_928),
    "res2next_small": (499_034, 5_852, 46_879_488),
}


def test_every_model_is_counted_here() -> None:
    assert tuple(COUNTS) == list_models()


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_buffer_values_and_multiply_adds_are_the_known_ones(name: str) -> None:
    with torch.device("meta"):
        network = create_model(name)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    buffers = sum(buffer.numel() for buffer in network.buffers())
    multiply_adds = flop_counter_multiply_adds(network.eval(), find(name).preprocessing.input_size)
    assert (parameters, buffers, multiply_adds) == COUNTS[name]


def test_res2next50_has_24671464_parameters() -> None:
    with torch.device("meta"):
        network = create_model("res2next50")
    assert sum(parameter.numel() for parameter in network.parameters()) == 24_671_464


@pytest.mark.parametrize(("name", "stated"), [("dla60_res2net", 21.15), ("dla60_res2next", 17.33)])
def test_the_authors_counted_projections_that_a_dla_never_uses(name: str, stated: float) -> None:
    unused = sum(i * o + 2 * o for i, o in ((128, 256), (256, 512), (256, 512)))
    assert round((COUNTS[name][0] + unused) / 1e6, 2) == stated


def by_hand(
    depths: tuple[int, ...], widths: tuple[int, ...], side: int, *, base_width: int, scale: int
) -> tuple[int, int, int]:
    """The counts of a small Res2NeXt of 10 classes, summed layer by layer: two groups, 3x3 stem without pool, grey."""
    channels = widths[0]
    weights, multiply_adds = 9 * channels, 9 * channels * side**2  # the stem
    norms = [channels]
    for stage, (depth, planes) in enumerate(zip(depths, widths, strict=True)):
        split, out = planes * base_width // 64 * 2, 4 * planes
        for block in range(depth):
            left = -(-side // 2) if stage and not block else side
            before, grouped, after = channels * scale * split, (scale - 1) * split * split // 2 * 9, scale * split * out
            shortcut = 0 if block else channels * out
            weights += before + grouped + after + shortcut
            multiply_adds += before * side**2 + (grouped + after + shortcut) * left**2
            norms += [scale * split, *[split] * (scale - 1), out, *([] if block else [out])]
            channels, side = out, left
    parameters = weights + 2 * sum(norms) + 10 * channels + 10
    return parameters, 2 * sum(norms) + len(norms), multiply_adds + 10 * channels


def test_the_small_networks_have_what_is_counted_by_hand() -> None:
    """An independent count, since neither timm nor anybody else has these networks."""
    assert COUNTS["res2next_tiny"] == by_hand((2, 2, 2), (8, 16, 32), 8, base_width=16, scale=4)
    assert COUNTS["res2next_small"] == by_hand((1, 2, 3), (16, 32, 64), 28, base_width=32, scale=3)

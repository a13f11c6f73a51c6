"""Stated counts that are not the network's own are traced to the way of counting that gives them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from convnets import convnet, question, toy_module
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from cardproof.core.measurements import Reproduction
from cardproof.judge.discrepancies import describe
from cardproof.measure.count.counts import count, counts_of_tally
from cardproof.measure.count.meta_network import build_on_meta
from cardproof.measure.count.tally import tally
from cardproof.measure.explain.search import explain


def explained(build: Any, field: str, stated: int, quantum: int = 1, side: int = 32) -> Reproduction | None:
    model = build_on_meta(build)
    found = explain(model, count(model, (3, side, side)), (side, side), question(field, stated, quantum))
    assert len(found) <= 1
    return found[0] if found else None


def toy() -> nn.Module:
    """55,376 multiply-adds at 32x32: 27 * 8 * 16 * 16 + 80; 322 parameters, 17 buffer values."""
    return convnet([8])


@pytest.mark.parametrize(
    ("case", "field", "stated", "said"),
    [
        ("02", "flops", 221264, "exactly the multiply-adds of a 64x64 input (the image size is 32x32)"),
        ("04", "flops", 69200, "exactly the multiply-adds of a 32x40 input (non-square; the image size is 32x32)"),
        ("05", "parameters", 952, "exactly the parameters with an 80-class head"),
        ("07", "parameters", 339, "exactly the parameters, with buffers counted"),
        ("08", "parameters", 321, "exactly 321: int(x * 1e6) truncates a float to one below the intended 322"),
    ],
)
def test_the_cases_are_explained(shared: Path, case: str, field: str, stated: int, said: str) -> None:
    found = explained(toy_module(case).ToyNet, field, stated)
    assert found
    assert found.exact
    assert describe(found, (32, 32)) == said


def test_a_count_that_holds_is_not_a_question() -> None:
    assert explained(toy, "flops", 55376) is None
    assert explained(toy, "flops", 55000, quantum=1000) is None
    assert explained(toy, "parameters", 320, quantum=10) is None


@pytest.mark.parametrize("quantum", [1, 10])
def test_trailing_zeros_that_may_be_rounding_do_not_hide_a_photo(quantum: int) -> None:
    found = explained(toy, "flops", 69200, quantum)
    assert found
    assert found.input == (32, 40)


@pytest.mark.parametrize(
    ("factor", "value"), [(2, 2 * 55376), (Fraction(1, 2), 55376 // 2), (3, 3 * 55376), (4, 4 * 55376)]
)
def test_factors(factor: int, value: int) -> None:
    found = explained(toy, "flops", value)
    assert found
    assert (found.factor, found.input, found.counted) == (factor, None, ())


def test_two_digits_are_enough_to_tell_a_doubled_count() -> None:
    found = explained(toy, "flops", 110_000, quantum=10_000)
    assert found
    assert found.factor == 2


@pytest.mark.parametrize("side", [38, 44, 50, 72, 90, 118])
def test_a_square_that_is_no_usual_one_is_solved_for(side: int) -> None:
    found = explained(lambda: convnet([8, 16]), "flops", count_at((side, side), [8, 16]))
    assert found
    assert found.exact
    assert found.input
    assert count_at(found.input, [8, 16]) == count_at((side, side), [8, 16])


@pytest.mark.parametrize("width", [34, 46, 58, 82, 110])
def test_a_width_at_the_image_s_height_is_solved_for(width: int) -> None:
    stated = count_at((32, width), [8, 16])
    found = explained(lambda: convnet([8, 16]), "flops", stated)
    assert found
    assert found.input
    assert count_at(found.input, [8, 16]) == stated


def count_at(shape: tuple[int, int], widths: list[int]) -> int:
    return count(build_on_meta(lambda: convnet(widths)), (3, *shape)).multiply_adds


def test_another_class_count_in_the_multiply_adds() -> None:
    found = explained(toy, "flops", 55376 + 8 * 90)
    assert found
    assert found.classes == 100


def test_the_parameters_given_as_flops_are_noticed() -> None:
    found = explained(toy, "flops", 322)
    assert found
    assert describe(found, (32, 32)) == "exactly the number of parameters, not the multiply-adds"


def test_what_was_counted_besides_is_stated() -> None:
    norm = 2 * (64 * 112 * 112 + 128 * 56 * 56)
    pool = 128 * (56 * 56 + 1)
    stated = count_at((224, 224), [64, 128]) - 10 * 128 + norm + pool
    found = explained(lambda: convnet([64, 128]), "flops", stated, side=224)
    assert found
    assert found.counted == ("batch norm twice", "adaptive average pooling")
    assert found.left_out == ("classifier",)


def test_left_out_parameters_are_stated() -> None:
    found = explained(toy, "parameters", 322 - 90)
    assert found
    assert found.left_out == ("classifier",)


class WithAuxiliary(nn.Module):
    """A second head that only training uses."""

    def __init__(self) -> None:
        super().__init__()
        self.main = convnet([8])
        self.auxiliary = nn.Linear(100, 7)
        self.frozen = nn.Parameter(self.main[0].weight.new_empty(5), requires_grad=False)

    def forward(self, x: Any) -> Any:
        return self.main(x) + self.frozen.sum()


def test_parts_that_do_not_run_and_frozen_ones_are_distinguished() -> None:
    idle = explained(WithAuxiliary, "parameters", 322 + 5)
    assert idle
    assert idle.left_out == ("parts that do not run in eval mode",)
    frozen = explained(WithAuxiliary, "parameters", 322 + 707)
    assert frozen
    assert frozen.left_out == ("frozen parameters",)


@pytest.mark.parametrize(
    ("field", "stated", "quantum"),
    [("flops", 61234, 1), ("flops", 60000, 10000), ("parameters", 355, 1), ("parameters", 700, 100)],
)
def test_what_chance_explains_is_not_claimed(field: str, stated: int, quantum: int) -> None:
    assert explained(toy, field, stated, quantum) is None


def test_a_close_match_is_reported_as_close() -> None:
    found = explained(lambda: convnet([16, 32], classes=1000), "flops", round(count_at((32, 32), [16, 32]) * 1.2))
    assert found is None
    close = explained(lambda: convnet([64, 64]), "flops", 2 * count_at((32, 32), [64, 64]) + 1001)
    assert close
    assert not close.exact
    assert describe(close, (32, 32)).startswith("within 0.1 % of ")


class FixedSize(nn.Module):
    """Refuses all but one input size."""

    def __init__(self) -> None:
        super().__init__()
        self.net = convnet([8])

    def forward(self, x: Any) -> Any:
        assert x.shape[-2:] == (32, 32), "fixed size"
        return self.net(x)


def test_sizes_a_network_refuses_are_skipped() -> None:
    assert explained(FixedSize, "flops", 69200) is None
    found = explained(FixedSize, "flops", 110752)
    assert found
    assert found.factor == 2


@settings(max_examples=25, deadline=None)
@given(
    widths=st.lists(st.integers(32, 96), min_size=2, max_size=3),
    shape=st.sampled_from([(224, 224), (224, 285), (256, 256), (224, 298), (288, 288), (224, 398)]),
    factor=st.sampled_from([1, 2, 3]),
    norm=st.sampled_from([0, 1, 2]),
    head=st.booleans(),
)
def test_a_random_known_alteration_is_found_again(
    widths: list[int], shape: tuple[int, int], factor: int, norm: int, head: bool
) -> None:
    """Found means: some way at most as complicated gives the stated number to the last digit."""
    elements = 0
    height, width = shape
    for channels in widths:
        height, width = -(-height // 2), -(-width // 2)
        elements += channels * height * width
    stated = factor * (count_at(shape, widths) - (0 if head else 10 * widths[-1]) + norm * elements)
    found = explained(lambda: convnet(widths), "flops", stated, side=224)
    if stated == count_at((224, 224), widths):
        assert found is None
    else:
        assert found
        assert found.exact
        assert found.value == stated


def test_a_head_with_an_unusual_number_of_classes_needs_the_parameters_to_say_the_same() -> None:
    """Counts of convolutions share large factors with one more class's: 64 * 112 * 112 is 392 times 2048."""
    resnet = pytest.importorskip("torchvision.models").resnet50
    model = build_on_meta(resnet)
    counts = count(model, (3, 224, 224))
    flops = question("flops", counts.multiply_adds + 392 * 2048)
    assert not any(found.classes for found in explain(model, counts, (224, 224), flops))
    parameters = question("parameters", counts.parameters + 392 * 2049)
    both = explain(model, counts, (224, 224), flops + parameters)
    assert {(found.field, found.classes) for found in both} == {("flops", 1392), ("parameters", 1392)}


def test_a_few_digits_close_to_the_plain_count_are_not_explained_by_small_additions() -> None:
    resnet = pytest.importorskip("torchvision.models").resnet50
    model = build_on_meta(resnet)
    counts = count(model, (3, 224, 224))
    claimed = []
    for offset in range(-30, 31):
        stated = round(counts.multiply_adds * (1 + offset / 1000), -7)  # three digits
        found = explain(model, counts, (224, 224), question("flops", stated, 10**7))
        claimed += [reproduction for reproduction in found if reproduction.exact]
    assert not claimed


@pytest.mark.parametrize("stated", [221264, 69200, 110752])
def test_a_run_that_is_known_already_is_not_made_again(stated: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_on_meta(toy)
    ran = tally(model, (3, 32, 32))
    counts = counts_of_tally(model, (3, 32, 32), ran)
    questions = question("flops", stated)
    plain = explain(model, counts, (32, 32), questions)
    shapes: list[tuple[int, ...]] = []
    monkeypatch.setattr(
        "cardproof.measure.explain.candidates.tally", lambda model, shape: shapes.append(shape) or tally(model, shape)
    )
    assert explain(model, counts, (32, 32), questions, ran) == plain != ()
    assert (3, 32, 32) not in shapes


def wide() -> nn.Module:
    """A stage with a gate: 300 multiply-adds a pixel, 100 outputs of each norm, ten classes."""
    return nn.Sequential(
        nn.Conv2d(3, 100, 1, bias=False),
        nn.BatchNorm2d(100),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.LayerNorm(100),
        nn.Linear(100, 10),
    )


@pytest.mark.parametrize(
    ("norm", "words_of_norm"), [(2, "batch norm (twice per element)"), (5, "batch norm five times")]
)
@pytest.mark.parametrize("head", [0, 1])
def test_an_analyser_that_follows_a_trace_is_recognised(norm: int, words_of_norm: str, head: int) -> None:
    # by hand, at 32x32: convolution, batch norm, additions of the pool, layer norm five times, classifier
    stated = 300 * 1024 + norm * 100 * 1024 + 100 * 1024 + 5 * 100 + head * 1000
    found = explained(wide, "flops", stated)
    assert found
    assert found.exact
    said = describe(found, (32, 32))
    assert words_of_norm in said
    assert "layer and group norm five times" in said
    assert "adaptive average pooling (its additions)" in said
    assert ("the classifier left out" in said) is (head == 0)


@pytest.mark.parametrize(
    ("name", "size", "stated", "fed"),
    [
        ("tf_efficientnet_b0", 224, 420_592_480, None),
        # the entries for 800 and 475 pixels have each other's value
        ("tf_efficientnet_l2.ns_jft_in1k", 800, 174_203_533_416, (475, 475)),
        ("tf_efficientnet_l2.ns_jft_in1k_475", 475, 484_984_099_280, (800, 800)),
        ("swin_base_patch4_window7_224", 224, 15_466_852_352, None),
    ],
)
def test_counts_that_mmpretrain_publishes_are_explained(name: str, size: int, stated: int, fed: Any) -> None:
    timm = pytest.importorskip("timm")
    found = explained(lambda: timm.create_model(name), "flops", stated, side=size)
    assert found
    assert (found.exact, found.input, found.left_out) == (True, fed, ("classifier",))


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
def test_a_reader_gets_the_clause(more: dict[str, Any], clause: str) -> None:
    assert said(**more) == clause

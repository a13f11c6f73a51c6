"""What well-known counters give for a network: by hand, and by the counters themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from cardproof.measure.count.counting_tools import COLUMNS, TOOLS
from cardproof.measure.count.counts import count
from cardproof.measure.count.meta_network import build_on_meta
from cardproof.measure.count.tally import tally

if TYPE_CHECKING:
    from collections.abc import Callable

    from cardproof.core.measurements import Counts


def counted(build: Callable[[], nn.Module], side: int = 32) -> Counts:
    return count(build_on_meta(build), (3, side, side))


def convolutional() -> nn.Module:
    """At 32x32: 27*8*256 + 72*8*256 and 80 multiply-adds; 2,048 elements after each layer; 10 classes."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.MaxPool2d(2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 10),
    )


PLAIN = 27 * 8 * 256 + 72 * 8 * 256
BY_HAND = {
    "fvcore": PLAIN + 80 + 2 * 2048 + 512,
    "fvcore, without classifier": PLAIN + 2 * 2048 + 512,
    "fvcore, pools none": PLAIN + 80 + 2 * 2048,
    "fvcore, pools all, training": PLAIN + 80 + 5 * 2048 + 512,
    "fvcore, linear probe": PLAIN + 8,
    "mmcv": PLAIN + 2048 + 2 * 2048 + 2048 + 2048 + 512,
    "mmcv with classifier": PLAIN + 80 + 2048 + 2 * 2048 + 2048 + 2048 + 512,
    "ptflops": PLAIN + 90 + 2048 + 2 * 2048 + 2048 + 2048 + 512,
    "ptflops 0.7": PLAIN + 90 + 2048 + 2 * 2048 + 2 * (2048 + 2048 + 512),
    "ptflops, traced": PLAIN + 90 + 2048,
    "thop 0.0": PLAIN + 80 + 2048 + 2 * 2048 + 512 + 8,
    "thop 0.1": PLAIN + 80 + 4 * 2048 + 512 + 8,
    "torchinfo": PLAIN + 2048 + 16 + 90,
}
"""Convolution biases, norm, ReLU and max pooling have 2,048 elements each, the last pool takes 512 and gives 8."""


@pytest.mark.parametrize("tool", BY_HAND)
def test_a_tool_s_count_is_that_by_hand(tool: str) -> None:
    counts = counted(convolutional)
    assert counts.multiply_adds == PLAIN + 80
    assert counts.tools[tool] == BY_HAND[tool]


@pytest.mark.parametrize("pool", [nn.MaxPool2d, nn.AvgPool2d])
def test_a_window_given_as_one_number_in_a_tuple_has_that_side_along_each_axis(pool: Any) -> None:
    found = tally(build_on_meta(lambda: pool((3,))), (3, 24, 24))
    assert [event.detail for event in found.events] == [9]


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (lambda: nn.LPPool2d(2, 2), "power pool"),
        (lambda: nn.LocalResponseNorm(2), "response norm"),
        (lambda: nn.InstanceNorm2d(8), "instance norm"),
    ],
)
def test_a_layer_that_torch_computes_by_another_is_not_counted_as_that(layer: Any, kind: str) -> None:
    def build() -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), layer())

    found = tally(build_on_meta(build), (3, 32, 32))
    assert {event.kind for event in found.events} >= {"convolution", kind}
    assert not {"average pool", "batch norm"} & {event.kind for event in found.events}
    counts = counted(build)
    assert set(counts.tools.values()) <= {counts.multiply_adds}  # no tool's rule for it is known
    assert not {"Average Pooling", "Batch Normalization"} & {word for word, number in counts.parts.items() if number}


def test_an_instance_norm_with_weights_is_counted_by_fvcore_as_its_rule_says() -> None:
    fvcore = pytest.importorskip("fvcore.nn")

    def build() -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.InstanceNorm2d(8, affine=True))

    analysis = fvcore.FlopCountAnalysis(build().eval(), torch.zeros(1, 3, 32, 32))
    assert counted(build).tools["fvcore"] == analysis.total()


class Attention(nn.Module):
    """Four tokens of eight values each: norm, two products of two heads, GELU, a mean over tokens, two classes."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 8, 16, 16)
        self.norm = nn.LayerNorm(8)
        self.qkv = nn.Linear(8, 24)
        self.act = nn.GELU()
        self.head = nn.Linear(8, 2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        tokens = self.norm(self.embed(image).flatten(2).transpose(1, 2))
        q, k, v = self.qkv(tokens).reshape(1, 4, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
        mixed = (q @ k.transpose(-2, -1)).softmax(-1) @ v
        return self.head(self.act(mixed.transpose(1, 2).reshape(1, 4, 8)).mean(1))


def test_attention_norms_and_means_are_counted_as_each_tool_does() -> None:
    embed, linear, products, norm, mean = 768 * 8 * 4, 192 * 4, 2 * 4 * 4 * 8, 32, 32
    tools = counted(Attention).tools
    assert tools["fvcore, pools none"] == embed + linear + products + 16 + 5 * norm
    assert tools["fvcore, pools all, without classifier"] == embed + linear + products + 5 * norm + mean
    assert tools["mmcv"] == embed + 32 + linear + 2 * norm + mean
    assert tools["mmcv without layer norm"] == embed + 32 + linear
    assert tools["ptflops"] == embed + 32 + linear + 96 + 18 + products + 2 * norm + 32 + mean
    assert tools["torchinfo"] == embed + 32 + 16 + 24 * 9 + 18


class Distilled(nn.Module):
    """Two classifiers of the same shape, side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1, bias=False)
        self.heads = nn.ModuleList([nn.Linear(4, 5), nn.Linear(4, 5)])

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        features = self.stem(image).mean((2, 3))
        return (self.heads[0](features) + self.heads[1](features)) / 2


def test_both_heads_of_a_distilled_network_are_its_classifier() -> None:
    counts = counted(Distilled)
    assert counts.multiply_adds == 12 * 1024 + 40
    assert counts.tools["fvcore, pools none, without classifier"] == 12 * 1024


def test_layers_of_one_shape_in_a_row_are_not_one_classifier() -> None:
    counts = counted(lambda: nn.Sequential(nn.Flatten(), nn.Linear(3072, 4), nn.Linear(4, 4), nn.Linear(4, 4)))
    assert counts.tools["fvcore, without classifier"] == 4 * 3072 + 16


def test_fvcore_itself_counts_as_its_rule_says() -> None:
    fvcore = pytest.importorskip("fvcore.nn")
    for build in (convolutional, Attention):
        analysis = fvcore.FlopCountAnalysis(build().eval(), torch.zeros(1, 3, 32, 32))
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        assert counted(build).tools["fvcore"] == analysis.total()


def activated(layer: Any) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 3), layer())


def test_ptflops_itself_counts_as_its_rule_says() -> None:
    ptflops = pytest.importorskip("ptflops")
    options = {"as_strings": False, "print_per_layer_stat": False, "verbose": False}
    found, _ = ptflops.get_model_complexity_info(convolutional(), (3, 32, 32), backend="pytorch", **options)
    assert counted(convolutional).tools["ptflops 0.7"] == found
    for layer in (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU):
        found, _ = ptflops.get_model_complexity_info(activated(layer), (3, 32, 32), backend="pytorch", **options)
        assert counted(lambda layer=layer: activated(layer)).tools["ptflops 0.7"] == found, layer
    found, _ = ptflops.get_model_complexity_info(convolutional(), (3, 32, 32), backend="aten", **options)
    assert counted(convolutional).tools["ptflops, traced"] == found


def test_torchinfo_itself_counts_as_its_rule_says() -> None:
    torchinfo = pytest.importorskip("torchinfo")
    for build in (convolutional, Attention):
        found = torchinfo.summary(build(), (1, 3, 32, 32), verbose=0).total_mult_adds
        assert counted(build).tools["torchinfo"] == found


@pytest.mark.parametrize(
    ("name", "size", "tool", "published"),
    [
        ("densenet121", 224, "mmcv", 2_881_695_488),
        ("inception_v3", 299, "mmcv with classifier", 5_745_177_632),
        ("swinv2_tiny_window8_256", 256, "mmcv", 4_350_000_000),
        ("convnext_tiny", 224, "mmcv without layer norm", 4_457_472_768),
        ("vit_base_patch16_224", 224, "fvcore, without classifier", 17_581_972_224),
        ("vit_large_patch16_224", 224, "fvcore, linear probe", 61_603_112_960),
        ("efficientnet_b0", 224, "fvcore, pools all, training, without classifier", 420_592_480),
        ("deit_small_distilled_patch16_224", 224, "fvcore, without classifier", 4_632_876_288),
    ],
)
def test_figures_of_mmpretrain_are_those_of_its_tools_to_the_last_digit(
    name: str, size: int, tool: str, published: int
) -> None:
    timm = pytest.importorskip("timm")
    found = counted(lambda: timm.create_model(name), size).tools[tool]
    assert (round(found, -7) if published % 10**7 == 0 else found) == published


class Functional(nn.Module):
    """Calls a linear layer's weights as a function, as Swin v2 does."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(3, 9)
        self.head = nn.Linear(9, 2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(nn.functional.linear(image.flatten(2).transpose(1, 2), self.qkv.weight).mean(1))


def test_a_tool_that_hooks_modules_does_not_see_functions() -> None:
    tools = counted(Functional, 2).tools
    assert tools["mmcv"] == 4 * 9
    assert tools["thop 0.1"] == 18
    assert tools["fvcore, without classifier"] == 4 * 27


class Standardised(nn.Conv2d):
    """Standardises its weights by a batch norm in training mode, as normaliser-free networks do."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        rows, gain = self.weight.reshape(1, self.out_channels, -1), torch.ones(self.out_channels)
        weight = nn.functional.batch_norm(rows, None, None, weight=gain, training=True).reshape_as(self.weight)
        return self._conv_forward(image, weight, None).mean((2, 3))


def test_fvcore_counts_the_standardisation_of_weights() -> None:
    fvcore = pytest.importorskip("fvcore.nn")
    analysis = fvcore.FlopCountAnalysis(Standardised(3, 4, 3, bias=False), torch.zeros(1, 3, 8, 8))
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    counts = counted(lambda: Standardised(3, 4, 3, bias=False), 8)
    assert counts.multiply_adds == 108 * 36
    assert counts.tools["fvcore"] == analysis.total() == 108 * 36 + 5 * 108


class Resized(nn.Module):
    """Resizes an image twice, to 16x16."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        small = nn.functional.interpolate(image, size=(16, 16), mode="bilinear")
        return small + nn.functional.interpolate(image, size=(16, 16))


def test_fvcore_counts_resizing() -> None:
    counts = counted(Resized, 8)
    assert counts.tools["fvcore"] == (4 + 1) * 3 * 256
    assert counts.multiply_adds == 0
    assert "mmcv" not in counts.tools


def test_fvcore_does_not_see_into_recurrent_layers() -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rows = nn.LSTM(3, 4, batch_first=True)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return self.rows(image.flatten(2).transpose(1, 2))[0].mean(1)

    counts = counted(Recurrent, 2)
    assert counts.multiply_adds == 4 * (16 * 3 + 16 * 4)
    assert counts.tools["fvcore"] == 0


def test_every_way_of_a_tool_has_a_rule_and_other_weights() -> None:
    assert all(tool.rule for tool in TOOLS.values())
    weights = [tool.weights for tool in TOOLS.values()]
    assert len(set(weights)) == len(weights)
    assert {len(row) for row in weights} == {len(COLUMNS)}


def test_what_is_no_more_than_the_multiply_adds_is_not_stored() -> None:
    counts = counted(lambda: nn.Sequential(nn.Flatten(), nn.Linear(3072, 4, bias=False)))
    assert {counts.tools[name] for name in ("mmcv", "fvcore, without classifier")} == {0}
    assert "fvcore" not in counts.tools
    assert counts.multiply_adds == 4 * 3072

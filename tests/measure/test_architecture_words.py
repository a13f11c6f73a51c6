"""Words of the field Architecture are judged by what ran."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from convnets import convnet
from torch import nn

from cardproof.measure.count.architecture_words import word_presence
from cardproof.measure.count.counts import count
from cardproof.measure.count.meta_network import build_on_meta


def judged(build: Any, word: str, shape: tuple[int, int, int] = (3, 32, 32)) -> str:
    return word_presence(word, count(build_on_meta(build), shape).parts)


@pytest.mark.parametrize(
    ("word", "verdict"),
    [
        ("Convolution", "present"),
        ("Batch Normalization", "present"),
        ("relu", "present"),
        ("Global Average Pooling", "present"),
        ("Dense Connections", "present"),
        ("RELU6", "absent"),
        ("GELU", "absent"),
        ("Hard Swish", "absent"),
        ("SiLU", "absent"),
        ("Max Pooling", "absent"),
        ("Layer Normalization", "absent"),
        ("Residual Connection", "absent"),
        ("Multi-Head Attention", "absent"),
        ("Squeeze-and-Excitation Block", "absent"),
        ("Depthwise Separable Convolution", "absent"),
        ("Softmax", "unknown"),
        ("Dropout", "unknown"),
        ("1x1 Convolution", "unknown"),
        ("Auxiliary Classifier", "unknown"),
        ("A word nobody knows", "unknown"),
    ],
)
def test_a_plain_network(word: str, verdict: str) -> None:
    assert judged(lambda: convnet([8]), word) == verdict


class Block(nn.Module):
    """1x1, 3x3, 1x1 around a shortcut, with a gate."""

    def __init__(self, inside: int, groups: int, gated: bool = False) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(16, inside, 1)
        self.conv = nn.Conv2d(inside, inside, 3, padding=1, groups=groups)
        self.expand = nn.Conv2d(inside, 16, 1)
        self.gate = nn.Sequential(nn.Conv2d(16, 4, 1), nn.ReLU(), nn.Conv2d(4, 16, 1), nn.Sigmoid())
        self.gated = gated

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.expand(self.conv(self.reduce(x)))
        if self.gated:
            y = y * self.gate(y.mean((2, 3), keepdim=True))
        return F.relu(x + y)


@pytest.mark.parametrize(
    ("build", "present"),
    [
        (lambda: Block(4, 1), {"Bottleneck Residual Block", "Residual Block"}),
        (lambda: Block(8, 4), {"Bottleneck Residual Block", "ResNeXt Block", "Grouped Convolution"}),
        (lambda: Block(64, 64), {"Inverted Residual Block", "Depthwise Separable Convolution"}),
        (lambda: Block(4, 1, gated=True), {"Squeeze-and-Excitation Block", "Sigmoid"}),
    ],
)
def test_blocks_are_recognised_by_their_convolutions(build: Any, present: set[str]) -> None:
    for word in present:
        assert judged(build, word, (16, 8, 8)) == "present", word


class Split(nn.Module):
    """Channels in four parts, three of them through convolutions one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = torch.split(x, 4, 1)
        outputs: list[torch.Tensor] = []
        for conv, part in zip(self.convs, parts[:-1], strict=True):
            outputs.append(conv(part + outputs[-1] if outputs else part))
        return torch.cat([*outputs, parts[-1]], 1)


def test_a_hierarchy_of_splits_is_a_res2net_block() -> None:
    assert judged(Split, "Res2Net Block", (16, 8, 8)) == "present"
    assert judged(lambda: convnet([8]), "Res2Net Block") == "absent"


class HandMade(nn.Module):
    """Activations and norms spelled out."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = (x - x.mean((1, 2, 3), keepdim=True)) / x.var((1, 2, 3), keepdim=True)
        return x.clamp(min=0) * torch.sigmoid(x)


@pytest.mark.parametrize("word", ["ReLU", "Swish", "Layer Normalization", "Squeeze-and-Excitation Block"])
def test_what_may_be_there_in_another_form_is_unknown(word: str) -> None:
    assert judged(HandMade, word) == "unknown"


def test_functions_count_as_modules_do() -> None:
    class Functional(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.gelu(F.max_pool2d(x, 2)).softmax(1)

    for word in ("GELU", "Max Pooling", "Softmax"):
        assert judged(Functional, word) == "present"


def test_known_words_are_known_in_any_spelling() -> None:
    assert word_presence("anti-alias downsampling", {"Blur Pooling": 1}) == "present"
    assert word_presence("RELU6", {"ReLU6": 1}) == "present"
    assert word_presence("Squeeze-and-Excitation", {"Squeeze-and-Excitation Block": 0}) == "absent"

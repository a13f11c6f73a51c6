"""The block by itself: shapes counted by hand, the hierarchical rule, and the bottleneck that it extends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torchvision.models.resnet import Bottleneck

from res2next.model import Res2Block, pooled_shortcut, strided_shortcut

if TYPE_CHECKING:
    from torch import Tensor

SIZES = settings(max_examples=20, deadline=None)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def with_open_relus(block: Res2Block) -> Res2Block:
    """In eval mode, every ReLU between the splits kept well above zero, so that none hides an influence."""
    for norm in block.bns:
        nn.init.constant_(norm.bias, 50.0)
    return block.eval()


def mixed(block: Res2Block, splits: list[Tensor]) -> tuple[Tensor, ...]:
    """y_1 ... y_s from x_1 ... x_s, none of them negative: the branch without its 1x1 convolutions."""
    block.conv1 = block.bn1 = block.conv3 = block.bn3 = nn.Identity()
    joined: Tensor = block.residual(torch.cat(splits, dim=1))
    return joined.split(block.width, dim=1)


def influence(block: Res2Block, scale: int, width: int) -> list[list[bool]]:
    """Row i, column j: whether y_(j+1) changes with x_(i+1)."""
    splits = [noise(1, width, 8, 8, seed=i).abs() for i in range(scale)]
    with torch.no_grad():
        before = mixed(block, splits)
        rows = []
        for changed in range(scale):
            other = [x + 1.0 if i == changed else x for i, x in enumerate(splits)]
            rows.append([not torch.equal(a, b) for a, b in zip(before, mixed(block, other), strict=True)])
    return rows


def test_a_small_block_has_the_parameters_counted_by_hand() -> None:
    block = Res2Block(8, 16, width=2, scale=4, cardinality=2, stride=2, downsample=strided_shortcut(8, 16, stride=2))
    shapes = {name: tuple(parameter.shape) for name, parameter in block.named_parameters()}
    assert shapes["conv1.weight"] == (8, 8, 1, 1)  # 4 splits of 2 channels
    assert shapes["convs.2.weight"] == (2, 1, 3, 3)  # 2 groups: each channel sees itself
    assert "convs.3.weight" not in shapes
    assert shapes["conv3.weight"] == (16, 8, 1, 1)
    convolutions = 8 * 8 + 3 * (2 * 1 * 9) + 8 * 16 + 8 * 16
    norms = 2 * (8 + 3 * 2 + 16 + 16)
    assert sum(parameter.numel() for parameter in block.parameters()) == convolutions + norms == 466


@pytest.mark.parametrize(("side", "left"), [(1, 1), (2, 1), (7, 4), (8, 4)])
@pytest.mark.parametrize("shortcut", [strided_shortcut, pooled_shortcut])
def test_a_strided_block_halves_a_side_and_rounds_up(side: int, left: int, shortcut) -> None:
    block = Res2Block(8, 16, width=2, scale=4, stride=2, downsample=shortcut(8, 16, 2)).eval()
    assert block(noise(3, 8, side, side)).shape == (3, 16, left, left)


@given(scale=st.integers(2, 8), cardinality=st.sampled_from([1, 2]))
@SIZES
def test_inside_a_stage_each_split_takes_in_what_the_one_before_gave(scale: int, cardinality: int) -> None:
    width = 4
    block = with_open_relus(Res2Block(8, 8, width=width, scale=scale, cardinality=cardinality))
    last = scale - 1
    expected = [[(j == last) if i == last else i <= j < last for j in range(scale)] for i in range(scale)]
    assert influence(block, scale, width) == expected


@given(scale=st.integers(2, 8), stride=st.integers(1, 2))
@SIZES
def test_the_first_block_of_a_stage_does_not_add_its_splits(scale: int, stride: int) -> None:
    shortcut = strided_shortcut(8, 16, stride)
    block = with_open_relus(Res2Block(8, 16, width=4, scale=scale, stride=stride, downsample=shortcut))
    assert influence(block, scale, 4) == [[i == j for j in range(scale)] for i in range(scale)]


def test_the_splits_follow_the_published_rule_term_by_term() -> None:
    block = Res2Block(8, 8, width=3, scale=4).eval()
    x1, x2, x3, x4 = (noise(2, 3, 5, 5, seed=seed).abs() for seed in range(4))
    k1, k2, k3 = (
        lambda x, conv=conv, bn=bn: torch.relu(bn(conv(x))) for conv, bn in zip(block.convs, block.bns, strict=True)
    )
    with torch.no_grad():
        y1 = k1(x1)
        y2 = k2(x2 + y1)
        y3 = k3(x3 + y2)
        for ours, published in zip(mixed(block, [x1, x2, x3, x4]), (y1, y2, y3, x4), strict=True):
            torch.testing.assert_close(ours, published)


@pytest.mark.parametrize("stride", [1, 2])
def test_the_last_split_of_a_first_block_is_pooled_with_its_padding_counted(stride: int) -> None:
    block = Res2Block(8, 16, width=1, scale=2, stride=stride, downsample=strided_shortcut(8, 16, stride))
    ones = torch.ones(1, 1, 6, 6)
    pooled = mixed(block, [ones, ones])[-1][0, 0]
    assert pooled.shape == (6 // stride, 6 // stride)
    torch.testing.assert_close(pooled[0, 0], torch.tensor(4 / 9))  # 4 pixels of 9 are inside
    torch.testing.assert_close(pooled[0, 1], torch.tensor(6 / 9))


def test_the_pool_of_a_d_shortcut_does_not_count_what_is_outside() -> None:
    pool = pooled_shortcut(1, 1, 2)[0]
    torch.testing.assert_close(pool(torch.ones(1, 1, 5, 5)), torch.ones(1, 1, 3, 3))


@given(
    planes=st.sampled_from([4, 8]),
    cardinality=st.sampled_from([1, 2, 4]),
    stride=st.integers(1, 2),
    side=st.integers(1, 9),
    seed=st.integers(0, 2**16),
)
@SIZES
def test_a_block_of_scale_1_is_the_plain_bottleneck(
    planes: int, cardinality: int, stride: int, side: int, seed: int
) -> None:
    """torchvision's, in training mode, so that the running statistics are compared too."""
    torch.manual_seed(seed)
    channels = planes * 4
    in_channels = channels if stride == 1 else planes
    ours_down = None if stride == 1 else strided_shortcut(in_channels, channels, stride)
    theirs_down = None if stride == 1 else strided_shortcut(in_channels, channels, stride)
    ours = Res2Block(
        in_channels,
        channels,
        width=planes,
        scale=1,
        cardinality=cardinality,
        stride=stride,
        downsample=ours_down,
    )
    theirs = Bottleneck(in_channels, planes, stride, theirs_down, groups=cardinality, base_width=64 // cardinality)
    renamed = {
        key.replace("convs.0.", "conv2.").replace("bns.0.", "bn2."): value for key, value in ours.state_dict().items()
    }
    theirs.load_state_dict(renamed, strict=True)
    x = noise(2, in_channels, side, side, seed=seed)
    torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(ours.bns[0].running_var, theirs.bn2.running_var)


def test_a_stride_inside_a_stage_is_refused() -> None:
    with pytest.raises(ValueError, match="only the first block of a stage strides"):
        Res2Block(8, 8, width=2, scale=4, stride=2)


def test_groups_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(ValueError, match="divisible by groups"):
        Res2Block(8, 8, width=3, scale=4, cardinality=2)

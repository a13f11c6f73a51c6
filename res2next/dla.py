"""DLA-60 with Res2Net and Res2NeXt blocks, top to bottom: block, trees, network, variants.

Sources: Yu, Wang, Shelhamer, Darrell, "Deep Layer Aggregation", CVPR 2018, arXiv 1707.06484 (section numbers
below are those of this paper); the blocks are those of :mod:`res2next.model`, put into DLA as in Gao et al.,
TPAMI 2021, arXiv 1904.01169, section 3.3.

Shapes are written N (images), C (channels), H x W (height and width in pixels). Names of parameters and
buffers are those of the published checkpoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from res2next.model import FeatureMap, Res2Branch, initialise, selected_maps


@dataclass(frozen=True, slots=True)
class DlaVariant:
    """One row of :data:`DLA_VARIANTS`: all that tells one of these networks from another."""

    name: str
    base_width: int
    """Channels of a group in a 3x3 convolution, per 128 channels that the block gives out."""
    cardinality: int
    scale: int = 4
    channels: tuple[int, int, int, int, int, int] = (16, 32, 128, 256, 512, 1024)
    """Channels that each of the levels 0 to 5 gives out."""
    depths: tuple[int, int, int, int] = (1, 2, 3, 1)
    """Depth of the tree in each of the levels 2 to 5; a tree of depth n has 2^n blocks."""

    def split_width(self, out_channels: int) -> int:
        """Channels of one split in a block with ``out_channels``; bottlenecks here are half as wide."""
        return out_channels * self.base_width // 64 * self.cardinality // 2


# --- Block and trees: section 3 ---


class DlaBlock(Res2Branch):
    """A Res2Net bottleneck whose shortcut is made by the tree it stands in; strided blocks start a level."""

    def __init__(self, variant: DlaVariant, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__(
            in_channels,
            out_channels,
            width=variant.split_width(out_channels),
            scale=variant.scale,
            cardinality=variant.cardinality,
            stride=stride,
            first=stride > 1,
        )

    def forward(self, x: Tensor, shortcut: Tensor) -> Tensor:
        """(N, in_channels, H, W) and the shortcut, which has the shape of what comes out."""
        y: Tensor = self.relu(self.residual(x) + shortcut)
        return y


class Aggregation(nn.Module):
    """An aggregation node (section 3.3): a 1x1 convolution over all that it joins, norm, ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, *features: Tensor) -> Tensor:
        """Maps (N, C_i, H, W) -> (N, out_channels, H, W); ``in_channels`` is the sum of the C_i."""
        joined = torch.cat(features, dim=1)
        y: Tensor = self.relu(self.bn(self.conv(joined)))
        return y


class BlockPair(nn.Module):
    """A tree of depth 1: two blocks and the node that joins them, T_1 of section 3.2."""

    def __init__(self, variant: DlaVariant, in_channels: int, out_channels: int, stride: int, earlier: int) -> None:
        """Make a pair; ``earlier`` is the number of channels of earlier features that its node takes in."""
        super().__init__()
        self.tree1 = DlaBlock(variant, in_channels, out_channels, stride)
        self.tree2 = DlaBlock(variant, out_channels, out_channels, 1)
        self.root = Aggregation(2 * out_channels + earlier, out_channels)
        self.downsample = halve() if stride == 2 else nn.Identity()
        self.project = nn.Identity() if in_channels == out_channels else projection(in_channels, out_channels)

    def forward(self, x: Tensor, earlier: tuple[Tensor, ...]) -> Tensor:
        """(N, in_channels, H, W), earlier features -> (N, out_channels, ceil(H/stride), ceil(W/stride))."""
        first = self.tree1(x, self.project(self.downsample(x)))
        second = self.tree2(first, first)
        y: Tensor = self.root(second, first, *earlier)
        return y


class Tree(nn.Module):
    """A tree of depth n > 1: two trees of depth n-1, T_n of section 3.2.

    The left one's output is an input of the right one *and* an earlier feature of its last node: nodes are
    merged into the tree's own root instead of standing above it.
    """

    def __init__(
        self, variant: DlaVariant, depth: int, in_channels: int, out_channels: int, stride: int, earlier: int
    ) -> None:
        """Make a tree; ``earlier`` as in :class:`BlockPair`."""
        super().__init__()
        self.tree1 = tree(variant, depth - 1, in_channels, out_channels, stride, earlier=0)
        self.tree2 = tree(variant, depth - 1, out_channels, out_channels, 1, earlier=earlier + out_channels)
        self.register_load_state_dict_pre_hook(_drop_unused_projection)  # type: ignore[no-untyped-call]

    def forward(self, x: Tensor, earlier: tuple[Tensor, ...]) -> Tensor:
        """(N, in_channels, H, W), earlier features -> (N, out_channels, ceil(H/stride), ceil(W/stride))."""
        first = self.tree1(x, ())
        y: Tensor = self.tree2(first, (*earlier, first))
        return y


def tree(
    variant: DlaVariant, depth: int, in_channels: int, out_channels: int, stride: int, earlier: int
) -> BlockPair | Tree:
    """A tree of ``depth`` >= 1."""
    if depth == 1:
        return BlockPair(variant, in_channels, out_channels, stride, earlier)
    return Tree(variant, depth, in_channels, out_channels, stride, earlier)


def projection(in_channels: int, out_channels: int) -> nn.Sequential:
    """What brings a shortcut to another number of channels."""
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels))


def halve() -> nn.MaxPool2d:
    """Height and width halved, rounded up as the strided convolutions beside it round, so that odd sizes fit.

    The original rounds down, and fails on every side that is not a multiple of 32 (or one less).
    """
    return nn.MaxPool2d(2, 2, ceil_mode=True)


def _drop_unused_projection(module: nn.Module, state_dict: dict[str, Any], prefix: str, *_: object) -> None:
    """Let the published checkpoints load strictly: they carry a ``project`` that nothing computes with.

    The original makes one in trees of every depth and uses it at depth 1 only: three of them, 297,472
    parameters, which is why the authors state 21.15M and 17.33M where the networks compute with 20.85M and
    17.03M.
    """
    for key in [key for key in state_dict if key.startswith(f"{prefix}project.")]:
        del state_dict[key]


# --- The network: section 4.1 ---


class DlaTrunk(nn.Module):
    """Stem and levels 0 to 5, without a head: what classifier and feature extractor share.

    Within a level aggregation is hierarchical (the trees); across levels it is iterative: what enters a level
    is an earlier feature of its root (section 3.1). Takes images of any height and width from 1 pixel up, as
    :class:`res2next.model.Res2NetTrunk` does, and with the same limit in training mode.
    """

    def __init__(self, variant: DlaVariant, in_chans: int) -> None:
        super().__init__()
        channels, depths = variant.channels, variant.depths
        self.num_features = channels[-1]
        self.feature_info = tuple(FeatureMap(channels[i], 2**i, f"level{i}") for i in range(6))
        self.base_layer = convolution(in_chans, channels[0], kernel=7)
        self.level0 = convolution(channels[0], channels[0])
        self.level1 = convolution(channels[0], channels[1], stride=2)
        self.level2 = tree(variant, depths[0], channels[1], channels[2], 2, earlier=0)
        self.level3 = tree(variant, depths[1], channels[2], channels[3], 2, earlier=channels[2])
        self.level4 = tree(variant, depths[2], channels[3], channels[4], 2, earlier=channels[3])
        self.level5 = tree(variant, depths[3], channels[4], channels[5], 2, earlier=channels[4])
        self.halve = halve()

    def feature_maps(self, x: Tensor) -> list[Tensor]:
        """Images (N, in_chans, H, W) -> the maps of the levels 0 to 5, strides 1 to 32."""
        level0: Tensor = self.level0(self.base_layer(x))  # (N, 16, H, W)
        level1: Tensor = self.level1(level0)  # (N, 32, H/2, W/2)
        level2: Tensor = self.level2(level1, ())  # (N, 128, H/4, W/4)
        level3: Tensor = self.level3(level2, (self.halve(level2),))  # (N, 256, H/8, W/8)
        level4: Tensor = self.level4(level3, (self.halve(level3),))  # (N, 512, H/16, W/16)
        level5: Tensor = self.level5(level4, (self.halve(level4),))  # (N, 1024, H/32, W/32)
        return [level0, level1, level2, level3, level4, level5]

    def forward_features(self, x: Tensor) -> Tensor:
        """Images (N, in_chans, H, W) -> last feature map (N, 1024, ceil(H/32), ceil(W/32))."""
        return self.feature_maps(x)[-1]


class Dla(DlaTrunk):
    """The classifier: trunk, mean over all positions, one 1x1 convolution."""

    def __init__(
        self, variant: DlaVariant, *, num_classes: int = 1000, in_chans: int = 3, drop_rate: float = 0.0
    ) -> None:
        """Make the network of ``variant``, with fresh weights (:func:`res2next.model.initialise`).

        Args:
            num_classes: outputs of the last convolution; 0 leaves it out, and the pooled features come out.
            in_chans: channels of the images.
            drop_rate: probability of dropout before the last convolution.
        """
        super().__init__(variant, in_chans)
        self.global_pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(drop_rate) if drop_rate else nn.Identity()
        self.reset_classifier(num_classes)
        self.flatten = nn.Flatten(1)
        initialise(self)

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the last convolution by a fresh one for ``num_classes``; 0 leaves it out."""
        self.num_classes = num_classes
        self.fc = nn.Conv2d(self.num_features, num_classes, 1) if num_classes else nn.Identity()

    def get_classifier(self) -> nn.Module:
        """The last convolution."""
        return self.fc

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Last feature map -> logits (N, num_classes); with ``pre_logits`` the pooled features (N, 1024)."""
        pooled = self.dropout(self.global_pool(x))  # (N, 1024, 1, 1)
        logits: Tensor = self.flatten(pooled if pre_logits else self.fc(pooled))  # (N, num_classes)
        return logits

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, in_chans, H, W) -> logits (N, num_classes), or features (N, 1024) without a head."""
        return self.forward_head(self.forward_features(x))


class DlaFeatures(DlaTrunk):
    """The feature extractor, for detection and segmentation: the classifier's state dict without ``fc``."""

    def __init__(self, variant: DlaVariant, *, in_chans: int = 3, out_indices: Sequence[int] | None = None) -> None:
        """Make the trunk of ``variant``; ``out_indices`` selects levels (:func:`res2next.model.selected_maps`).

        Those from 1 on are returned unless others are asked for, as in timm.
        """
        super().__init__(variant, in_chans)
        self.out_indices = selected_maps(range(1, 6) if out_indices is None else out_indices, len(self.feature_info))
        self.feature_info = tuple(self.feature_info[index] for index in self.out_indices)
        initialise(self)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Images (N, in_chans, H, W) -> the maps that ``feature_info`` lists."""
        maps = self.feature_maps(x)
        return [maps[index] for index in self.out_indices]


def convolution(in_channels: int, out_channels: int, *, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution, norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


# --- The variants: Gao et al., section 4.2 ---

DLA_VARIANTS = (
    DlaVariant("dla60_res2net", base_width=28, cardinality=1),
    DlaVariant("dla60_res2next", base_width=4, cardinality=8),
)
"""The published DLA-60s with Res2Net and Res2NeXt blocks."""

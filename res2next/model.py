"""Res2Net and Res2NeXt image classifiers, top to bottom: block, network, variants.

Source: Gao, Cheng, Zhao, Zhang, Yang, Torr, "Res2Net: A New Multi-scale Backbone Architecture", IEEE TPAMI
43(2), 2021, arXiv 1904.01169. Section numbers below are those of this paper.

Shapes are written N (images), C (channels), H x W (height and width in pixels). Names of parameters and
buffers are those of the checkpoints that the authors published, so that these load strictly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

EXPANSION = 4
"""A bottleneck of ResNet gives out four times as many channels as its stage is wide (He et al., 2016)."""


# --- The block: section 3.1 ---


class Res2Branch(nn.Module):
    """The residual branch of a Res2Net block (section 3.1, figure 2b; with groups section 3.2, figure 3).

    A 1x1 convolution gives ``scale`` splits x_1 ... x_s of ``width`` channels each. Where a bottleneck of
    ResNet has one 3x3 convolution over all of them, here each split but one has its own small K_i, and takes
    in what the split before it gave out. One block so sees up to ``scale`` sizes of receptive field. A last
    1x1 convolution mixes the joined splits.

    The paper lets x_1 pass and convolves x_2 ... x_s; the published networks let x_s pass, convolve the
    others, and this is what their weights fit:

        y_1 = K_1(x_1),   y_i = K_i(x_i + y_(i-1)) for 1 < i < s,   y_s = x_s

    In the *first* block of a stage, where stride or number of channels changes, y_(i-1) need not be as large
    as x_i: the splits are not added, each K_i strides, and x_s goes through an average pool with the same
    stride instead of passing. That holds for a first block of stride 1 too. The pool counts its padding as
    zeros in the mean; the published weights were trained so.

    ``scale=1`` has nothing to split: one K_1 over all channels, the bottleneck of ResNet (or ResNeXt).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        width: int,
        scale: int,
        cardinality: int,
        stride: int,
        first: bool,
        dilation: int = 1,
        drop_path: float = 0.0,
    ) -> None:
        """Make a branch from (N, in_channels, H, W) to (N, out_channels, ceil(H/stride), ceil(W/stride)).

        Args:
            in_channels: channels of the input.
            out_channels: channels of the output.
            width: channels of one split; a multiple of ``cardinality``.
            scale: number of splits, s in the paper.
            cardinality: groups of each 3x3 convolution, c in the paper; 1 for Res2Net, more for Res2NeXt.
            stride: stride of the 3x3 convolutions; above 1 only in a first block.
            first: whether this is the first block of its stage.
            dilation: of the 3x3 convolutions (see :func:`stage_strides`).
            drop_path: probability that training leaves out the branch of an image (stochastic depth, Huang et al.,
                2016, arXiv 1603.09382, section 3).

        Raises:
            ValueError: a stride in a block that is not the first of its stage, or (from torch) a width that
                the groups do not divide.
        """
        super().__init__()
        if stride > 1 and not first:
            raise ValueError(
                f"stride {stride} in a block that adds its splits: only the first block of a stage strides"
            )
        self.width = width
        self.scale = scale
        self.first = first

        self.conv1 = nn.Conv2d(in_channels, width * scale, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width * scale)
        convolved = max(1, scale - 1)
        self.convs = nn.ModuleList(
            nn.Conv2d(width, width, 3, stride, dilation, dilation, groups=cardinality, bias=False)
            for _ in range(convolved)
        )
        self.bns = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(convolved))
        self.pool = nn.AvgPool2d(3, stride, padding=1) if first else nn.Identity()
        self.conv3 = nn.Conv2d(width * scale, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.drop_path = stochastic_depth(drop_path)

    def residual(self, x: Tensor) -> Tensor:
        """What the branch adds to the shortcut, before the last ReLU."""
        splits = self.relu(self.bn1(self.conv1(x))).split(self.width, dim=1)  # scale x (N, width, H, W)
        mixed: list[Tensor] = []  # y_1 ... y_s, each (N, width, H/stride, W/stride)
        for i, (conv, bn) in enumerate(zip(self.convs, self.bns)):  # noqa: B905  (TorchScript has no strict)
            taken = splits[i] if i == 0 or self.first else splits[i] + mixed[-1]
            mixed.append(self.relu(bn(conv(taken))))
        if self.scale > 1:
            mixed.append(self.pool(splits[-1]))
        branch: Tensor = self.bn3(self.conv3(torch.cat(mixed, dim=1)))  # (N, out_channels, H/stride, W/stride)
        return self.drop_path(branch)  # type: ignore[no-any-return]


class Res2Block(Res2Branch):
    """A Res2Net (or, with groups, Res2NeXt) bottleneck block: relu(branch(x) + shortcut(x)), section 3.1."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        width: int,
        scale: int,
        cardinality: int = 1,
        stride: int = 1,
        downsample: nn.Module | None = None,
        dilation: int = 1,
        drop_path: float = 0.0,
    ) -> None:
        """Make a block; the arguments are those of :class:`Res2Branch`.

        Args:
            downsample: what brings the shortcut to the branch's shape; None where the input has it
                already. A block with one is the first of its stage.
        """
        super().__init__(
            in_channels,
            out_channels,
            width=width,
            scale=scale,
            cardinality=cardinality,
            stride=stride,
            first=downsample is not None,
            dilation=dilation,
            drop_path=drop_path,
        )
        self.downsample = nn.Identity() if downsample is None else downsample

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, ceil(H/stride), ceil(W/stride))."""
        y: Tensor = self.relu(self.residual(x) + self.downsample(x))
        return y


# --- The network: section 3.3 ---


@dataclass(frozen=True, slots=True)
class Variant:
    """One row of :data:`VARIANTS`: all that tells one Res2Net from another."""

    name: str
    depths: tuple[int, ...]
    """Blocks in each stage."""
    base_width: int
    """Channels of a split (of a group, with cardinality) in a stage 64 wide; other stages in proportion."""
    scale: int
    cardinality: int = 1
    widths: tuple[int, ...] = (64, 128, 256, 512)
    """Width of each stage: channels of a plain ResNet's 3x3 convolution, a quarter of the stage's output."""
    stem: Literal["7x7", "deep", "3x3"] = "7x7"
    """``7x7`` with stride 2; ``deep``: three 3x3 convolutions, the first with stride 2 (ResNet-C); ``3x3`` with stride
    1, for images of a few pixels."""
    max_pool: bool = True
    """Whether the stem ends in a max pool of stride 2."""
    shortcut: Literal["strided", "pooled"] = "strided"
    """Convolution with the block's stride, or a mean before it (ResNet-D)."""

    def split_width(self, planes: int) -> int:
        """Channels of one split in a stage ``planes`` wide."""
        return planes * self.base_width // 64 * self.cardinality


@dataclass(frozen=True, slots=True)
class FeatureMap:
    """One entry of a list of feature maps: ``channels`` at 1/``stride`` of the image, from ``module``."""

    channels: int
    stride: int
    module: str


class Res2NetTrunk(nn.Module):
    """Stem and stages (``layer1`` on), without a head: what classifier and feature extractor share.

    The published variants have four stages. Takes images of any height and width from 1 pixel up: every layer
    pads, so a side of S pixels leaves ceil(S/32) there. In training mode batch norm refuses a batch that leaves
    one value per channel (one image of up to 32x32) with a ValueError that says so.

    Below, N images of H x W pixels; shapes on the right are those of the published variants.
    """

    def __init__(self, variant: Variant, in_chans: int, output_stride: int = 32, drop_path_rate: float = 0.0) -> None:
        """Make stem and stages.

        Args:
            in_chans: channels of the images.
            output_stride: largest stride of a feature map; stages beyond it are dilated (:func:`stage_strides`).
            drop_path_rate: probability of stochastic depth in the last block; it grows evenly from 0 in the first
                (Huang et al., 2016, section 3, "linear decay").

        Raises:
            ValueError: an ``output_stride`` that no stage has.
        """
        super().__init__()
        first = variant.widths[0]
        out_channels = [width * EXPANSION for width in variant.widths]
        self.num_features = out_channels[-1]
        self.conv1 = stem(variant, in_chans)
        self.bn1 = nn.BatchNorm2d(first)
        self.act1 = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1) if variant.max_pool else nn.Identity()
        self.stages = tuple(f"layer{number}" for number in range(1, len(variant.widths) + 1))
        stride = 1 if variant.stem == "3x3" else 2
        strides = stage_strides(stride * (2 if variant.max_pool else 1), len(variant.widths), output_stride)
        total, before = sum(variant.depths), 0
        for index, name in enumerate(self.stages):
            rates = [drop_path_rate * (before + n) / max(1, total - 1) for n in range(variant.depths[index])]
            in_channels = out_channels[index - 1] if index else first
            self.add_module(name, stage(variant, index, in_channels, strides[index], rates))
            before += variant.depths[index]
        maps = zip(out_channels, strides, self.stages, strict=True)
        self.feature_info = (
            FeatureMap(first, stride, "act1"),
            *(FeatureMap(channels, each.reduction, name) for channels, each, name in maps),
        )

    def forward_features(self, x: Tensor) -> Tensor:
        """Images (N, in_chans, H, W) -> last feature map (N, num_features, ceil(H/32), ceil(W/32))."""
        return self.feature_maps(x)[-1]

    def feature_maps(self, x: Tensor) -> list[Tensor]:
        """Images (N, in_chans, H, W) -> the maps of the stem and of each stage, largest first."""
        maps: list[Tensor] = [self.act1(self.bn1(self.conv1(x)))]  # (N, 64, H/2, W/2)
        x = self.maxpool(maps[0])  # (N, 64, H/4, W/4)
        for name in self.stages:  # (N, 256, H/4, W/4), (N, 512, H/8, W/8), (N, 1024, H/16, W/16), (N, 2048, H/32, W/32)
            x = self.get_submodule(name)(x)
            maps.append(x)
        return maps


class Res2Net(Res2NetTrunk):
    """The classifier: trunk, mean over all positions, one linear layer."""

    def __init__(
        self,
        variant: Variant,
        *,
        num_classes: int = 1000,
        in_chans: int = 3,
        output_stride: int = 32,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ) -> None:
        """Make the network of ``variant``, with fresh weights (:func:`initialise`).

        Args:
            num_classes: outputs of the linear layer; 0 leaves it out, and the pooled features come out.
            in_chans, output_stride, drop_path_rate: as for :class:`Res2NetTrunk`.
            drop_rate: probability of dropout before the linear layer.
        """
        super().__init__(variant, in_chans, output_stride, drop_path_rate)
        self.global_pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten(1)
        self.dropout = nn.Dropout(drop_rate) if drop_rate else nn.Identity()
        self.reset_classifier(num_classes)
        initialise(self)

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the linear layer by a fresh one for ``num_classes``; 0 leaves it out."""
        self.num_classes = num_classes
        self.fc = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()

    def get_classifier(self) -> nn.Module:
        """The linear layer."""
        return self.fc

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Last feature map -> logits (N, num_classes); with ``pre_logits`` the pooled features (N, num_features)."""
        pooled: Tensor = self.dropout(self.flatten(self.global_pool(x)))  # (N, 2048)
        return pooled if pre_logits else self.fc(pooled)  # (N, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, in_chans, H, W) -> logits (N, num_classes), or features (N, num_features) without a head."""
        return self.forward_head(self.forward_features(x))


class Res2NetFeatures(Res2NetTrunk):
    """The feature extractor, for detection and segmentation: the classifier's state dict without ``fc``."""

    def __init__(
        self,
        variant: Variant,
        *,
        in_chans: int = 3,
        out_indices: Sequence[int] | None = None,
        output_stride: int = 32,
        drop_path_rate: float = 0.0,
    ) -> None:
        """Make the trunk of ``variant``; ``out_indices`` selects feature maps (:func:`selected_maps`)."""
        super().__init__(variant, in_chans, output_stride, drop_path_rate)
        self.out_indices = selected_maps(out_indices, len(self.feature_info))
        self.feature_info = tuple(self.feature_info[index] for index in self.out_indices)
        initialise(self)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Images (N, in_chans, H, W) -> the maps that ``feature_info`` lists; all: strides 2 to 32 when published."""
        maps = self.feature_maps(x)
        return [maps[index] for index in self.out_indices]


def selected_maps(indices: Sequence[int] | None, count: int) -> tuple[int, ...]:
    """Indices of feature maps, from 0, in ascending order; None: all of ``count``. Negative ones count from the end.

    Raises:
        ValueError: an index that is out of range or given twice, or none at all.
    """
    if indices is None:
        return tuple(range(count))
    found = sorted(index + count if index < 0 else index for index in indices)
    if not found or found[0] < 0 or found[-1] >= count or len({*found}) < len(found):
        raise ValueError(f"out_indices is {tuple(indices)}: give different numbers from 0 to {count - 1}")
    return tuple(found)


@dataclass(frozen=True, slots=True)
class StageStride:
    """How a stage reduces its input, and by how much the image is reduced after it."""

    stride: int
    """Of its first block."""
    first_dilation: int
    """Of the 3x3 convolutions of its first block."""
    dilation: int
    """Of those of its other blocks."""
    reduction: int


def stage_strides(reduction: int, stages: int, output_stride: int) -> list[StageStride]:
    """Strides and dilations of the stages, behind a stem that reduces the image by ``reduction``.

    Each stage but the first halves height and width. If that exceeded ``output_stride``, the stage keeps them and its
    convolutions are dilated instead, so that they see as far (Yu and Koltun, 2016, arXiv 1511.07122; Chen et al.,
    2017, arXiv 1706.05587, section 3.1). Its first block still has the dilation before.

    Raises:
        ValueError: an ``output_stride`` that is not the reduction of a stage, unless it is the default 32.
    """
    possible = [reduction * 2**index for index in range(stages)]
    if output_stride not in (*possible, 32):
        raise ValueError(f"output_stride is {output_stride}: it can be {', '.join(map(str, possible))}")
    found, dilation = [], 1
    for index in range(stages):
        halves = index > 0
        before = dilation
        if halves and reduction >= output_stride:
            halves, dilation = False, 2 * dilation
        reduction *= 2 if halves else 1
        found.append(StageStride(2 if halves else 1, before, dilation, reduction))
    return found


def stochastic_depth(rate: float) -> nn.Module:
    """The layer that leaves out the branch of an image with probability ``rate`` while training."""
    if not rate:
        return nn.Identity()
    from torchvision.ops import StochasticDepth

    layer: nn.Module = StochasticDepth(rate, mode="row")
    return layer


def stem(variant: Variant, in_chans: int) -> nn.Module:
    """What turns an image into as many channels as the first stage is wide."""
    width = variant.widths[0]
    if variant.stem == "deep":
        return deep_stem(in_chans, width)
    if variant.stem == "3x3":
        return nn.Conv2d(in_chans, width, 3, padding=1, bias=False)
    return nn.Conv2d(in_chans, width, 7, 2, padding=3, bias=False)


def deep_stem(in_chans: int, width: int) -> nn.Sequential:
    """Three 3x3 convolutions, 32-32-64, in place of one 7x7 (He et al., "Bag of Tricks", 2019, ResNet-C)."""
    half = width // 2
    return nn.Sequential(
        nn.Conv2d(in_chans, half, 3, 2, padding=1, bias=False),
        nn.BatchNorm2d(half),
        nn.ReLU(inplace=True),
        nn.Conv2d(half, half, 3, padding=1, bias=False),
        nn.BatchNorm2d(half),
        nn.ReLU(inplace=True),
        nn.Conv2d(half, width, 3, padding=1, bias=False),
    )


def stage(
    variant: Variant, index: int, in_channels: int, strides: StageStride, drop_paths: Sequence[float]
) -> nn.Sequential:
    """Stage ``index``, from 0; ``drop_paths`` has the rate of stochastic depth of each block."""
    planes = variant.widths[index]
    out_channels = planes * EXPANSION
    shortcut = pooled_shortcut if variant.shortcut == "pooled" else strided_shortcut
    blocks = [
        Res2Block(
            in_channels if number == 0 else out_channels,
            out_channels,
            width=variant.split_width(planes),
            scale=variant.scale,
            cardinality=variant.cardinality,
            stride=strides.stride if number == 0 else 1,
            downsample=shortcut(in_channels, out_channels, strides.stride, strides.dilation) if number == 0 else None,
            dilation=strides.first_dilation if number == 0 else strides.dilation,
            drop_path=drop_path,
        )
        for number, drop_path in enumerate(drop_paths)
    ]
    return nn.Sequential(*blocks)


def strided_shortcut(in_channels: int, out_channels: int, stride: int, dilation: int = 1) -> nn.Sequential:
    """A 1x1 convolution with the block's stride (He et al., 2016); one pixel cannot be dilated."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
        nn.BatchNorm2d(out_channels),
    )


def pooled_shortcut(in_channels: int, out_channels: int, stride: int, dilation: int = 1) -> nn.Sequential:
    """A mean over ``stride`` x ``stride`` pixels before a 1x1 convolution: no pixel is dropped (ResNet-D).

    At an odd edge the pool takes the pixels that are there, and divides by their number. In a dilated stage, where
    nothing is halved, it is a mean over 2x2 pixels with zeros beyond the edge, as in timm.
    """
    pool: nn.Module = nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False)
    if dilation > 1 and stride == 1:
        pool = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.AvgPool2d(2, 1))
    return nn.Sequential(
        pool,
        nn.Conv2d(in_channels, out_channels, 1, bias=False),
        nn.BatchNorm2d(out_channels),
    )


def initialise(network: nn.Module) -> None:
    """Fresh weights as for ResNet: convolutions normal with variance 2 / (outputs x kernel area), norms 1 and
    0.

    A linear layer keeps torch's own initialisation.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def zero_last_norms(network: nn.Module) -> None:
    """Zero the weight of the last norm of each branch, so that each block starts as relu(shortcut).

    timm starts its Res2Nets so (Goyal et al., 2017, section 5.1); the authors do not, and neither does
    :func:`res2next.create_model` unless asked to.
    """
    for module in network.modules():
        if isinstance(module, Res2Branch):
            nn.init.zeros_(module.bn3.weight)


# --- The variants: section 4.2 ---

VARIANTS = (
    Variant("res2next50", (3, 4, 6, 3), base_width=4, scale=4, cardinality=8),
    Variant("res2net50_48w_2s", (3, 4, 6, 3), base_width=48, scale=2),
    Variant("res2net50_26w_4s", (3, 4, 6, 3), base_width=26, scale=4),
    Variant("res2net50_14w_8s", (3, 4, 6, 3), base_width=14, scale=8),
    Variant("res2net50_26w_6s", (3, 4, 6, 3), base_width=26, scale=6),
    Variant("res2net50_26w_8s", (3, 4, 6, 3), base_width=26, scale=8),
    Variant("res2net101_26w_4s", (3, 4, 23, 3), base_width=26, scale=4),
    Variant("res2net50d", (3, 4, 6, 3), base_width=26, scale=4, stem="deep", shortcut="pooled"),
    Variant("res2net101d", (3, 4, 23, 3), base_width=26, scale=4, stem="deep", shortcut="pooled"),
)
"""The published Res2Nets. ``26w_4s`` is the paper's own notation: base width 26, scale 4."""

SMALL_VARIANTS = (
    Variant(
        "res2next_tiny",
        (2, 2, 2),
        base_width=16,
        scale=4,
        cardinality=2,
        widths=(8, 16, 32),
        stem="3x3",
        max_pool=False,
    ),
    Variant(
        "res2next_small",
        (1, 2, 3),
        base_width=32,
        scale=3,
        cardinality=2,
        widths=(16, 32, 64),
        stem="3x3",
        max_pool=False,
        shortcut="pooled",
    ),
)
"""Three-stage Res2NeXts for grey images of a few pixels (8x8 and 28x28), small enough to come with the package."""

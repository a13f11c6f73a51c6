"""Faster networks for inference, with the same outputs: norms folded, convolutions fused with what follows them.

A network of this package becomes a copy in which

- each batch norm is part of the convolution before it (Jacob et al., 2018, section 3.2), computed in double precision;
- images and features lie in memory with their channels last;
- a convolution also does the ReLU or the addition that follows it, if torch was built with oneDNN: as one of its
  post-operations, on weights that were put into its order once;
- the splits of a Res2Net block are written back to where they were read, so that nothing is joined.

No work is left out: what is computed is the same sums, in another order.
"""

from __future__ import annotations

import copy
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from res2next.dla import Aggregation, DlaBlock, DlaTrunk
from res2next.inference.onednn import fused
from res2next.model import Res2Block, Res2Branch, Res2NetTrunk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor


def optimize(model: nn.Module, *, dtype: torch.dtype = torch.float32) -> nn.Module:
    """A copy of ``model`` for inference that gives the same logits faster; ``model`` stays as it is.

    Args:
        model: a network of :func:`res2next.create_model`, on a CPU or a GPU; it is taken in evaluation mode.
        dtype: of weights and features. With ``torch.bfloat16`` logits differ in their third digit; the mean over all
            positions and the last layer are computed in float32 all the same.

    Returns:
        A module from images (N, C, H, W), of any N, H and W, to float32 logits (N, classes), on the device of the
        model. It has no training mode.

    Raises:
        TypeError: not a network of this package.
        ValueError: a ``dtype`` other than float32 and bfloat16.
    """
    if not can_optimize(model):
        raise TypeError(f"{type(model).__name__} is no network of res2next: optimize takes those of create_model()")
    if dtype not in (torch.float32, torch.bfloat16):
        raise ValueError(f"dtype is {dtype}: float32 and bfloat16 can be computed with")
    network = copy.deepcopy(model).eval().requires_grad_(False)
    _fuse(network, dtype)
    return Optimized(network.to(memory_format=torch.channels_last), dtype)


def can_optimize(model: nn.Module) -> bool:
    """Whether :func:`optimize` takes a network."""
    return isinstance(model, Res2NetTrunk | DlaTrunk)


class Optimized(nn.Module):
    """What :func:`optimize` returns."""

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.network = network
        self.dtype = dtype
        super().train(False)

    @torch.inference_mode()
    def forward(self, x: Tensor) -> Any:
        """Images (N, C, H, W) -> logits (N, classes), or what else the network gives out, in float32."""
        return self.network(x.to(self.dtype).contiguous(memory_format=torch.channels_last))

    def train(self, mode: bool = True) -> Optimized:
        """Stay in evaluation mode.

        Raises:
            ValueError: training was asked for; the norms that it needs are gone.
        """
        if mode:
            raise ValueError("an optimized network cannot be trained: train the network that it was made of")
        return self


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """In evaluation mode within the block; afterwards every module is in the mode that it was in."""
    before = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training


# --- Fused layers ---


class Branch(nn.Module):
    """The residual branch of a Res2Net block, up to its last convolution."""

    def __init__(self, branch: Res2Branch, dtype: torch.dtype) -> None:
        super().__init__()
        self.narrow = fused(branch.conv1, branch.bn1, True, dtype)
        pairs = zip(branch.convs, branch.bns, strict=True)
        self.convs = nn.ModuleList(fused(conv, norm, True, dtype) for conv, norm in pairs)
        self.widen = fused(branch.conv3, branch.bn3, False, dtype)
        self.pool = branch.pool
        self.width, self.scale, self.first = branch.width, branch.scale, branch.first

    def forward(self, x: Tensor) -> Tensor:
        """What the last convolution mixes: (N, scale * width, H/stride, W/stride)."""
        joined = self.narrow(x)  # (N, scale * width, H, W)
        splits = joined.split(self.width, dim=1)
        if self.first:
            parts = [conv(split) for conv, split in zip(self.convs, splits, strict=False)]
            return torch.cat(parts + ([self.pool(splits[-1])] if self.scale > 1 else []), dim=1)
        y: Tensor | None = None
        for conv, split in zip(self.convs, splits, strict=False):
            y = conv(split if y is None else y.add_(split))
            split.copy_(y)  # the last split is passed on as it is
        mixed: Tensor = joined
        return mixed


class Block(nn.Module):
    """A Res2Net block: relu(branch(x) + shortcut(x)). Overwrites x if that is the shortcut itself."""

    def __init__(self, block: Res2Block, dtype: torch.dtype) -> None:
        super().__init__()
        self.branch = Branch(block, dtype)
        self.downsample = _chain(block.downsample, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, D, H', W')."""
        mixed = self.branch(x)
        y: Tensor = self.branch.widen.onto(mixed, self.downsample(x))
        return y


class TreeBlock(nn.Module):
    """A block of a DLA, whose shortcut others still need."""

    def __init__(self, block: DlaBlock, dtype: torch.dtype) -> None:
        super().__init__()
        self.branch = Branch(block, dtype)

    def forward(self, x: Tensor, shortcut: Tensor) -> Tensor:
        """(N, C, H, W) and the shortcut -> what comes out, in its shape."""
        y: Tensor = self.branch.widen.onto(self.branch(x), shortcut.clone(memory_format=torch.channels_last))
        return y


class Node(nn.Module):
    """An aggregation node of a DLA."""

    def __init__(self, node: Aggregation, dtype: torch.dtype) -> None:
        super().__init__()
        self.conv = fused(node.conv, node.bn, True, dtype)

    def forward(self, *features: Tensor) -> Tensor:
        """Maps (N, C_i, H, W) -> (N, D, H, W)."""
        y: Tensor = self.conv(torch.cat(features, dim=1))
        return y


class InFloat(nn.Module):
    """A layer that is computed in float32 whatever comes in."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """The layer's output for x in float32."""
        y: Tensor = self.layer(x.float())
        return y


# --- Putting them in place ---


def _fuse(network: nn.Module, dtype: torch.dtype) -> None:
    """Put fused layers in the place of the network's own."""
    for name, child in list(network.named_children()):
        if isinstance(child, Res2Block):
            setattr(network, name, Block(child, dtype))
        elif isinstance(child, DlaBlock):
            setattr(network, name, TreeBlock(child, dtype))
        elif isinstance(child, Aggregation):
            setattr(network, name, Node(child, dtype))
        elif isinstance(child, nn.Sequential) and any(isinstance(layer, nn.Conv2d) for layer in child):
            if not (isinstance(network, Res2NetTrunk) and name == "conv1"):
                setattr(network, name, _chain(child, dtype))
        else:
            _fuse(child, dtype)
    if isinstance(network, Res2NetTrunk):
        stem = list(network.conv1) if isinstance(network.conv1, nn.Sequential) else [network.conv1]
        network.conv1 = _chain(nn.Sequential(*stem, network.bn1, network.act1), dtype)
        network.bn1, network.act1 = nn.Identity(), nn.Identity()  # type: ignore[assignment]
    if isinstance(pool := getattr(network, "global_pool", None), nn.Module):
        network.global_pool = InFloat(pool)


def _chain(layers: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A sequence of layers with each convolution, norm and ReLU in one; other layers as they are."""
    if not isinstance(layers, nn.Sequential):
        return layers
    waiting = list(layers)
    made: list[nn.Module] = []
    while waiting:
        layer = waiting.pop(0)
        if not isinstance(layer, nn.Conv2d):
            made.append(layer)
            continue
        norm = waiting.pop(0) if waiting and isinstance(waiting[0], nn.BatchNorm2d) else None
        relu = bool(waiting) and isinstance(waiting[0], nn.ReLU)
        if relu:
            waiting.pop(0)
        made.append(fused(layer, norm, relu, dtype))
    return nn.Sequential(*made)

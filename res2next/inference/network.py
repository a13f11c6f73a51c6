"""Faster networks for inference, with the same outputs: norms folded, convolutions fused with the next operation.

A network of this package becomes a copy in which

- each batch norm is part of the convolution before it (Jacob et al., 2018, section 3.2), computed in double precision;
- images and features lie in memory with their channels last;
- a convolution includes the ReLU or the addition that follows it, if torch was built with oneDNN: as one of its
  post-operations, with weights that are packed once;
- the splits of a Res2Net block are overwritten in place, so that no concatenation is needed.

The same sums are computed, in another order. :func:`keep_memory` spares the process the page faults of each layer.
"""

from __future__ import annotations

import copy
import ctypes
import platform
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from res2next.dla import Aggregation, DlaBlock, DlaTrunk
from res2next.inference.convolution import fused_convolution
from res2next.model import Res2Block, Res2Branch, Res2NetTrunk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor


def optimize(model: nn.Module, *, dtype: torch.dtype = torch.float32) -> nn.Module:
    """A copy of ``model`` for inference that gives the same logits faster; ``model`` stays as it is.

    Args:
        model: a network of :func:`res2next.create_model`, on a CPU or a GPU; the copy is in evaluation mode.
        dtype: of weights and features. With ``torch.bfloat16`` logits differ in their third digit; the mean over all
            positions and the last layer are always computed in float32.

    Returns:
        A module from images (N, C, H, W), of any N, H and W, to float32 logits (N, classes), on the device of the
        model. It has no training mode.

    Raises:
        TypeError: not a network of this package.
        ValueError: a ``dtype`` other than float32 and bfloat16.

    Warns:
        UserWarning: bfloat16 on a CPU without instructions for it.
    """
    if not can_optimize(model):
        raise TypeError(f"{type(model).__name__} is not a network of res2next: optimize takes those of create_model()")
    if dtype not in (torch.float32, torch.bfloat16):
        raise ValueError(f"dtype is {dtype}: float32 and bfloat16 can be computed with")
    if dtype == torch.bfloat16 and lacks_bfloat16(model):
        warnings.warn(
            "this processor has no bfloat16 instructions, so that bfloat16 is several times slower than float32 here",
            stacklevel=2,
        )
    network = copy.deepcopy(model).eval().requires_grad_(False)
    _replace_layers(network, dtype)
    return Optimized(network.to(memory_format=torch.channels_last), dtype)


def lacks_bfloat16(model: nn.Module) -> bool:
    """Whether a network is on a CPU that is known to have no instructions for bfloat16 (AVX-512 BF16, AMX, Arm's)."""
    on_cpu = all(parameter.device.type == "cpu" for parameter in model.parameters())
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # missing before torch 2.10
    return on_cpu and bool(capabilities) and not any(has for name, has in capabilities.items() if "bf16" in name)


def can_optimize(model: nn.Module) -> bool:
    """Whether :func:`optimize` takes a network."""
    return isinstance(model, Res2NetTrunk | DlaTrunk)


class Optimized(nn.Module):
    """A network made by :func:`optimize`."""

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.network = network
        self.dtype = dtype
        super().train(False)

    @torch.inference_mode()
    def forward(self, x: Tensor) -> Any:
        """Images (N, C, H, W) -> logits (N, classes), or another output of the network, in float32."""
        return self.network(x.to(self.dtype).contiguous(memory_format=torch.channels_last))

    def train(self, mode: bool = True) -> Optimized:
        """Stay in evaluation mode.

        Raises:
            ValueError: ``mode`` is True; the norms are folded.
        """
        if mode:
            raise ValueError("an optimized network cannot be trained: train the network that it was made of")
        return self


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Evaluation mode within the block; afterwards the former mode of every module."""
    before = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training


# --- Memory of the process ---


def keep_memory() -> bool:
    """Let glibc keep freed memory instead of returning it to the system after each layer.

    At batch 16 a forward otherwise waits for 375,000 page faults. Call it before memory is used; the process then never
    shrinks. Returns whether the C library accepted the settings.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    trim_threshold, top_pad, mmap_max, arena_max = -1, -2, -4, -8  # malloc.h of glibc
    mallopt = ctypes.CDLL(None).mallopt
    # one arena: those of further threads return memory all the same, and each keeps its own
    values = ((mmap_max, 0), (trim_threshold, 2**31 - 1), (top_pad, 64 * 2**20), (arena_max, 1))
    accepted = [mallopt(option, value) == 1 for option, value in values]  # a list: all are set, even if one fails
    return all(accepted)


# --- Fused layers ---


class Branch(nn.Module):
    """The residual branch of a Res2Net block, up to its last convolution."""

    def __init__(self, branch: Res2Branch, dtype: torch.dtype) -> None:
        super().__init__()
        self.narrow = fused_convolution(branch.conv1, branch.bn1, True, dtype)
        pairs = zip(branch.convs, branch.bns, strict=True)
        self.convs = nn.ModuleList(fused_convolution(conv, norm, True, dtype) for conv, norm in pairs)
        self.widen = fused_convolution(branch.conv3, branch.bn3, False, dtype)
        self.pool = branch.pool
        self.width, self.scale, self.first = branch.width, branch.scale, branch.first

    def forward(self, x: Tensor) -> Tensor:
        """Input of the last convolution: (N, scale * width, H/stride, W/stride)."""
        joined = self.narrow(x)  # (N, scale * width, H, W)
        splits = joined.split(self.width, dim=1)
        if self.first:
            parts = [conv(split) for conv, split in zip(self.convs, splits, strict=False)]
            return torch.cat(parts + ([self.pool(splits[-1])] if self.scale > 1 else []), dim=1)
        y: Tensor | None = None
        for conv, split in zip(self.convs, splits, strict=False):
            y = conv(split if y is None else y.add_(split))
            split.copy_(y)  # the last split is unchanged
        mixed: Tensor = joined
        return mixed


class Block(nn.Module):
    """A Res2Net block: relu(branch(x) + shortcut(x)). Overwrites x if that is the shortcut itself."""

    def __init__(self, block: Res2Block, dtype: torch.dtype) -> None:
        super().__init__()
        self.branch = Branch(block, dtype)
        self.downsample = _fuse_sequence(block.downsample, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, D, H', W')."""
        mixed = self.branch(x)
        y: Tensor = self.branch.widen.forward_add(mixed, self.downsample(x))
        return y


class TreeBlock(nn.Module):
    """A block of a DLA, which must not overwrite its shortcut."""

    def __init__(self, block: DlaBlock, dtype: torch.dtype) -> None:
        super().__init__()
        self.branch = Branch(block, dtype)

    def forward(self, x: Tensor, shortcut: Tensor) -> Tensor:
        """(N, C, H, W) and the shortcut -> the shape of the shortcut."""
        y: Tensor = self.branch.widen.forward_add(self.branch(x), shortcut.clone(memory_format=torch.channels_last))
        return y


class Node(nn.Module):
    """An aggregation node of a DLA."""

    def __init__(self, node: Aggregation, dtype: torch.dtype) -> None:
        super().__init__()
        self.conv = fused_convolution(node.conv, node.bn, True, dtype)

    def forward(self, *features: Tensor) -> Tensor:
        """Maps (N, C_i, H, W) -> (N, D, H, W)."""
        y: Tensor = self.conv(torch.cat(features, dim=1))
        return y


class Float32Layer(nn.Module):
    """A layer that is computed in float32 for any input."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """The layer's output for x in float32."""
        y: Tensor = self.layer(x.float())
        return y


# --- Replacement of layers ---


def _replace_layers(network: nn.Module, dtype: torch.dtype) -> None:
    """Replace the network's layers by fused ones."""
    for name, child in list(network.named_children()):
        if isinstance(child, Res2Block):
            setattr(network, name, Block(child, dtype))
        elif isinstance(child, DlaBlock):
            setattr(network, name, TreeBlock(child, dtype))
        elif isinstance(child, Aggregation):
            setattr(network, name, Node(child, dtype))
        elif isinstance(child, nn.Sequential) and any(isinstance(layer, nn.Conv2d) for layer in child):
            if not (isinstance(network, Res2NetTrunk) and name == "conv1"):
                setattr(network, name, _fuse_sequence(child, dtype))
        else:
            _replace_layers(child, dtype)
    if isinstance(network, Res2NetTrunk):
        stem = list(network.conv1) if isinstance(network.conv1, nn.Sequential) else [network.conv1]
        network.conv1 = _fuse_sequence(nn.Sequential(*stem, network.bn1, network.act1), dtype)
        network.bn1, network.act1 = nn.Identity(), nn.Identity()  # type: ignore[assignment]
    if isinstance(pool := getattr(network, "global_pool", None), nn.Module):
        network.global_pool = Float32Layer(pool)


def _fuse_sequence(layers: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A sequence with each convolution, norm and ReLU fused; other layers are unchanged."""
    if not isinstance(layers, nn.Sequential):
        return layers
    pending = list(layers)
    fused_layers: list[nn.Module] = []
    while pending:
        layer = pending.pop(0)
        if not isinstance(layer, nn.Conv2d):
            fused_layers.append(layer)
            continue
        norm = pending.pop(0) if pending and isinstance(pending[0], nn.BatchNorm2d) else None
        relu = bool(pending) and isinstance(pending[0], nn.ReLU)
        if relu:
            pending.pop(0)
        fused_layers.append(fused_convolution(layer, norm, relu, dtype))
    return nn.Sequential(*fused_layers)

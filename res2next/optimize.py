"""Faster networks for inference, with the same outputs: norms folded, convolutions fused with what follows them.

A network of this package becomes a copy in which

- each batch norm is part of the convolution before it (Jacob et al., 2018, section 3.2), computed in double precision;
- images and features lie in memory with their channels last;
- a convolution also does the ReLU or the addition that follows it, where torch was built with oneDNN: as one of its
  post-operations, on weights that were put into its order once;
- the splits of a Res2Net block are written back to where they were read, so that nothing is joined.

No work is left out: what is computed is the same sums, in another order.
"""

from __future__ import annotations

import copy
import ctypes
import importlib.util
import os
import platform
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from res2next.dla import Aggregation, DlaBlock, DlaTrunk
from res2next.model import Res2Block, Res2Branch, Res2NetTrunk

if TYPE_CHECKING:
    from pathlib import Path

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


def keep_memory() -> bool:
    """Let glibc keep memory that was freed, instead of giving it back to the system after each layer.

    At batch 16 a forward otherwise waits for 375,000 page faults. Call it before memory is used; returns whether the C
    library took it. Memory that the process has had once then stays its own.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    trim_threshold, top_pad, mmap_max = -1, -2, -4  # malloc.h of glibc
    mallopt = ctypes.CDLL(None).mallopt
    values = ((mmap_max, 0), (trim_threshold, 2**31 - 1), (top_pad, 64 * 2**20))
    taken = [mallopt(option, value) == 1 for option, value in values]  # all are set, whatever the first says
    return all(taken)


def export_onnx(model: nn.Module, path: Path, *, size: tuple[int, int, int] = (3, 224, 224)) -> None:
    """Write a network as ONNX, for images (C, H, W) of one size and batches of any, with norms folded.

    Inputs of the file are ``images`` (n, C, H, W), its output is ``logits`` (n, classes), all in float32. It is written
    whole or not at all.

    Raises:
        TypeError: not a network of this package as :func:`res2next.create_model` makes it.
        ModuleNotFoundError: the package onnx is missing; the extra ``export`` installs it.
    """
    if not can_optimize(model):
        raise TypeError(f"{type(model).__name__} is no network of res2next: export_onnx takes those of create_model()")
    if importlib.util.find_spec("onnx") is None:
        raise ModuleNotFoundError("export_onnx needs the package onnx: pip install 'cardproof[export]'")
    network = copy.deepcopy(model).cpu().eval().requires_grad_(False)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        torch.onnx.export(
            network,
            (torch.zeros(1, *size),),
            str(beside),
            input_names=["images"],
            output_names=["logits"],
            dynamic_axes={"images": {0: "n"}, "logits": {0: "n"}},
            opset_version=17,
            dynamo=False,  # the other exporter needs one more package, onnxscript
        )
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


# --- Fused layers ---


class Convolution(nn.Module):
    """A convolution with its folded norm, and optionally the ReLU after it; plain torch, on any device."""

    weight: Tensor | None
    bias: Tensor

    def __init__(self, conv: nn.Conv2d, norm: nn.Module | None, relu: bool, dtype: torch.dtype) -> None:
        super().__init__()
        weight, bias = folded(conv, norm)
        self.register_buffer("weight", weight.to(dtype).contiguous(memory_format=torch.channels_last))
        self.register_buffer("bias", bias.to(dtype))
        self.relu = relu
        self.stride, self.padding, self.dilation = (_pair(v) for v in (conv.stride, conv.padding, conv.dilation))
        self.groups = conv.groups

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, D, H', W')."""
        y = self._sums(x)
        return functional.relu_(y) if self.relu else y

    def onto(self, x: Tensor, shortcut: Tensor) -> Tensor:
        """relu(convolution of x + shortcut); the shortcut may be overwritten."""
        return functional.relu_(self._sums(x).add_(shortcut))

    def _sums(self, x: Tensor) -> Tensor:
        assert self.weight is not None
        return functional.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class OneDnnConvolution(Convolution):
    """The same by oneDNN, on a CPU: one pass over memory for convolution, addition and ReLU.

    The order that oneDNN wants weights in depends on the size of what comes in: they are put into it when a size comes
    for the first time after another, and not at each forward. The operators are those that torch's own compiler calls;
    they are no public interface, so their presence and result are tried out before they are used
    (:func:`has_onednn`).
    """

    def __init__(self, conv: nn.Conv2d, norm: nn.Module | None, relu: bool, dtype: torch.dtype) -> None:
        super().__init__(conv, norm, relu, dtype)
        self._packed: tuple[torch.Size, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, D, H', W')."""
        attribute = "relu" if self.relu else "none"
        shape = (self.padding, self.stride, self.dilation, self.groups)
        y: Tensor = torch.ops.mkldnn._convolution_pointwise(x, self.packed(x), self.bias, *shape, attribute, [], "")
        return y

    def onto(self, x: Tensor, shortcut: Tensor) -> Tensor:
        """relu(convolution of x + shortcut), written where the shortcut was."""
        shape = (self.padding, self.stride, self.dilation, self.groups)
        shortcut = shortcut.contiguous(memory_format=torch.channels_last)
        y: Tensor = torch.ops.mkldnn._convolution_pointwise_.binary(
            shortcut, x, self.packed(x), self.bias, *shape, "add", 1.0, "relu", [], None
        )
        return y

    def packed(self, x: Tensor) -> Tensor:
        """The weights in the order for inputs of this size."""
        known = self._packed
        if known is None or known[0] != x.shape:
            assert self.weight is not None
            shape = (self.padding, self.stride, self.dilation, self.groups)
            weight = torch.ops.mkldnn._reorder_convolution_weight(self.weight.contiguous(), *shape, list(x.shape))
            self._packed = known = (x.shape, weight)
        return known[1]


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
    """A Res2Net block: relu(branch(x) + shortcut(x)). Overwrites x where that is the shortcut itself."""

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


def folded(conv: nn.Conv2d, norm: nn.Module | None) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution that does the norm after it as well, computed in double precision."""
    weight = conv.weight.detach().double()
    bias = torch.zeros(conv.out_channels, device=weight.device).double()
    if conv.bias is not None:
        bias = conv.bias.detach().double()
    if isinstance(norm, nn.BatchNorm2d):
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight.detach().double() / torch.sqrt(norm.running_var.double() + norm.eps)
        weight = weight * scale[:, None, None, None]
        bias = (bias - norm.running_mean.double()) * scale + norm.bias.detach().double()
    return weight.float(), bias.float()


def fused(conv: nn.Module, norm: nn.Module | None, relu: bool, dtype: torch.dtype) -> Convolution:
    """A convolution with its norm and ReLU, by oneDNN where that is there and the weights are on a CPU."""
    assert isinstance(conv, nn.Conv2d)
    kind = OneDnnConvolution if conv.weight.device.type == "cpu" and has_onednn(dtype) else Convolution
    return kind(conv, norm, relu, dtype)


@cache
def has_onednn(dtype: torch.dtype) -> bool:
    """Whether torch's operators of oneDNN are there and give what a plain convolution gives."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    conv = nn.Conv2d(16, 16, 3, padding=1, groups=2)
    with torch.inference_mode():
        x = torch.linspace(-1, 1, 2 * 16 * 25).view(2, 16, 5, 5).to(dtype).contiguous(memory_format=torch.channels_last)
        try:
            other = OneDnnConvolution(conv, None, True, dtype)
            plain = Convolution(conv, None, True, dtype)
            pairs = ((other(x), plain(x)), (other.onto(x, x.clone()), plain.onto(x, x.clone())))
        except (RuntimeError, AttributeError, TypeError):
            return False
        return all(torch.allclose(a.float(), b.float(), atol=1e-5 if dtype == torch.float32 else 0.1) for a, b in pairs)


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


def _pair(value: Any) -> list[int]:
    return list(value) if isinstance(value, tuple) else [value, value]

"""Convolutions with the norm after them folded in (Jacob et al., 2018, section 3.2): by plain torch, or by oneDNN.

OneDNN is the library that torch computes with on CPUs.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


def fused_convolution(conv: nn.Module, norm: nn.Module | None, relu: bool, dtype: torch.dtype) -> Convolution:
    """A convolution with its norm and ReLU, by oneDNN if available and the weights are on a CPU."""
    assert isinstance(conv, nn.Conv2d)
    kind = OneDnnConvolution if conv.weight.device.type == "cpu" and has_onednn(dtype) else Convolution
    return kind(conv, norm, relu, dtype)


def fold_norm(conv: nn.Conv2d, norm: nn.Module | None) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution with the norm after it folded in, computed in double precision."""
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


class Convolution(nn.Module):
    """A convolution with its folded norm, and optionally the ReLU after it; plain torch, on any device."""

    weight: Tensor | None
    bias: Tensor

    def __init__(self, conv: nn.Conv2d, norm: nn.Module | None, relu: bool, dtype: torch.dtype) -> None:
        super().__init__()
        weight, bias = fold_norm(conv, norm)
        self.register_buffer("weight", weight.to(dtype).contiguous(memory_format=torch.channels_last))
        self.register_buffer("bias", bias.to(dtype))
        self.relu = relu
        self.stride, self.padding, self.dilation = (_pair(v) for v in (conv.stride, conv.padding, conv.dilation))
        self.groups = conv.groups

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, D, H', W')."""
        y = self._sums(x)
        return functional.relu_(y) if self.relu else y

    def forward_add(self, x: Tensor, shortcut: Tensor) -> Tensor:
        """relu(convolution of x + shortcut); the shortcut may be overwritten."""
        return functional.relu_(self._sums(x).add_(shortcut))

    def _sums(self, x: Tensor) -> Tensor:
        assert self.weight is not None
        return functional.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


def _pair(value: Any) -> list[int]:
    return list(value) if isinstance(value, tuple) else [value, value]


# --- oneDNN ---


@cache
def has_onednn(dtype: torch.dtype) -> bool:
    """Whether torch's operators of oneDNN exist and give the results of a plain convolution."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    conv = nn.Conv2d(16, 16, 3, padding=1, groups=2)
    with torch.inference_mode():
        x = torch.linspace(-1, 1, 2 * 16 * 25).view(2, 16, 5, 5).to(dtype).contiguous(memory_format=torch.channels_last)
        try:
            other = OneDnnConvolution(conv, None, True, dtype)
            plain = Convolution(conv, None, True, dtype)
            pairs = ((other(x), plain(x)), (other.forward_add(x, x.clone()), plain.forward_add(x, x.clone())))
        except (RuntimeError, AttributeError, TypeError):
            return False
        return all(torch.allclose(a.float(), b.float(), atol=1e-5 if dtype == torch.float32 else 0.1) for a, b in pairs)


class OneDnnConvolution(Convolution):
    """The same by oneDNN, on a CPU: one pass over memory for convolution, addition and ReLU.

    oneDNN's layout of weights depends on the input size: they are packed again when the size or the weights change, not
    at each forward. The operators are those that torch's compiler calls; they are not a public interface, so their
    presence and results are tested before they are used (:func:`has_onednn`).
    """

    def __init__(self, conv: nn.Conv2d, norm: nn.Module | None, relu: bool, dtype: torch.dtype) -> None:
        super().__init__(conv, norm, relu, dtype)
        self._packed: tuple[object, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, D, H', W')."""
        attribute = "relu" if self.relu else "none"
        shape = (self.padding, self.stride, self.dilation, self.groups)
        y: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, self.packed_weight(x), self.bias, *shape, attribute, [], ""
        )
        return y

    def forward_add(self, x: Tensor, shortcut: Tensor) -> Tensor:
        """relu(convolution of x + shortcut), written into the shortcut."""
        shape = (self.padding, self.stride, self.dilation, self.groups)
        shortcut = shortcut.contiguous(memory_format=torch.channels_last)
        y: Tensor = torch.ops.mkldnn._convolution_pointwise_.binary(
            shortcut, x, self.packed_weight(x), self.bias, *shape, "add", 1.0, "relu", [], None
        )
        return y

    def packed_weight(self, x: Tensor) -> Tensor:
        """The weights in the layout for inputs of this size."""
        assert self.weight is not None
        weight, cached = self.weight, self._packed
        version = (
            0 if weight.is_inference() else weight._version
        )  # counts changes in place, such as loading a state dict
        state = (x.shape, weight.data_ptr(), version)
        if cached is None or cached[0] != state:
            shape = (self.padding, self.stride, self.dilation, self.groups)
            packed = torch.ops.mkldnn._reorder_convolution_weight(weight.contiguous(), *shape, list(x.shape))
            self._packed = cached = (state, packed)
        return cached[1]

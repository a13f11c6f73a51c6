"""Convolutions with the norm after them folded in (Jacob et al., 2018, section 3.2); plain torch, on any device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor


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

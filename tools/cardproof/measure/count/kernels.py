"""Multiply-adds of the kernels that reach torch's dispatcher."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, Literal

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from cardproof.measure.count.events import Convolution, Tally

aten = torch.ops.aten


def record_convolution(
    result: Tally,
    output: Sequence[int],
    x: Sequence[int],
    weight: torch.Tensor,
    bias: bool,
    stride: Any,
    transposed: bool,
    groups: int,
) -> None:
    """Record a convolution: each element of the output (transposed: of the input) is multiplied with one filter."""
    strides = stride if isinstance(stride, (tuple, list)) else (stride,)
    shape = Convolution(
        inputs=x[1],
        outputs=output[1],
        kernel=tuple(weight.shape[2:]),
        groups=groups,
        strided=max(strides) > 1,
        area=prod(output[2:]),
        weight=_origin(result, weight),
    )
    result.record(
        "convolution",
        prod(output),
        _ConvNd,
        multiply_adds=prod(x if transposed else output) * prod(weight.shape[1:]),
        bias=bias,
        convolution=shape,
    )


def _origin(result: Tally, weight: torch.Tensor) -> Literal["parameter", "buffer", "computed"]:
    if isinstance(weight, nn.Parameter):
        return "parameter"
    buffers = result.modules[-1].buffers(recurse=False) if result.modules else ()
    return "buffer" if any(weight is buffer for buffer in buffers) else "computed"


def record_attention(result: Tally, q: torch.Size, k: torch.Size, v: torch.Size) -> None:
    """Record softmax(q k') v: two products over all heads."""
    rows = q[:-1].numel()
    heads = q[-3] if len(q) > 3 else 1
    result.record("attention", rows * v[-1], multiply_adds=rows * k[-2] * (q[-1] + v[-1]), detail=heads)


def _mm(result: Tally, output: Any, a: torch.Tensor, b: torch.Tensor, *rest: Any) -> None:
    """Every output element is a sum over the last axis of ``a``."""
    multiply_adds = output.numel() * a.shape[-1]
    if result.composite:
        shape, recurrent = (a.shape[-1], b.shape[-1], 2), int(result.composite == "recurrent")
        result.record("linear", output.numel(), multiply_adds=multiply_adds, shape=shape, detail=recurrent)
    else:
        result.record("product", output.numel(), multiply_adds=multiply_adds)


def _addmm(result: Tally, output: Any, added: Any, a: torch.Tensor, b: torch.Tensor, *rest: Any) -> None:
    _mm(result, output, a, b)


def _bmm(result: Tally, output: Any, a: torch.Tensor, b: torch.Tensor, *rest: Any) -> None:
    result.record("product", output.numel(), multiply_adds=output.numel() * a.shape[-1])


def _baddbmm(result: Tally, output: Any, added: Any, a: torch.Tensor, b: torch.Tensor, *rest: Any) -> None:
    _bmm(result, output, a, b)


def _addbmm(result: Tally, output: Any, added: Any, a: torch.Tensor, b: torch.Tensor, *rest: Any) -> None:
    """addbmm sums over the batch as well."""
    result.record("product", output.numel(), multiply_adds=a.shape[0] * output.numel() * a.shape[-1])


def _convolution(
    result: Tally, output: Any, x: torch.Tensor, weight: torch.Tensor, bias: Any, stride: Any,
    padding: Any, dilation: Any, transposed: bool, output_padding: Any, groups: int, *rest: Any,
) -> None:  # fmt: skip
    record_convolution(result, output.shape, x.shape, weight, bias is not None, stride, transposed, groups)


def _attention(result: Tally, output: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *rest: Any) -> None:
    record_attention(result, q.shape, k.shape, v.shape)


def _softmax(result: Tally, output: Any, *rest: Any) -> None:
    result.record("softmax", output.numel())


def _batch_norm(result: Tally, output: Any, *rest: Any) -> None:
    result.record("batch norm", output[0].numel(), _NormBase)


def _layer_norm(result: Tally, output: Any, *rest: Any) -> None:
    result.record("layer norm", output[0].numel(), nn.LayerNorm)


def _group_norm(result: Tally, output: Any, *rest: Any) -> None:
    result.record("group norm", output[0].numel(), nn.GroupNorm)


KERNELS: dict[Any, Callable[..., None]] = {
    aten.mm: _mm,
    aten.mv: _mm,
    aten.dot: _mm,
    aten.addmm: _addmm,
    aten.addmv: _addmm,
    aten.bmm: _bmm,
    aten.baddbmm: _baddbmm,
    aten.addbmm: _addbmm,
    aten.convolution: _convolution,
    aten._convolution: _convolution,
    aten._scaled_dot_product_flash_attention: _attention,
    aten._scaled_dot_product_efficient_attention: _attention,
    aten._scaled_dot_product_cudnn_attention: _attention,
    aten._scaled_dot_product_fused_attention_overrideable: _attention,
    aten._softmax: _softmax,
    aten.native_batch_norm: _batch_norm,
    aten._native_batch_norm_legit_no_training: _batch_norm,
    aten.native_layer_norm: _layer_norm,
    aten.native_group_norm: _group_norm,
}
"""Kernel -> function that records it, called with the tally, the output and the positional arguments."""

"""Multiply-adds of the kernels that reach torch's dispatcher.

A kernel that multiplies matrices and has no formula here, or that belongs to another package, is named in the tally:
the count would be too low without a sign of it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from math import prod
from typing import Any, Literal

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from cardproof.measure.count.events import Convolution, Family, Tally


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


def record_attention(
    result: Tally, output: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *rest: Any
) -> None:
    """Record softmax(q k') v: two products over all heads."""
    q, k, v = query.shape, key.shape, value.shape
    rows = q[:-1].numel()
    heads = q[-3] if len(q) > 3 else 1
    result.record("attention", rows * v[-1], multiply_adds=rows * k[-2] * (q[-1] + v[-1]), detail=heads)


def _product(result: Tally, output: torch.Tensor, a: torch.Tensor, b: torch.Tensor, sums: int, kind: str) -> None:
    """Record products of matrices or vectors, in which every output element is the sum of ``sums`` products.

    A sparse matrix multiplies only the values that it stores, and a complex product is several real ones: such are
    named as not counted.
    """
    if a.layout is not torch.strided or b.layout is not torch.strided:
        result.uncounted.add("a product with a sparse matrix")
    elif output.is_complex():
        result.uncounted.add("a product of complex numbers")
    else:
        shape = (sums, b.shape[-1], 2) if kind == "linear" else ()
        recurrent = int(kind == "linear" and result.composite == "recurrent")
        result.record(kind, output.numel(), multiply_adds=output.numel() * sums, shape=shape, detail=recurrent)


def _products(first: int = 0) -> Recorder:
    """Return a recorder of two matrices, or batches of them, from argument number ``first`` on.

    In a composite layer, products of matrices are linear layers.
    """

    def record(result: Tally, output: Any, *arguments: Any) -> None:
        a, b = arguments[first : first + 2]
        kind = "linear" if result.composite and a.dim() < 3 else "product"
        _product(result, output, a, b, a.shape[-1], kind)

    return record


def _addbmm(result: Tally, output: Any, added: Any, a: torch.Tensor, b: torch.Tensor, *rest: Any) -> None:
    """addbmm sums over the batch as well."""
    _product(result, output, a, b, a.shape[0] * a.shape[-1], "product")


def _addr(result: Tally, output: Any, added: Any, a: torch.Tensor, b: torch.Tensor, *rest: Any) -> None:
    """Every product of two elements is added to one of a matrix."""
    _product(result, output, a, b, 1, "product")


_BILINEAR = ([1, 3], [0], [1, 2], [2, 3])
"""Axes that torch's bilinear layer expands in its three operands, and those that it sums over."""


def _trilinear(result: Tally, output: Any, a: torch.Tensor, weight: torch.Tensor, b: torch.Tensor, *axes: Any) -> None:
    """Record a bilinear layer: the weight of each output with one input, then the result with the other."""
    if tuple(axes[:4]) != _BILINEAR:
        result.uncounted.add("_trilinear")
        return
    elements, (_, first, second) = output.numel(), weight.shape
    result.record("product", elements, multiply_adds=elements * first * second + elements * first)


def _affine_grid(result: Tally, output: Any, *rest: Any) -> None:
    """Every coordinate is a sum over the homogeneous coordinates of a position."""
    result.record("product", output.numel(), multiply_adds=output.numel() * (output.shape[-1] + 1))


def _embedding_bag(
    result: Tally, output: Any, table: Any, indices: Any, offsets: Any, scaled: Any = False, mode: Any = 0,
    sparse: Any = False, weights: Any = None, *rest: Any,
) -> None:  # fmt: skip
    """Rows of a table are only added, unless each has a weight."""
    if weights is not None:
        result.record("product", output[0].numel(), multiply_adds=indices.numel() * table.shape[-1])


def _convolution(
    result: Tally, output: Any, x: torch.Tensor, weight: torch.Tensor, bias: Any, stride: Any,
    padding: Any, dilation: Any, transposed: bool, output_padding: Any, groups: int, *rest: Any,
) -> None:  # fmt: skip
    record_convolution(result, output.shape, x.shape, weight, bias is not None, stride, transposed, groups)


def _conv_tbc(result: Tally, output: Any, x: Any, weight: torch.Tensor, *rest: Any) -> None:
    """A convolution whose weight has the axes kernel, inputs, outputs."""
    result.record("product", output.numel(), multiply_adds=output.numel() * prod(weight.shape[:2]))


def _deformable(
    result: Tally, output: Any, x: torch.Tensor, weight: torch.Tensor, offset: Any, mask: Any, bias: Any,
    stride: int, *rest: Any,
) -> None:  # fmt: skip
    """Record a deformable convolution: its sampling is a resizing, which is not counted."""
    groups = x.shape[1] // weight.shape[1]
    record_convolution(result, output.shape, x.shape, weight, bias is not None, stride, False, groups)


def _max_pool(axes: int) -> Recorder:
    return lambda result, output, x, kernel, *rest: _pool(result, "max pool", (), output[0], x, kernel, axes)


def _average_pool(axes: int) -> Recorder:
    """Return a recorder of average pooling; in a layer that consists of more, it is a part of that layer."""
    family = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)

    def record(result: Tally, output: Any, x: torch.Tensor, kernel: Sequence[int], *rest: Any) -> None:
        _pool(result, result.composite or "average pool", family, output, x, kernel, axes)

    return record


def _pool(
    result: Tally, kind: str, family: Family, output: torch.Tensor, x: torch.Tensor, kernel: Sequence[int], axes: int
) -> None:
    """Record a pool with the positions of a window, which are negative if there is one window only.

    A kernel of one number has that many positions along each axis.
    """
    area = prod(kernel) if len(kernel) == axes else kernel[0] ** axes
    detail = area if prod(output.shape[-axes:]) > 1 else -area
    result.record(kind, output.numel(), family, detail=detail, inputs=x.numel())


def _softmax(result: Tally, output: Any, *rest: Any) -> None:
    result.record("softmax", output.numel())


def _batch_norm(result: Tally, output: Any, x: Any, weight: Any, *rest: Any) -> None:
    if result.composite:  # torch computes instance norm by it
        result.record(result.composite, output[0].numel(), detail=int(weight is not None))
    else:
        result.record("batch norm", output[0].numel(), _NormBase)


def _layer_norm(result: Tally, output: Any, *rest: Any) -> None:
    result.record("layer norm", output[0].numel(), nn.LayerNorm)


def _group_norm(result: Tally, output: Any, *rest: Any) -> None:
    result.record("group norm", output[0].numel(), nn.GroupNorm)


Recorder = Callable[..., None]
"""A function that records a kernel, called with the tally, the output and the positional arguments."""

_ATTENTION = (
    "flash_attention", "flash_attention_for_cpu", "efficient_attention", "cudnn_attention",
    "fused_attention_overrideable",
)  # fmt: skip

KERNELS: dict[str, Recorder] = {
    **dict.fromkeys(("mm", "mv", "dot", "vdot", "bmm", "_int_mm", "_scaled_mm"), _products()),
    **dict.fromkeys(("_weight_int8pack_mm", "_weight_int4pack_mm"), _products()),
    **dict.fromkeys(("addmm", "addmv", "_addmm_activation", "baddbmm"), _products(1)),
    "addbmm": _addbmm,
    "addr": _addr,
    "_trilinear": _trilinear,
    "affine_grid_generator": _affine_grid,
    **dict.fromkeys(("_embedding_bag", "_embedding_bag_forward_only"), _embedding_bag),
    **dict.fromkeys(("convolution", "_convolution"), _convolution),
    "conv_tbc": _conv_tbc,
    "torchvision::deform_conv2d": _deformable,
    **{f"_scaled_dot_product_{name}": record_attention for name in _ATTENTION},
    **{f"max_pool{axes}d_with_indices": _max_pool(axes) for axes in (2, 3)},
    **{f"avg_pool{axes}d": _average_pool(axes) for axes in (2, 3)},
    "_softmax": _softmax,
    "native_batch_norm": _batch_norm,
    "_native_batch_norm_legit_no_training": _batch_norm,
    "native_layer_norm": _layer_norm,
    "native_group_norm": _group_norm,
}
"""Kernel of torch (of another package: with its namespace) -> function that records it."""

_MULTIPLIES = re.compile(
    r"(?:mm|mv|dot)(?:_|$)|conv|matmul|linear|attention|lstm|gru|rnn|linalg|cholesky|solve|transformer|cdist|pdist"
    r"|euclidean_dist|fft|ormqr|geqrf"
)
"""Words in the names of torch's kernels that multiply matrices, or do what amounts to it."""

_ONLY_NAMED_SO = re.compile(
    r"upsample_|linalg_vector_norm|linalg_cross|linalg__powsum|_linalg_check_errors|_thnn_fused_|fft_r?fftfreq|_convert_"
    r"|_cudnn_rnn_flatten_weight|mkldnn_reorder_"
)
"""Kernels with such a word that resize, normalise, work on single elements, or rearrange."""

_WITHOUT_PRODUCTS = {
    "prim", "prims", "profiler", "rngprims", "c10d", "_c10d_functional", "image",
    *(f"torchvision::{name}" for name in ("nms", "roi_align", "roi_pool", "ps_roi_align", "ps_roi_pool")),
}  # fmt: skip
"""Namespaces and operations outside of aten that multiply no matrices; sampling is a resizing."""


@functools.cache
def recorder_of(kernel: str) -> Recorder | None:
    """Return the function that records a kernel, named ``namespace::name``; None if it multiplies no matrices.

    An operation of another package may multiply, even if its name does not say so, and is named as not counted.
    """
    space, _, name = kernel.partition("::")
    name = name.rstrip("_") or name
    found = KERNELS.get(name if space == "aten" else kernel)
    if found is not None:
        return found
    known = space == "aten" or not _WITHOUT_PRODUCTS.isdisjoint((space, kernel))
    if known and (space == "torchvision" or not _MULTIPLIES.search(name) or _ONLY_NAMED_SO.search(name)):
        return None
    shown = name if space == "aten" else kernel

    def record(result: Tally, *_: Any) -> None:
        result.uncounted.add(shown)

    return record

"""Outputs of common torch functions, computed from the shapes of their arguments alone.

torch's own meta kernels take up to 0.4 ms for one elementwise operation; arithmetic on shapes takes 2 µs.
A rule returns NotImplemented if it does not apply (another device, mixed types, shapes that do not fit);
torch then computes the output, or raises the error, itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.pooling import _AdaptiveAvgPoolNd

from cardproof.measure.count.kernels import record_attention, record_convolution

if TYPE_CHECKING:
    from cardproof.measure.count.events import Tally

Output = Any
"""A tensor, or NotImplemented."""

_META = torch.device("meta")
_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)


def _empty(shape: Sequence[int], like: Tensor) -> Tensor:
    return torch.empty(shape, dtype=like.dtype, device=_META)


def _is_float_meta(x: Any) -> bool:
    """Return whether ``x`` is a meta tensor of floating type, so that elementwise results have its type."""
    return isinstance(x, Tensor) and x.is_meta and x.is_floating_point()


def _is_dense(weight: Any) -> bool:
    """Return whether a weight is a tensor that stores all of its values."""
    return isinstance(weight, Tensor) and weight.layout is torch.strided


# Layers that multiply


def _conv2d(
    result: Tally, input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, groups: int = 1,
) -> Output:  # fmt: skip
    if isinstance(padding, str) or not _is_float_meta(input) or not _is_dense(weight) or input.dim() != 4:
        return NotImplemented
    shape, filters = input.shape, weight.shape
    if shape[1] != filters[1] * groups or filters[0] % groups or input.dtype != weight.dtype:
        return NotImplemented
    pairs = ([value] * 2 if isinstance(value, int) else [*value, *value][:2] for value in (stride, padding, dilation))
    settings = zip(shape[2:], filters[2:], *pairs, strict=True)
    sides = [(side + 2 * p - d * (k - 1) - 1) // s + 1 for side, k, s, p, d in settings]
    if min(sides) < 1:
        return NotImplemented
    output = (shape[0], filters[0], *sides)
    record_convolution(result, output, shape, weight, bias is not None, stride, False, groups)
    return _empty(output, input)


def _linear(result: Tally, input: Any, weight: Any, bias: Any = None) -> Output:
    if not _is_float_meta(input) or not _is_dense(weight) or input.dtype != weight.dtype:
        return NotImplemented
    shape, (outputs, inputs) = input.shape, weight.shape
    if weight.dim() != 2 or not shape or shape[-1] != inputs:
        return NotImplemented
    elements = shape[:-1].numel() * outputs
    result.record(
        "linear",
        elements,
        nn.Linear,
        multiply_adds=elements * inputs,
        bias=bias is not None,
        shape=(inputs, outputs, len(shape)),
    )
    return _empty((*shape[:-1], outputs), input)


def _attention(result: Tally, query: Any, key: Any, value: Any, *rest: Any, **extra: Any) -> Output:
    if not _is_float_meta(query) or query.dim() < 3 or key.dim() < 3:
        return NotImplemented
    q, k, v = query.shape, key.shape, value.shape
    if q[-1] != k[-1] or k[-2] != v[-2] or q[:-3] != k[:-3]:
        return NotImplemented
    if q[-3] != k[-3] and not extra.get("enable_gqa"):
        return NotImplemented
    record_attention(result, None, query, key, value)
    return _empty((*q[:-1], v[-1]), query)


# Normalisation


def _batch_norm(
    result: Tally, input: Any, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None,
    training: bool = False, *rest: Any, **extra: Any,
) -> Output:  # fmt: skip
    if not _is_float_meta(input) or input.dim() < 2:
        return NotImplemented
    if any(t is not None and t.shape[0] != input.shape[1] for t in (running_mean, weight)):
        return NotImplemented
    owner = result.owner(_NormBase)
    kind = "weight norm" if training and owner == "function" else "batch norm"
    result.record(kind, input.numel(), _NormBase, detail=4 if weight is None else 5)
    return input.detach()


def _layer_norm(result: Tally, input: Any, normalized_shape: Any, *rest: Any, **extra: Any) -> Output:
    axes = tuple(normalized_shape)
    if not _is_float_meta(input) or tuple(input.shape[-len(axes) :]) != axes:
        return NotImplemented
    result.record("layer norm", input.numel(), nn.LayerNorm)
    return input.detach()


def _group_norm(result: Tally, input: Any, num_groups: int, *rest: Any, **extra: Any) -> Output:
    if not _is_float_meta(input) or input.dim() < 2 or input.shape[1] % num_groups:
        return NotImplemented
    result.record("group norm", input.numel(), nn.GroupNorm)
    return input.detach()


# Pooling


def _adaptive_pool(kind: str, axes: int) -> Callable[..., Output]:
    def infer(result: Tally, input: Any, output_size: Any, return_indices: bool = False) -> Output:
        if return_indices or not _is_float_meta(input) or input.dim() != axes + 2:
            return NotImplemented
        sides = input.shape[2:]
        wanted = (output_size,) * axes if isinstance(output_size, int) else tuple(output_size)
        spatial = tuple(side if size is None else size for side, size in zip(sides, wanted, strict=True))
        output = (*input.shape[:2], *spatial)
        pooled = prod(side // size for side, size in zip(sides, spatial, strict=True))
        result.record(kind, prod(output), _AdaptiveAvgPoolNd, detail=pooled, shape=spatial)
        return _empty(output, input)

    return infer


def _mean(result: Tally, input: Any, dim: Any = None, keepdim: bool = False, **extra: Any) -> Output:
    if extra or dim is None or not _is_float_meta(input):
        return NotImplemented
    shape = input.shape
    axes = {axis % len(shape) for axis in ((dim,) if isinstance(dim, int) else dim)}
    if not axes:
        return NotImplemented
    kept = [1 if i in axes else side for i, side in enumerate(shape) if keepdim or i not in axes]
    result.record("mean", prod(kept), detail=prod(shape[i] for i in axes), shape=(len(shape), *sorted(axes)))
    return _empty(kept, input)


# Elementwise


def _activation(kind: str, in_place: bool = False) -> Callable[..., Output]:
    def infer(result: Tally, input: Any, *rest: Any, **extra: Any) -> Output:
        if not _is_float_meta(input) or "out" in extra or extra.get("dtype") is not None:
            return NotImplemented
        result.record(kind, input.numel())
        return input if in_place or extra.get("inplace") else input.detach()

    return infer


def _clip(result: Tally, input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Output:
    """hardtanh, which is ReLU6 between 0 and 6."""
    if not _is_float_meta(input):
        return NotImplemented
    result.record("relu6" if (min_val, max_val) == (0.0, 6.0) else "hardtanh", input.numel())
    return input if inplace else input.detach()


def _dropout(result: Tally, input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Output:
    if not _is_float_meta(input):
        return NotImplemented
    if p > 0:
        result.record("dropout", input.numel(), _DROPOUTS)
    return input if inplace else input.detach()


def _binary(kind: str, in_place: bool = False) -> Callable[..., Output]:
    def infer(result: Tally, input: Any, other: Any, **extra: Any) -> Output:
        if not _is_float_meta(input) or "out" in extra or extra.get("rounding_mode"):
            return NotImplemented
        if isinstance(other, (int, float)):
            return input if in_place else input.detach()
        if not _is_float_meta(other) or other.dtype != input.dtype:
            return NotImplemented
        try:
            shape = torch.broadcast_shapes(input.shape, other.shape)  # type: ignore[no-untyped-call]
        except RuntimeError:
            return NotImplemented
        if in_place and shape != input.shape:
            return NotImplemented
        if not isinstance(input, nn.Parameter) and not isinstance(other, nn.Parameter) and len(shape) > 2:
            result.record(kind, prod(shape), detail=_is_gate(input, other))
        if in_place:
            return input
        return input.detach() if shape == input.shape else _empty(shape, input)

    return infer


def _is_gate(a: Tensor, b: Tensor) -> int:
    """Return 1 if one operand is one value per channel, or an expanded view of that; 0 otherwise."""
    if a.dim() != 4 or b.dim() != 4:
        return 0
    small = b if b.numel() <= a.numel() else a
    expanded = small.stride(-1) == 0 or small.stride(-2) == 0
    return int(expanded or (small.shape[-1] == small.shape[-2] == 1 and small.shape[1] > 1))


def _cat(result: Tally, tensors: Any, dim: int = 0, **extra: Any) -> Output:
    if extra or not tensors or not all(map(_is_float_meta, tensors)) or not tensors[0].dim():
        return NotImplemented
    first = tensors[0]
    axis = dim % first.dim()
    if len({(tensor.dtype, tensor.shape[:axis], tensor.shape[axis + 1 :]) for tensor in tensors}) > 1:
        return NotImplemented
    shape = (*first.shape[:axis], sum(tensor.shape[axis] for tensor in tensors), *first.shape[axis + 1 :])
    result.record("cat", prod(shape), detail=len(tensors))
    return _empty(shape, first)


# Only observed


def _split(result: Tally, func: Any, *args: Any, **kwargs: Any) -> Any:
    parts = func(*args, **kwargs)
    result.record("split", sum(part.numel() for part in parts), detail=len(parts))
    return parts


def _vecdot(result: Tally, func: Any, x: Tensor, y: Tensor, dim: int = -1) -> Any:
    """Compute products of vectors as products of matrices, which are recorded: torch's own sums up elementwise ones."""
    row, column = x.conj().movedim(dim, -1).unsqueeze(-2), y.movedim(dim, -1).unsqueeze(-1)
    return (row @ column).squeeze(-1).squeeze(-1)


_UPSAMPLING_COST = {"nearest": 0, "linear": 5, "bilinear": 11, "bicubic": 259}
"""Operations an output element costs by thop 0.0.31's convention (its count_upsample)."""


def _interpolate(result: Tally, func: Any, input: Any, *args: Any, **kwargs: Any) -> Any:
    output = func(input, *args, **kwargs)
    mode = kwargs.get("mode", args[2] if len(args) > 2 else "nearest")
    result.record("upsample", output.numel(), nn.Upsample, detail=_UPSAMPLING_COST.get(mode, 0))
    return output


def _composite(kind: str) -> Callable[..., Any]:
    """Return an observer of a layer whose matrix products, pools and norms torch computes inside."""

    def observe(result: Tally, func: Any, *args: Any, **kwargs: Any) -> Any:
        result.composite = kind
        try:
            output = func(*args, **kwargs)
        finally:
            result.composite = ""
        result.record(kind, 0)
        return output

    return observe


def _functions(names: str, *spaces: Any) -> list[Any]:
    """Return the functions with these names that the namespaces have."""
    return [getattr(space, name) for name in names.split() for space in spaces if hasattr(space, name)]


_NAMESPACES = (torch, Tensor, F)
_ACTIVATIONS = {
    "relu": "relu",
    "relu6": "relu6",
    "leaky relu": "leaky_relu",
    "gelu": "gelu",
    "silu": "silu",
    "hard swish": "hardswish",
    "hard sigmoid": "hardsigmoid",
    "mish": "mish",
    "elu": "elu",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "softmax": "softmax log_softmax",
}
_BINARY = {"add": "add", "subtract": "sub", "multiply": "mul", "divide": "div true_divide"}


def _shape_rules() -> dict[Any, Callable[..., Output]]:
    rules: dict[Any, Callable[..., Output]] = {
        F.conv2d: _conv2d,
        F.linear: _linear,
        F.scaled_dot_product_attention: _attention,
        F.batch_norm: _batch_norm,
        F.layer_norm: _layer_norm,
        F.group_norm: _group_norm,
        F.hardtanh: _clip,
    }
    for axes in (1, 2, 3):
        rules[getattr(F, f"adaptive_avg_pool{axes}d")] = _adaptive_pool("adaptive average pool", axes)
        rules[getattr(F, f"adaptive_max_pool{axes}d")] = _adaptive_pool("adaptive max pool", axes)
    for kind, names in _ACTIVATIONS.items():
        rules |= dict.fromkeys(_functions(names, *_NAMESPACES), _activation(kind))
        in_place_names = " ".join(f"{name}_" for name in names.split())
        rules |= dict.fromkeys(_functions(in_place_names, *_NAMESPACES), _activation(kind, in_place=True))
    for kind, names in _BINARY.items():
        rules |= dict.fromkeys(_functions(names, torch, Tensor), _binary(kind))
        in_place_names = " ".join(f"{name}_" for name in names.split())
        rules |= dict.fromkeys(_functions(in_place_names, Tensor), _binary(kind, in_place=True))
    rules |= dict.fromkeys(_functions("dropout dropout1d dropout2d dropout3d", F), _dropout)
    rules |= dict.fromkeys(_functions("mean", torch, Tensor), _mean)
    return rules | dict.fromkeys(_functions("cat concat concatenate", torch), _cat)


SHAPE_RULES: dict[Any, Callable[..., Output]] = _shape_rules()
"""Function -> rule that infers its output, called with the tally and the function's arguments."""

OBSERVERS: dict[Any, Callable[..., Any]] = {
    F.interpolate: _interpolate,
    torch.linalg.vecdot: _vecdot,
    F.multi_head_attention_forward: _composite("multi-head attention"),
    **dict.fromkeys(_functions("lp_pool1d lp_pool2d lp_pool3d", F), _composite("power pool")),
    F.local_response_norm: _composite("response norm"),
    F.instance_norm: _composite("instance norm"),
    **dict.fromkeys(_functions("lstm gru rnn_tanh rnn_relu", torch), _composite("recurrent")),
    **dict.fromkeys(_functions("split chunk unbind tensor_split split_with_sizes", torch, Tensor), _split),
}
"""Function -> observer that calls it and records that it ran."""

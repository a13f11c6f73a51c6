"""Counts a network exactly: multiply-adds, parameters, buffers, bytes, activations, layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from cardproof.core.types import Counts, Head
from cardproof.measure.count.build import modules_of
from cardproof.measure.count.tally import tally
from cardproof.measure.count.vocabulary import parts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import torch

    from cardproof.measure.count.events import Event, Tally


def count(model: nn.Module, input_shape: tuple[int, int, int]) -> Counts:
    """Count ``model``, which is on the meta device and in eval mode, for one image of ``input_shape``.

    A multiply-add is one multiplication whose product is added to a sum; it counts one. Counted are those of
    convolutions (also transposed; padding counts as input), linear layers, products of matrices and vectors, and
    both products of attention. Not counted: additions of biases, normalisation, activations, softmax, pooling,
    resizing, and other elementwise work. Auxiliary heads that do not run in eval mode have parameters and no
    multiply-adds. It is half of what ``torch.utils.flop_counter.FlopCounterMode`` counts on the meta device.
    """
    return summarise(model, input_shape, tally(model, input_shape))


def summarise(model: nn.Module, input_shape: tuple[int, int, int], result: Tally) -> Counts:
    """The counts of a network that has run already."""
    layers = [event for event in result.events if event.kind in ("convolution", "linear")]
    cls = type(model)
    modules = tuple(modules_of(model))
    parameters = _unique(tensor for module in modules for tensor in module._parameters.values())
    buffers = _unique(tensor for module in modules for tensor in module._buffers.values())
    return Counts(
        input_shape=input_shape,
        output_shape=result.output_shapes[0] if result.output_shapes else (),
        parameters=sum(tensor.numel() for tensor in parameters),
        buffers=sum(tensor.numel() for tensor in buffers),
        multiply_adds=sum(event.multiply_adds for event in result.events),
        state_dict_bytes=_state_dict_bytes(model, modules),
        activations=sum(event.elements for event in layers if event.kind == "convolution"),
        layers=len(layers),
        head=_head(head_event(result)),
        parts=parts(result),
        source=f"{cls.__module__}:{cls.__qualname__}",
    )


def head_event(result: Tally) -> Event | None:
    """The classifier: the last layer that ran, if it is linear or a 1x1 convolution and its width comes out."""
    layers = [event for event in result.events if event.kind in ("convolution", "linear")]
    if not layers:
        return None
    last = layers[-1]
    classes = _classes(last)
    return last if classes and any(classes in shape[1:] for shape in result.output_shapes) else None


def _classes(layer: Event) -> int:
    """Output features, or 0 for a convolution that looks at more than one position."""
    if layer.convolution is None:
        return layer.shape[1]
    pointwise = set(layer.convolution.kernel) <= {1} and layer.convolution.groups == 1
    return layer.convolution.outputs if pointwise else 0


def _head(event: Event | None) -> Head | None:
    if event is None:
        return None
    inputs = event.shape[0] if event.convolution is None else event.convolution.inputs
    return Head(in_features=inputs, classes=_classes(event), bias=event.bias)


def _unique(tensors: Iterable[torch.Tensor | None]) -> list[torch.Tensor]:
    """Return tensors without those that are there twice: tied weights."""
    return list({id(tensor): tensor for tensor in tensors if tensor is not None}.values())


def _state_dict_bytes(model: nn.Module, modules: tuple[nn.Module, ...]) -> int:
    """Bytes of the state dict's tensors; a tensor under two names is stored once."""
    if all(map(_saves_as_usual, modules)):
        stored = _unique(tensor for module in modules for tensor in _stored(module))
    else:
        kept = model.state_dict(keep_vars=True).values()
        stored = _unique(tensor for tensor in kept if hasattr(tensor, "element_size"))
    return sum(tensor.numel() * tensor.element_size() for tensor in stored)


_SAVING = ("state_dict", "_save_to_state_dict", "get_extra_state")


def _saves_as_usual(module: nn.Module) -> bool:
    """Whether a module's part of the state dict is its parameters and lasting buffers, so that none has to be made."""
    cls = type(module)
    own = all(getattr(cls, name) is getattr(nn.Module, name) for name in _SAVING)
    return own and not module._state_dict_hooks and not module._state_dict_pre_hooks


def _stored(module: nn.Module) -> Iterator[torch.Tensor | None]:
    yield from module._parameters.values()
    passing = module._non_persistent_buffers_set
    yield from (buffer for name, buffer in module._buffers.items() if name not in passing)

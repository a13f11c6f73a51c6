"""Counts a network exactly: multiply-adds, parameters, buffers, bytes, activations, layers; and its merged form."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from cardproof.core.measurements import Counts, Head, Totals, Unrun
from cardproof.measure.count.architecture_words import count_words
from cardproof.measure.count.counting_tools import amounts, tool_values
from cardproof.measure.count.events import Tally
from cardproof.measure.count.meta_network import build_on_meta
from cardproof.measure.count.tally import ShapeRules, tally

if TYPE_CHECKING:
    from cardproof.measure.count.events import Event


def count(model: nn.Module, input_shape: tuple[int, int, int]) -> Counts:
    """Count ``model``, which is on the meta device and in eval mode, for one image of ``input_shape``.

    A multiply-add is one multiplication whose product is added to a sum; it counts one. Counted are those of
    convolutions (also transposed; padding counts as input), linear layers, products of matrices and vectors, and
    both products of attention. Not counted: additions of biases, normalisation, activations, softmax, pooling,
    resizing, and other elementwise work. Auxiliary heads that do not run in eval mode have parameters and no
    multiply-adds. It is half of what ``torch.utils.flop_counter.FlopCounterMode`` counts on the meta device, unless
    operations are named in ``uncounted``: then it is too low.
    """
    return counts_of_tally(model, input_shape, tally(model, input_shape))


def counts_of_tally(model: nn.Module, input_shape: tuple[int, int, int], result: Tally) -> Counts:
    """Return the counts of a network from the tally of a forward pass."""
    layers = [event for event in result.events if event.kind in ("convolution", "linear")]
    held = count_unrun(model, input_shape)
    multiply_adds = sum(event.multiply_adds for event in result.events)
    return Counts(
        input_shape=input_shape,
        output_shape=result.output_shapes[0] if result.output_shapes else (),
        parameters=held.parameters,
        buffers=held.buffers,
        multiply_adds=multiply_adds,
        state_dict_bytes=held.state_dict_bytes,
        activations=sum(event.elements for event in layers if event.kind == "convolution"),
        layers=len(layers),
        head=next((Head(*event.features, event.bias) for event in head_events(result)), None),
        parts=count_words(result),
        source=held.source,
        uncounted=tuple(sorted(result.uncounted)),
        tools=tool_values(amounts_of(result, model), multiply_adds),
        statistics=sum(buffer.numel() for buffer in model.buffers() if buffer.is_floating_point()),
    )


def count_unrun(model: nn.Module, input_shape: tuple[int, int, int], error: str = "") -> Unrun:
    """Return what can be counted of a network without running it; ``error`` says why that was not possible."""
    cls = type(model)
    return Unrun(
        input_shape=input_shape,
        error=error,
        parameters=sum(tensor.numel() for tensor in model.parameters()),
        buffers=sum(tensor.numel() for tensor in model.buffers()),
        state_dict_bytes=_state_dict_bytes(model),
        source=f"{cls.__module__}:{cls.__qualname__}",
    )


def amounts_of(result: Tally, model: nn.Module) -> tuple[int, ...]:
    """Return the amounts of a forward pass, in the order of :data:`~cardproof.measure.count.counting_tools.COLUMNS`."""
    others = (module for module in model.modules() if id(module) in result.ran and not _is_convolution(module))
    return amounts(result, head_events(result), sum(map(_weight_and_bias, others)))


def _is_convolution(module: nn.Module) -> bool:
    return "Conv" in type(module).__name__


def _weight_and_bias(module: nn.Module) -> int:
    """Return the parameters of a layer without layers of its own that are called weight and bias."""
    if not module._parameters or module._modules:
        return 0
    own = (module._parameters.get("weight"), module._parameters.get("bias"))
    return sum(tensor.numel() for tensor in own if tensor is not None)


def head_events(result: Tally) -> tuple[Event, ...]:
    """Return the classifier: the last layer that ran, if it is linear or 1x1 and its width is in an output's shape.

    Distilled networks have two of the same shape, side by side: the last comes first.
    """
    layers = [event for event in result.events if event.kind in ("convolution", "linear")]
    if not layers:
        return ()
    last = layers[-1]
    inputs, classes = last.features
    is_pointwise = last.convolution is None or (set(last.convolution.kernel) <= {1} and last.convolution.groups == 1)
    if not is_pointwise or not any(classes in shape[1:] for shape in result.output_shapes):
        return ()
    if inputs == classes:
        return (last,)
    return tuple(takewhile(lambda event: event == last, reversed(layers)))


def _state_dict_bytes(model: nn.Module) -> int:
    """Return the bytes of the state dict's tensors; a tensor with two names is stored once."""
    stored = {id(value): value for value in model.state_dict(keep_vars=True).values() if hasattr(value, "element_size")}
    return sum(tensor.numel() * tensor.element_size() for tensor in stored.values())


_METHODS = ("fuse", "reparameterize", "switch_to_deploy")
"""Methods by which zoos merge branches and normalisation, which only training needs, into one layer.

RepVGG (Ding et al., CVPR 2021) made merged forms usual; MobileOne, FastViT, RepViT and others state their counts. A
module whose method returns a module is replaced by it.
"""


def count_merged(model: nn.Module, build: Callable[[], nn.Module], counts: Counts) -> Totals | None:
    """Return the counts of a network's merged form at the input of ``counts``; ``build`` returns it once more.

    ``model`` stays as it is. None if it has nothing to merge, or if it cannot be merged on shapes alone.
    """
    if not any(map(_method_of, {type(module) for module in model.modules()})):
        return None
    try:
        merged = build_on_meta(lambda: _merge(build()))
        events = tally(merged, counts.input_shape).events
    except (MemoryError, TimeoutError):
        raise
    except Exception:  # a module's own way of merging is foreign code, and may raise anything
        return None
    found = Totals(count_unrun(merged, counts.input_shape).parameters, sum(event.multiply_adds for event in events))
    return None if found == Totals(counts.parameters, counts.multiply_adds) else found


def _merge(model: nn.Module) -> nn.Module:
    """Merge the modules below ``model``, outer ones first."""
    with torch.no_grad(), ShapeRules(Tally()):
        pending = [model.eval()]
        while pending:
            module = pending.pop()
            for name, child in list(module.named_children()):
                if method := _method_of(type(child)):
                    merged = getattr(child, method)()
                    if isinstance(merged, nn.Module):
                        setattr(module, name, merged)
                pending.append(module.get_submodule(name))
    return model


def _method_of(cls: type[nn.Module]) -> str:
    """Return the method by which modules of a class are merged; empty if they have none that needs no argument."""
    return next((name for name in _METHODS if _takes_nothing(getattr(cls, name, None))), "")


def _takes_nothing(method: Any) -> bool:
    if not inspect.isfunction(method):
        return False
    needed = [one for one in inspect.signature(method).parameters.values() if one.default is one.empty]
    return len([one for one in needed if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]) == 1

"""Builds a network as shapes only: no weight is allocated, no initialiser computes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

_META = torch.device("meta")


def build_on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    """Return the network that ``build`` returns, in eval mode, with every tensor on the meta device.

    Some networks read values while they are built (``.item()``, ``linspace(...).tolist()``), which meta
    tensors do not have. They are built on the CPU, where parameters stay untouched memory, and then moved.

    While a network is built, torch's constructors and initialisers are replaced for the whole process, so one network
    is built at a time; they are restored afterwards, also after an error. (A device context and a function mode would
    do the same without replacing anything, and take twice as long as the network itself.)
    """
    try:
        with _patched((*_initialisers(), *_constructors())):
            model = build()
    except MemoryError:
        raise
    except Exception:  # tensors without values can raise anything; an error of the network is raised again
        with _patched(_initialisers()):
            model = build()
    return _to_meta(model.eval())


Patch = tuple[Any, str, Any]
"""A namespace, a name in it, and its value while a network is built."""


@contextmanager
def _patched(patches: tuple[Patch, ...]) -> Iterator[None]:
    before = [(space, name, vars(space).get(name)) for space, name, _ in patches]
    try:
        for space, name, replacement in patches:
            setattr(space, name, replacement)
        yield
    finally:
        for space, name, original in before:
            if original is None:
                delattr(space, name)  # inherited
            else:
                setattr(space, name, original)


_CONSTRUCTORS = (
    "empty empty_strided zeros ones full rand randn randint randperm arange range linspace logspace eye tensor "
    "as_tensor asarray scalar_tensor"
)


@functools.cache
def _constructors() -> tuple[Patch, ...]:
    """Torch's functions that make a tensor, on the meta device unless they are called with a device."""
    return tuple((torch, name, _default_to_meta(getattr(torch, name))) for name in _CONSTRUCTORS.split())


def _default_to_meta(function: Any) -> Any:
    @functools.wraps(function)
    def make(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("device") is None:
            kwargs["device"] = _META
        return function(*args, **kwargs)

    return make


_IN_PLACE_METHODS = (
    "normal_ uniform_ fill_ zero_ copy_ add_ sub_ mul_ div_ clamp_ clamp_min_ clamp_max_ erfinv_ exponential_ "
    "bernoulli_ log_normal_ random_ cauchy_ geometric_"
)


@functools.cache
def _initialisers() -> tuple[Patch, ...]:
    """Functions that write values: in-place methods, torch.nn.init with its helpers.

    Some helpers sample by rejection, which reads values.
    """
    methods = [(torch.Tensor, name) for name in _IN_PLACE_METHODS.split()]
    names = (name for name, value in vars(nn.init).items() if callable(value))
    functions = [(nn.init, name) for name in names if name.startswith("_no_grad_") or name.strip("_") + "_" == name]
    return tuple((space, name, _skip_parameters(getattr(space, name))) for space, name in methods + functions)


def _skip_parameters(function: Any) -> Any:
    """Return the function with parameters and meta tensors left as they are; other tensors are written."""

    def write(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        if tensor.is_meta or isinstance(tensor, nn.Parameter):
            return tensor
        return function(tensor, *args, **kwargs)

    return write


def _to_meta(model: nn.Module) -> nn.Module:
    """Move parameters, buffers and plain attributes of modules that are tensors."""
    for module in model.to(_META).modules():
        for name, value in list(vars(module).items()):
            if isinstance(value, torch.Tensor) and not value.is_meta:
                setattr(module, name, value.to(_META))
    return model

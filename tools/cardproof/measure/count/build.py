"""Builds a network as shapes only: no weight is allocated, no initialiser computes."""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
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
    with collector_paused():
        try:
            with _patched((*_initialisers(), *_constructors())):
                model = build()
        except MemoryError:
            raise
        except Exception:  # tensors without values can raise anything; an error of the network is raised again
            with _patched(_initialisers()):
                model = build()
        return _to_eval_on_meta(model)


def iterate_modules(model: nn.Module) -> Iterator[nn.Module]:
    """Yield every module of a network once, the network itself first; five times as fast as ``model.modules()``."""
    seen = {id(model)}
    pending = [model]
    while pending:
        module = pending.pop()
        yield module
        for child in module._modules.values():
            if child is not None and id(child) not in seen:
                seen.add(id(child))
                pending.append(child)


@contextmanager
def collector_paused() -> Iterator[None]:
    """Disable the garbage collector, which would walk all of torch's objects repeatedly during a build."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


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
    """Functions that write values: in-place methods, torch.nn.init with its helpers, reset methods of torch's layers.

    Some helpers sample by rejection, which reads values.
    """
    methods = [(torch.Tensor, name) for name in _IN_PLACE_METHODS.split()]
    names = (name for name, value in vars(nn.init).items() if callable(value))
    functions = [(nn.init, name) for name in names if name.startswith("_no_grad_") or name.strip("_") + "_" == name]
    writers = [(space, name, _skip_parameters(getattr(space, name))) for space, name in methods + functions]
    return (
        *writers,
        *((layer, name, _do_nothing) for layer in _layers() for name in _RESET_METHODS & set(vars(layer))),
    )


_RESET_METHODS = {"reset_parameters", "reset_running_stats", "_reset_parameters"}


def _layers() -> list[type[nn.Module]]:
    """Return torch's own layer classes; a class derived from one keeps its own reset methods."""
    modules = [space for space in vars(nn.modules).values() if isinstance(space, ModuleType)]
    found = [value for space in modules for value in vars(space).values() if isinstance(value, type)]
    return [cls for cls in dict.fromkeys(found) if issubclass(cls, nn.Module)]


def _skip_parameters(function: Any) -> Any:
    """Return the function with parameters and meta tensors left as they are; other tensors are written."""

    def write(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        if tensor.is_meta or isinstance(tensor, nn.Parameter):
            return tensor
        return function(tensor, *args, **kwargs)

    return write


def _do_nothing(*_: Any) -> None:
    """Replaces methods that only write values into a layer's parameters and buffers."""


def _to_eval_on_meta(model: nn.Module) -> nn.Module:
    """Put a network into eval mode, and tensors that are not on the meta device onto it."""
    modules = tuple(iterate_modules(model))
    for module in modules:
        if _has_standard_train(module):
            vars(module)["training"] = False
    for module in reversed(modules):  # a module may set the mode of its children, so parents come last
        if not _has_standard_train(module):
            module.eval()
    return model if all(map(_is_on_meta, modules)) else _to_meta(model)


def _has_standard_train(module: nn.Module) -> bool:
    """Return whether eval mode only sets a module's ``training``."""
    cls = type(module)
    return cls.train is nn.Module.train and cls.__setattr__ is nn.Module.__setattr__ and "train" not in vars(module)


_non_tensor_types: set[type] = set()
"""Types of module attributes seen so far that are not tensors."""


def _is_on_meta(module: nn.Module) -> bool:
    """Return whether a module's parameters, buffers and plain attributes that are tensors are on meta."""
    for tensor in (*module._parameters.values(), *module._buffers.values()):
        if tensor is not None and not tensor.is_meta:
            return False
    types = set(map(type, vars(module).values())) - _non_tensor_types
    if any(issubclass(cls, torch.Tensor) for cls in types):
        return all(value.is_meta for value in vars(module).values() if isinstance(value, torch.Tensor))
    _non_tensor_types.update(types)
    return True


def _to_meta(model: nn.Module) -> nn.Module:
    """Move parameters, buffers and plain attributes of modules."""
    model = model.to(_META)
    for module in model.modules():
        for name, value in list(vars(module).items()):
            if isinstance(value, torch.Tensor) and not value.is_meta:
                setattr(module, name, value.to(_META))
    return model

"""Builds a network as shapes only: no weight is allocated, no initialiser computes."""

from __future__ import annotations

import functools
import gc
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_META = torch.device("meta")


def build_on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    """Return what ``build`` makes, in eval mode, with every tensor on the meta device.

    Some networks read values while they are built (``.item()``, ``linspace(...).tolist()``), which meta
    tensors do not have. They are built on the CPU, where parameters stay untouched memory, and then moved.

    While a network is built, torch's constructors and initialisers are replaced for the whole process, so one network
    is built at a time; they are themselves again afterwards, whatever happens. (A device context and a function mode
    would do the same without replacing anything, and take twice as long as the network itself.)
    """
    with collector_paused():
        try:
            with _replaced((*_initialisers(), *_constructors())):
                model = build()
        except MemoryError:
            raise
        except Exception:  # whatever a network makes of tensors without values; a fault of its own is raised again
            with _replaced(_initialisers()):
                model = build()
        return _settled(model)


def modules_of(model: nn.Module) -> Iterator[nn.Module]:
    """Yield every module of a network once, the network itself first; five times as fast as ``model.modules()``."""
    seen = {id(model)}
    waiting = [model]
    while waiting:
        module = waiting.pop()
        yield module
        for child in module._modules.values():
            if child is not None and id(child) not in seen:
                seen.add(id(child))
                waiting.append(child)


@contextmanager
def collector_paused() -> Iterator[None]:
    """Keep the garbage collector still: it would walk all of torch again and again while a network grows."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


Replacement = tuple[Any, str, Any]
"""A name space, a name in it, and what the name means while a network is built."""


@contextmanager
def _replaced(replacements: tuple[Replacement, ...]) -> Iterator[None]:
    """Give names another meaning inside the block."""
    before = [(space, name, vars(space).get(name)) for space, name, _ in replacements]
    try:
        for space, name, replacement in replacements:
            setattr(space, name, replacement)
        yield
    finally:
        for space, name, original in before:
            if original is None:
                delattr(space, name)  # it was inherited
            else:
                setattr(space, name, original)


_CONSTRUCTORS = (
    "empty empty_strided zeros ones full rand randn randint randperm arange range linspace logspace eye tensor "
    "as_tensor asarray scalar_tensor"
)


@functools.cache
def _constructors() -> tuple[Replacement, ...]:
    """Torch's functions that make a tensor: on the meta device unless they are told where."""
    return tuple((torch, name, _on_meta(getattr(torch, name))) for name in _CONSTRUCTORS.split())


def _on_meta(function: Any) -> Any:
    @functools.wraps(function)
    def make(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("device") is None:
            kwargs["device"] = _META
        return function(*args, **kwargs)

    return make


_WRITING_METHODS = (
    "normal_ uniform_ fill_ zero_ copy_ add_ sub_ mul_ div_ clamp_ clamp_min_ clamp_max_ erfinv_ exponential_ "
    "bernoulli_ log_normal_ random_ cauchy_ geometric_"
)


@functools.cache
def _initialisers() -> tuple[Replacement, ...]:
    """What writes values: methods in place, torch.nn.init with its helpers, and the resetting of torch's own layers.

    Some helpers sample by rejection, which reads values.
    """
    methods = [(torch.Tensor, name) for name in _WRITING_METHODS.split()]
    names = (name for name, value in vars(nn.init).items() if callable(value))
    functions = [(nn.init, name) for name in names if name.startswith("_no_grad_") or name.strip("_") + "_" == name]
    writers = [(space, name, _unwritten(getattr(space, name))) for space, name in methods + functions]
    return (*writers, *((layer, name, _nothing) for layer in _layers() for name in _RESETS & set(vars(layer))))


_RESETS = {"reset_parameters", "reset_running_stats", "_reset_parameters"}


def _layers() -> list[type[nn.Module]]:
    """Return torch's own layers; how a class derived from one resets itself is left to it."""
    modules = [space for space in vars(nn.modules).values() if isinstance(space, ModuleType)]
    found = [value for space in modules for value in vars(space).values() if isinstance(value, type)]
    return [cls for cls in dict.fromkeys(found) if issubclass(cls, nn.Module)]


def _unwritten(function: Any) -> Any:
    """Return the function with parameters and meta tensors left as they are; a tensor of values is written."""

    def write(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        if tensor.is_meta or isinstance(tensor, nn.Parameter):
            return tensor
        return function(tensor, *args, **kwargs)

    return write


def _nothing(*_: Any) -> None:
    """Stands for a method that only writes values into a layer's parameters and buffers."""


def _settled(model: nn.Module) -> nn.Module:
    """Put a network into eval mode, and on the meta device what is not there yet."""
    modules = tuple(modules_of(model))
    for module in modules:
        if _is_plain(module):
            vars(module)["training"] = False
    for module in reversed(modules):  # a module that has a say in its children's mode has the last word
        if not _is_plain(module):
            module.eval()
    return model if all(map(_is_on_meta, modules)) else _to_meta(model)


def _is_plain(module: nn.Module) -> bool:
    """Return whether going into eval mode sets a module's ``training``, and no more."""
    cls = type(module)
    return cls.train is nn.Module.train and cls.__setattr__ is nn.Module.__setattr__ and "train" not in vars(module)


_no_tensors: set[type] = set()
"""Types of attributes that were seen and are no tensors."""


def _is_on_meta(module: nn.Module) -> bool:
    """Return whether parameters, buffers, and tensors that a module keeps as plain attributes are on meta."""
    for tensor in (*module._parameters.values(), *module._buffers.values()):
        if tensor is not None and not tensor.is_meta:
            return False
    types = set(map(type, vars(module).values())) - _no_tensors
    if any(issubclass(cls, torch.Tensor) for cls in types):
        return all(value.is_meta for value in vars(module).values() if isinstance(value, torch.Tensor))
    _no_tensors.update(types)
    return True


def _to_meta(model: nn.Module) -> nn.Module:
    """Move parameters, buffers, and tensors that modules keep as plain attributes."""
    model = model.to(_META)
    for module in model.modules():
        for name, value in list(vars(module).items()):
            if isinstance(value, torch.Tensor) and not value.is_meta:
                setattr(module, name, value.to(_META))
    return model

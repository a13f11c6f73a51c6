"""Builds a network as shapes only: no weight is allocated, no initialiser computes."""

from __future__ import annotations

import functools
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_META = torch.device("meta")


def build_on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    """Return what ``build`` makes, in eval mode, with every tensor on the meta device.

    Some networks read values while they are built (``.item()``, ``linspace(...).tolist()``), which meta
    tensors do not have. They are built on the CPU, where parameters stay untouched memory, and then moved.
    The initialisers are silenced by a function mode and, on the CPU, by replacing torch.nn.init's helpers; both
    end with their block whatever happens inside.
    """
    try:
        with _META, _NoInitialisation():
            model = build()
    except MemoryError:
        raise
    except Exception:  # whatever a network makes of tensors without values; a fault of its own is raised again below
        with _helpers_replaced(), _NoInitialisation():
            model = build()
    return _to_meta(model).eval()


@contextmanager
def _helpers_replaced() -> Iterator[None]:
    """Make torch.nn.init's own helpers return their tensor as it is: some sample by rejection, reading values."""
    helpers = {name: value for name, value in vars(nn.init).items() if name.startswith("_no_grad_")}
    try:
        for name in helpers:
            setattr(nn.init, name, lambda tensor, *rest, **more: tensor)
        yield
    finally:
        for name, helper in helpers.items():
            setattr(nn.init, name, helper)


class _NoInitialisation(TorchFunctionMode):
    """Answers the functions that write values into a parameter or a meta tensor with that tensor."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _writers():
            written = args[0] if args else kwargs.get("tensor")
            if isinstance(written, nn.Parameter) or (isinstance(written, torch.Tensor) and written.is_meta):
                return written
        return func(*args, **kwargs)


_WRITING_METHODS = (
    "normal_ uniform_ fill_ zero_ copy_ add_ sub_ mul_ div_ clamp_ clamp_min_ clamp_max_ erfinv_ exponential_ "
    "bernoulli_ log_normal_ random_ cauchy_ geometric_"
)


@functools.cache
def _writers() -> frozenset[Any]:
    """The in-place methods that initialisers use, and torch.nn.init's own functions."""
    methods = (getattr(torch.Tensor, name) for name in _WRITING_METHODS.split())
    initialisers = (
        function
        for name, function in vars(nn.init).items()
        if name.endswith("_") and not name.startswith("_") and callable(function)
    )
    return frozenset((*methods, *initialisers))


def _to_meta(model: nn.Module) -> nn.Module:
    """Move parameters, buffers, and tensors that modules keep as plain attributes."""
    model = model.to(_META)
    for module in model.modules():
        for name, value in list(vars(module).items()):
            if isinstance(value, torch.Tensor) and not value.is_meta:
                setattr(module, name, value.to(_META))
    return model

"""Runs a network once on shapes alone and records every operation; all counts are computed from these events.

A function mode computes common operations by arithmetic on shapes (:mod:`~cardproof.measure.count.shapes`);
other operations run on torch's meta kernels under a dispatch mode that records matrix products and
convolutions. What the function mode computes never reaches the dispatcher, so nothing is recorded twice.

The shape rules do not apply inside ``torch.func`` transforms (a mapped tensor hides an axis) or if gradients are
recorded (a network may ask for them), so torch computes there. In inference mode composite operations reach the
dispatch mode whole and are decomposed. Compiled parts run as they are written.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from cardproof.measure.count.events import Tally
from cardproof.measure.count.kernels import Recorder, recorder_of
from cardproof.measure.count.shapes import OBSERVERS, SHAPE_RULES

if TYPE_CHECKING:
    from torch import nn

_META = torch.device("meta")


def tally(model: nn.Module, input_shape: tuple[int, int, int]) -> Tally:
    """Run ``model`` (on the meta device, in eval mode) on one image.

    A network that makes tensors on the CPU is run again with meta as the default device.
    """
    try:
        return _run(model, input_shape)
    except (RuntimeError, NotImplementedError):
        with _META:
            return _run(model, input_shape)


def _run(model: nn.Module, input_shape: tuple[int, int, int]) -> Tally:
    result = Tally()
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    image = torch.empty((1, *input_shape), dtype=dtype, device=_META)

    def enter(module: nn.Module, args: Any) -> None:
        result.modules.append(module)
        result.ran.add(id(module))
        result.classes.add(type(module).__name__)

    def leave(module: nn.Module, args: Any, output: Any) -> None:
        result.modules.pop()

    hooks = (
        register_module_forward_pre_hook(enter),
        register_module_forward_hook(leave, always_call=True),
    )
    try:
        with _as_written(), torch.no_grad(), _Kernels(result), ShapeRules(result):
            output = model(image)
    finally:
        for hook in hooks:
            hook.remove()
    result.output_shapes = tuple(tuple(tensor.shape) for tensor in _tensors(output))
    return result


@contextmanager
def _as_written() -> Iterator[None]:
    """Let compiled parts run as they are written, and attention without the fused kernels that meta tensors lack."""
    is_fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        if "torch._dynamo" in sys.modules:  # otherwise nothing is compiled, and importing the compiler takes a second
            with torch.compiler.set_stance("force_eager"):
                yield
        else:
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(is_fast)


def _tensors(output: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors of nested tuples, lists, dicts and data classes, in order; an output may contain itself."""
    seen: set[int] = set()
    pending = [output]
    while pending:
        value = pending.pop()
        if isinstance(value, torch.Tensor):
            yield value
        elif id(value) not in seen:
            seen.add(id(value))
            pending.extend(reversed(_parts(value)))


def _parts(value: Any) -> list[Any]:
    if isinstance(value, (tuple, list)):
        return list(value)
    fields = value if isinstance(value, dict) else getattr(value, "__dict__", {})
    return list(fields.values())


class ShapeRules(TorchFunctionMode):
    """Applies the shape rules; other functions run in torch."""

    def __init__(self, result: Tally) -> None:
        super().__init__()
        self.result = result

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        rule = SHAPE_RULES.get(func)
        if rule is not None and not _is_transformed():
            off = torch._C._DisableTorchDispatch()
            try:
                output = rule(self.result, *args, **kwargs)
            finally:
                del off
            if output is not NotImplemented:
                return output
        observer = OBSERVERS.get(func)
        if observer is None:
            return func(*args, **kwargs)
        return observer(self.result, func, *args, **kwargs)


def _is_transformed() -> bool:
    """Return whether a transform of ``torch.func`` is active, or gradients are recorded."""
    return torch.is_grad_enabled() or torch._C._functorch.maybe_current_level() is not None


class _Kernels(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records the kernels that multiply matrices or convolve, and the names of all."""

    def __init__(self, result: Tally) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.result = result

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Return False: nothing is compiled here, and torch's own check would import its compiler (1 s)."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name, record, is_composite = _kernel(func)
        if is_composite:
            with self:
                return func.decompose(*args, **(kwargs or {}))
        output = func(*args, **(kwargs or {}))
        self.result.names.add(name)
        if record is not None:
            record(self.result, output, *args)
        return output


@functools.cache
def _kernel(func: Any) -> tuple[str, Recorder | None, bool]:
    """Return a kernel's name, the function that records it, and whether it consists of others."""
    name = func.overloadpacket.__name__
    record = recorder_of(f"{func.namespace}::{name}")
    is_composite = torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd")
    return name, record, is_composite

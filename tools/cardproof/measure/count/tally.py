"""Runs a network once on shapes alone and records every operation; all counts are computed from these events.

A function mode computes common operations by arithmetic on shapes (:mod:`~cardproof.measure.count.shapes`);
other operations run on torch's meta kernels under a dispatch mode that records matrix products and
convolutions. What the function mode computes never reaches the dispatcher, so nothing is recorded twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from cardproof.measure.count.build import collector_paused
from cardproof.measure.count.events import Tally
from cardproof.measure.count.kernels import KERNELS
from cardproof.measure.count.shapes import OBSERVERS, SHAPE_RULES

if TYPE_CHECKING:
    from torch import nn

_META = torch.device("meta")


def tally(model: nn.Module, input_shape: tuple[int, int, int]) -> Tally:
    """Run ``model`` (on the meta device, in eval mode) on one image.

    A network that makes tensors on the CPU is run again with meta as the default device.
    """
    with collector_paused():
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
        with torch.no_grad(), _Kernels(result), _Functions(result):
            output = model(image)
    finally:
        for hook in hooks:
            hook.remove()
    result.output_shapes = tuple(tuple(tensor.shape) for tensor in _tensors(output))
    return result


def _tensors(output: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors of nested tuples, lists, dicts and data classes, in order."""
    if isinstance(output, torch.Tensor):
        yield output
    elif isinstance(output, dict):
        for value in output.values():
            yield from _tensors(value)
    elif isinstance(output, (tuple, list)):
        for value in output:
            yield from _tensors(value)
    elif hasattr(output, "__dict__"):
        yield from _tensors(vars(output))


class _Functions(TorchFunctionMode):
    """Applies the shape rules; other functions run in torch."""

    def __init__(self, result: Tally) -> None:
        super().__init__()
        self.result = result

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        rule = SHAPE_RULES.get(func)
        if rule is not None:
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
        output = func(*args, **(kwargs or {}))
        packet = func.overloadpacket
        self.result.names.add(packet.__name__)
        record = KERNELS.get(packet)
        if record is not None:
            record(self.result, output, *args)
        return output

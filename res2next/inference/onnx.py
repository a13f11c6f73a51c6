"""Networks as ONNX, for use outside of torch: in float32, or quantized to 8-bit integers."""

from __future__ import annotations

import copy
import importlib.util
import os
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import torch

from res2next.errors import EngineNotAvailable, ExportFailed
from res2next.files import write_atomic
from res2next.inference.network import can_optimize

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor, nn


# read when onnxruntime is imported, which otherwise collects usage in a database below ~/.cache
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def export_onnx(model: nn.Module, path: Path, *, size: tuple[int, int, int] = (3, 224, 224)) -> None:
    """Write a network as ONNX, for images (C, H, W) of one size and batches of any size, with norms folded.

    The input is ``images`` (n, C, H, W), the output ``logits`` (n, classes), both float32. The write is atomic.

    Raises:
        TypeError: not a network of this package as :func:`res2next.create_model` makes it.
        EngineNotAvailable: the package onnx is missing; the extra ``export`` installs it.
    """
    if not can_optimize(model):
        raise TypeError(f"{type(model).__name__} is not a network of res2next: export_onnx takes one of create_model()")
    if importlib.util.find_spec("onnx") is None:
        raise EngineNotAvailable("export_onnx needs the package onnx: pip install 'cardproof[export]'")
    write_atomic(path, onnx_bytes(model, torch.zeros(1, *size)))


def onnx_bytes(model: nn.Module, images: Tensor) -> bytes:
    """Any network from images to logits as the content of an ONNX file, for batches of any size.

    Args:
        model: it stays as it is.
        images: (n, C, H, W) such as the network gets; only their size and type matter.

    Raises:
        ExportFailed: it has operators that ONNX lacks, such as those of an optimized network.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder, "network.onnx")
        try:
            network = copy.deepcopy(model).cpu().eval().requires_grad_(False)
            torch.onnx.export(
                network,
                (images,),
                str(path),
                input_names=["images"],
                output_names=["logits"],
                dynamic_axes={"images": {0: "n"}, "logits": {0: "n"}},
                opset_version=17,
                dynamo=False,  # the other exporter needs one more package, onnxscript
            )
        except Exception as trouble:  # the network may be foreign code
            reason = str(trouble).partition("\n")[0]
            raise ExportFailed(
                f"{type(model).__name__} cannot be exported to ONNX ({reason}): use the engine torch, or export the "
                "network that it was made of"
            ) from trouble
        return path.read_bytes()


def input_size(content: bytes) -> tuple[int, ...]:
    """The size (C, H, W) of the images that the content of an ONNX file is for; 0 for a side that may be any."""
    import onnx

    images = onnx.load_from_string(content).graph.input[0]
    return tuple(side.dim_value for side in images.type.tensor_type.shape.dim[1:])


def quantized_bytes(model: nn.Module, images: Iterable[Tensor]) -> bytes:
    """Any network from images to logits as the content of an ONNX file that computes in 8-bit integers.

    Weights are scaled channel by channel, features by their range over ``images`` (Jacob et al., 2018, section 2).

    Args:
        model: it stays as it is.
        images: batches (n, C, H, W) that the network was trained on, never those that it is measured on.

    Raises:
        EngineNotAvailable: the package onnxruntime is missing; the extra ``export`` installs it.
        ExportFailed: as :func:`onnx_bytes`.
        ValueError: there are no images.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        raise EngineNotAvailable("int8 needs the package onnxruntime: pip install 'cardproof[export]'")
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    batches = iter(images)
    first = next(batches, None)
    if first is None:
        raise ValueError("int8 needs images to find the ranges of features: give some of the training set")

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> dict[str, object] | None:
            batch = next(every, None)
            return None if batch is None else {"images": batch.contiguous().numpy()}

    every = chain([first], batches)
    with TemporaryDirectory() as folder:
        exact, prepared, rounded = (Path(folder, f"{name}.onnx") for name in ("exact", "prepared", "rounded"))
        exact.write_bytes(onnx_bytes(model, first[:1]))
        quant_pre_process(exact, prepared)
        # unsigned features and signed weights: what x86's instructions for 8 bits multiply
        types = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
        quantize_static(prepared, rounded, Reader(), per_channel=True, **types)
        return rounded.read_bytes()

"""Engines: what computes a network on a CPU. Torch, or the exported network by ONNX Runtime or OpenVINO.

All compute in float32, and differ in the order of sums only; quantized networks compute in 8-bit integers, with other
sums. What computes is a module from images to logits, so that it can stand where a network does.
"""

from __future__ import annotations

import copy
import importlib.util
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn

from res2next.errors import EngineNotAvailable, ExportFailed
from res2next.inference.network import evaluation_mode
from res2next.inference.onnx import input_size, onnx_bytes, quantized_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]

Engine = Literal["torch", "onnxruntime", "openvino"]

CHOICES = ("torch", "onnxruntime", "openvino", "auto")
"""Names of the engines, and the word for the fastest of those that are installed."""

EXPORTING: tuple[Engine, ...] = ("openvino", "onnxruntime")
"""Engines of exported networks, the fastest first, by ``tools/bench/inference.py``; each is a package of this name."""

ROUNDING = 1e-3
"""An exported network is the same if no logit differs by more than this fraction of the largest one."""


def choose_engine(wanted: str, device: str = "cpu") -> Engine:
    """The engine of this name; for ``auto`` the fastest that is installed, and torch on other devices than CPUs.

    Raises:
        EngineNotAvailable: its package is missing, or it does not compute on this kind of device.
        ValueError: no engine has this name.
    """
    if wanted not in CHOICES:
        raise ValueError(f"{wanted!r} is not an engine: choose {', '.join(CHOICES)}")
    if wanted == "auto":
        found = [engine for engine in EXPORTING if device == "cpu" and not _missing_packages(engine)]
        return found[0] if found else "torch"
    for engine in EXPORTING:
        if engine == wanted:
            _require_engine(engine, device)
            return engine
    return "torch"


def _missing_packages(engine: Engine) -> list[str]:
    return [name for name in ("onnx", engine) if importlib.util.find_spec(name) is None]


def _require_engine(engine: Engine, device: str) -> None:
    if engine not in EXPORTING:
        raise ValueError(f"{engine!r} is not an engine of exported networks: choose {' or '.join(EXPORTING)}")
    if missing := _missing_packages(engine):
        packages = f"package{'s' if len(missing) > 1 else ''} {' and '.join(missing)}"
        raise EngineNotAvailable(f"the engine {engine} needs the {packages}: pip install 'cardproof[export]'")
    if device != "cpu":
        raise EngineNotAvailable(f"the engine {engine} computes on a CPU, and not on {device}: use the engine torch")


class Exported(nn.Module):
    """A network as ONNX, computed by ONNX Runtime or OpenVINO; it cannot be trained.

    The network is exported at the first forward for images of a new size, and its logits are compared with torch's.
    Several threads may call it at once.
    """

    content: Tensor | None

    def __init__(
        self,
        model: nn.Module | bytes,
        engine: Engine,
        *,
        threads: int | None = None,
        streams: int = 1,
        precision: str = "float32",
    ) -> None:
        """Take a network, which is computed in evaluation mode, or the content of an ONNX file.

        Args:
            model: on a CPU, in float32; it must not change afterwards. Content of a file is for one size of images.
            engine: ``onnxruntime`` or ``openvino``.
            threads: of all forwards together; as many as torch uses unless given.
            streams: forwards that are computed at the same time, each by its share of the threads.
            precision: of the content of a file, for the record.

        Raises:
            EngineNotAvailable: a package is missing.
            ValueError: the network is not in float32, or the engine is not one of these.
        """
        super().__init__()
        _require_engine(engine, "cpu")
        self.model: nn.Module | None = None
        self.register_buffer("content", None)  # a buffer, so that the state dict tells networks apart
        if isinstance(model, bytes):
            self.content = torch.frombuffer(bytearray(model), dtype=torch.uint8)
        elif any(part.dtype != torch.float32 for part in model.parameters()):
            raise ValueError(f"the engine {engine} computes in float32, and the network is not: use model.float()")
        else:
            self.model = model
        self.engine, self.precision = engine, precision
        self._threads, self._streams = threads or torch.get_num_threads(), streams
        self._runs: dict[tuple[int, ...], Run] = {}
        self._exported: dict[tuple[int, ...], bytes] = {}
        self._lock = Lock()
        super().train(False)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) -> logits (N, classes), both float32, on the CPU.

        Raises:
            ExportFailed: the network cannot be exported, or exported it gives other logits.
            ValueError: the images are not of the size that the content of a file is for.
        """
        with self._lock:
            run = self._runs.get(images.shape[1:])
            if run is None:
                start = {"onnxruntime": _onnxruntime, "openvino": _openvino}[self.engine]
                run = start(self._onnx(images[:1]), self._threads, self._streams)
                self._compare(run, images)
                self._runs[images.shape[1:]] = run
        return torch.from_numpy(run(images.contiguous().numpy()))

    def in_streams(self, streams: int) -> Exported:
        """The same for another number of streams, with as many threads in all."""
        other = copy.copy(self)
        other._streams, other._runs, other._lock = streams, {}, Lock()
        return other

    def train(self, mode: bool = True) -> Exported:
        """Stay as it is.

        Raises:
            ValueError: ``mode`` is True.
        """
        if mode:
            raise ValueError("an exported network cannot be trained: train the network that it was made of")
        return self

    def _compare(self, run: Run, images: Tensor) -> None:
        """Compute two images, since the network was exported by one, by torch too."""
        if self.model is None or not len(images):
            return
        two = images[[0, -1]].contiguous()
        with evaluation_mode(self.model), torch.inference_mode():
            expected = self.model(two)
        try:
            logits = torch.from_numpy(run(two.numpy()))
        except Exception as trouble:
            raise ExportFailed(f"exported, {self._name} cannot be computed by {self.engine}: {trouble}") from trouble
        largest = float(expected.nan_to_num(0, 0, 0).abs().max())
        same = logits.shape == expected.shape
        if not (same and torch.allclose(logits, expected, rtol=0, atol=ROUNDING * largest, equal_nan=True)):
            raise ExportFailed(
                f"exported and computed by {self.engine}, {self._name} gives other logits: use the engine torch"
            )

    @property
    def _name(self) -> str:
        return type(self.model).__name__

    def _onnx(self, images: Tensor) -> bytes:
        size = images.shape[1:]
        if self.content is not None:
            content = self.content.numpy().tobytes()
            if not all(known in (0, side) for known, side in zip(input_size(content), size, strict=True)):
                raise ValueError(f"the file is for images of {input_size(content)}, and these are of {tuple(size)}")
            return content
        assert self.model is not None
        if size not in self._exported:  # shared by all numbers of streams
            self._exported[size] = onnx_bytes(self.model, images)
        return self._exported[size]


def quantize(model: nn.Module, images: Iterable[Tensor], engine: str = "auto") -> Exported:
    """A network that computes in 8-bit integers on a CPU, several times faster and with other logits.

    Args:
        model: any network from images to logits; it stays as it is.
        images: batches (n, C, H, W), all of one size, of some hundred images that the network was trained on. They give
            the ranges of its features; never use those that it is measured on.
        engine: ``onnxruntime`` or ``openvino``, or ``auto`` for the faster of those that are installed. Both need
            onnxruntime, which quantizes.

    Raises:
        EngineNotAvailable: a package is missing, which the extra ``export`` installs; or the engine is torch.
        ValueError: there are no images.
    """
    chosen = choose_engine(engine)
    if chosen == "torch":
        raise EngineNotAvailable("int8 is computed by onnxruntime or openvino: pip install 'cardproof[export]'")
    return Exported(quantized_bytes(model, images), chosen, precision="int8")


def _onnxruntime(content: bytes, threads: int, streams: int) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = max(1, threads // streams)
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    (name,) = (entry.name for entry in session.get_inputs())
    return lambda images: session.run(None, {name: images})[0]


def _openvino(content: bytes, threads: int, streams: int) -> Run:
    import openvino

    settings: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": "f32",  # otherwise bfloat16 on processors that have it
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": streams,
        "ENABLE_CPU_PINNING": False,  # two processes would be pinned to the same cores
    }
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(content), "CPU", settings)
    # a request for each forward: threads must not share one, and making it takes 0.1 ms
    return lambda images: compiled.create_infer_request().infer([images])[0].copy()

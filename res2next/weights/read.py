"""Reads a file of weights: its tensors, without running code, and what it says about itself.

That is its network, its classes and how images are made ready. Training on images of one's own writes it into the
header of the safetensors file, so that the file can be used without anything else. The header of a file from elsewhere
is untrusted text, which is checked and bounded.
"""

from __future__ import annotations

import json
import math
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from res2next.errors import UnknownModel, UnreadableWeights
from res2next.registry import Preprocessing, find

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from res2next.datasets import DatasetInfo

WRAPPERS = ("state_dict_ema", "model_ema", "ema", "state_dict", "model")
"""Keys of a state dict in checkpoints of training scripts; averaged weights first, since these are evaluated."""

PREFIXES = ("module.", "_orig_mod.", "model.", "network.", "backbone.")
"""Prefixes of names by DistributedDataParallel, ``torch.compile``, Lightning and OpenMMLab."""

ENDINGS = (".pth", ".pt", ".pth.tar", ".bin", ".ckpt")
"""Of files that torch.save writes."""


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a ``.safetensors`` file, or of one of torch.save (:data:`ENDINGS`), by name, on the CPU.

    Checkpoints of training scripts are unwrapped (:data:`WRAPPERS`), prefixes of wrapping modules are removed
    (:data:`PREFIXES`). No code of a pickle is run.

    Raises:
        UnreadableWeights: another format, a damaged file, or one with more than tensors and plain values.
        OSError: no such file, or no permission.
    """
    if path.suffix == ".safetensors":
        return _strip_prefixes(_require_dense(_read_safetensors(path), path))
    if path.name.endswith(ENDINGS):
        return _strip_prefixes(_require_dense(_unwrap(_read_pickle(path), path), path))
    known = f".safetensors, {', '.join(ENDINGS)}"
    raise UnreadableWeights(path, f"is of no format that is read ({known})", "save its state dict as one of these")


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError, MemoryError) as trouble:
        raise UnreadableWeights(path, f"is not a whole safetensors file ({trouble})", "fetch it again") from None


def _read_pickle(path: Path) -> Any:
    from pickle import UnpicklingError

    import torch

    _require_stored(path)
    try:
        # timm's checkpoints have the arguments of the training script, others numpy's numbers; neither runs code
        with torch.serialization.safe_globals([Namespace, *_numpy_numbers()]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as trouble:
        if "Unsupported global" not in str(trouble):
            raise _damaged_error(path) from trouble
        raise UnreadableWeights(
            path,
            "holds Python objects besides its tensors, and only tensors are loaded, since a pickle can run any code",
            "where you trust it, save its state dict alone",
        ) from trouble
    except OSError:
        raise
    except Exception as trouble:  # a damaged pickle may raise anything
        raise _damaged_error(path) from trouble


def _numpy_numbers() -> list[Any]:
    """The globals that a pickle of a number of numpy refers to; such a number is the best accuracy so far."""
    import numpy as np

    scalar = np.float64(0).__reduce__()[0]
    kinds = (np.bool_, np.int32, np.int64, np.float16, np.float32, np.float64)
    return [np.dtype, *(type(np.dtype(kind)) for kind in kinds), scalar, (scalar, "numpy.core.multiarray.scalar")]


MOST_TIMES = 4
"""How many times its own size a file may have once it is unpacked: torch.save does not compress."""


def _require_stored(path: Path) -> None:
    """Raise UnreadableWeights if an archive says that it unpacks to far more than its size; nothing is unpacked."""
    from zipfile import BadZipFile, ZipFile

    if not path.is_file():
        return
    size = path.stat().st_size
    try:
        with ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except (BadZipFile, ValueError, NotImplementedError, EOFError):  # of an older format, or damaged
        return
    if unpacked > MOST_TIMES * size:
        trouble = f"is compressed: {size:,} bytes would become {unpacked:,}, and torch.save does not compress"
        raise UnreadableWeights(path, trouble, "fetch it again, or save its state dict alone")


def _damaged_error(path: Path) -> UnreadableWeights:
    trouble = "is damaged, was not written by torch.save, or holds more than tensors, which alone are loaded"
    return UnreadableWeights(path, trouble, "fetch it again, or save its state dict alone")


def _unwrap(loaded: Any, path: Path) -> dict[str, Tensor]:
    from torch import Tensor

    if isinstance(loaded, Mapping):
        loaded = next((loaded[key] for key in WRAPPERS if isinstance(loaded.get(key), Mapping)), loaded)
        if loaded and all(isinstance(name, str) and isinstance(loaded[name], Tensor) for name in loaded):
            return dict(loaded)
    advice = f"save a state dict, by itself or under one of {', '.join(WRAPPERS)}"
    raise UnreadableWeights(path, "holds no state dict", advice)


def _require_dense(state: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The tensors unchanged. Raises UnreadableWeights if one is not a dense array of real numbers."""
    import torch

    for name, tensor in state.items():
        dense = tensor.layout == torch.strided and not tensor.is_meta and not tensor.is_quantized
        if not dense or tensor.is_complex():
            kinds = {"meta": tensor.is_meta, "quantized": tensor.is_quantized, "complex": tensor.is_complex()}
            kind = next((kind for kind, holds in kinds.items() if holds), "sparse")
            raise UnreadableWeights(path, f"holds {name} as a {kind} tensor", "save it as a dense one of real numbers")
    return state


def _strip_prefixes(state: dict[str, Tensor]) -> dict[str, Tensor]:
    state.pop("n_averaged", None)  # number of updates in torch's AveragedModel
    while prefix := next((p for p in PREFIXES if state and all(name.startswith(p) for name in state)), None):
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    if any(name.startswith("backbone.") for name in state):  # of OpenMMLab, whose head is called head.fc
        names = {name: name.removeprefix("backbone.").removeprefix("head.") for name in state}
        if len({*names.values()}) == len(names):
            state = {names[name]: tensor for name, tensor in state.items()}
    return state


# --- Metadata ---

METADATA_KEY = "res2next"
"""The key of what a safetensors file says about itself, in its header."""

MOST_CHARACTERS = 2**22
MOST_CLASSES = 100_000
MOST_IN_A_NAME = 255
MOST_PIXELS = 4096
"""Limits of what is read: of the entry, of the classes, of the name of one, of the side of an image."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """The network, classes and preprocessing that a file of weights states."""

    model: str
    """An architecture of :func:`res2next.list_models`."""
    classes: tuple[str, ...]
    """Names of the network's outputs, in their order."""
    preprocessing: Preprocessing

    def dataset(self, name: str) -> DatasetInfo:
        """The classes as those of a data set that was not published."""
        from res2next.datasets import DatasetInfo  # a warm build of cards reads no metadata

        names: Callable[[], tuple[str, ...]] = partial(tuple[str, ...], self.classes)
        return DatasetInfo(name, (), len(self.classes), {}, "", "unknown", names, read_class_ids=names, published=False)


def as_header(metadata: Metadata) -> dict[str, str]:
    """The entries of a safetensors header."""
    return {METADATA_KEY: json.dumps(asdict(metadata))}


def read_metadata(path: Path) -> Metadata | None:
    """What a file states; None for other formats, and for files without the entry.

    Raises:
        UnreadableWeights: the entry is not one that this package writes, or the file is damaged.
    """
    if path.suffix != ".safetensors" or not path.is_file():
        return None
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
    except (SafetensorError, ValueError, RuntimeError, MemoryError) as trouble:
        raise UnreadableWeights(path, f"is not a whole safetensors file ({trouble})", "fetch it again") from None
    if METADATA_KEY not in header:
        return None
    try:
        return _parse_metadata(header[METADATA_KEY])
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError, UnknownModel) as trouble:
        reason = f"states its network in a way that cannot be read ({trouble})"
        raise UnreadableWeights(path, reason, "give weights that this package wrote") from None


def count_outputs(path: Path) -> int | None:
    """The number of classes that the weights in a file are for; None if the file has no head.

    Raises:
        UnreadableWeights: as :func:`read_state_dict`.
    """
    if metadata := read_metadata(path):
        return len(metadata.classes)
    head = read_state_dict(path).get("fc.weight")
    return None if head is None or head.ndim == 0 else head.shape[0]


def _parse_metadata(text: str) -> Metadata:
    """The entry's values. Raises ValueError, or what comes of values of other types."""
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"it has {len(text):,} characters")
    values: dict[str, Any] = json.loads(text)
    classes, architecture = values["classes"], find(values["model"]).architecture
    if not isinstance(classes, list) or not 1 <= len(classes) <= MOST_CLASSES:
        raise ValueError(f"classes must be a list of 1 to {MOST_CLASSES:,} names")
    if not all(isinstance(name, str) and len(name) <= MOST_IN_A_NAME and name.isprintable() for name in classes):
        raise ValueError(f"a name of a class has at most {MOST_IN_A_NAME} characters, which can be printed")
    if len(set(classes)) < len(classes):
        raise ValueError("two classes have the same name")
    return Metadata(architecture, tuple(classes), _parse_preprocessing(values["preprocessing"]))


def _parse_preprocessing(values: dict[str, Any]) -> Preprocessing:
    size, mean, std = (tuple(values[name]) for name in ("input_size", "mean", "std"))
    crop, interpolation = float(values["crop_pct"]), values["interpolation"]
    if len(size) != 3 or not all(type(side) is int and 1 <= side <= MOST_PIXELS for side in size):
        raise ValueError("input_size must be channels, height and width")
    if size[0] not in (1, 3) or len(mean) != size[0] or len(std) != size[0]:
        raise ValueError("images have 1 or 3 channels, with a mean and a deviation each")
    if not all(math.isfinite(float(value)) for value in mean) or not all(0 < float(value) < math.inf for value in std):
        raise ValueError("means must be finite, and deviations above 0")
    if not 0.1 <= crop <= 1 or interpolation not in ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"):
        raise ValueError("crop_pct must be from 0.1 to 1, and interpolation a filter of Pillow")
    return Preprocessing(size, crop, interpolation, tuple(map(float, mean)), tuple(map(float, std)))

"""Finds files of trained weights, verifies them, and loads them into networks.

Files are found and verified without torch; it is imported where something is downloaded or loaded.
"""

from __future__ import annotations

import hashlib
import os
import sys
from argparse import Namespace
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.error import URLError

from res2next.errors import TruncatedWeights, UnfitWeights, UnreadableWeights, WeightsNotAvailable, WrongWeights
from res2next.registry import ENTRIES

if TYPE_CHECKING:
    from torch import Tensor, nn

    from res2next.registry import Entry, Weights

VARIABLE = "RES2NEXT_WEIGHTS"
"""The environment variable that names a file of weights, or a folder that holds files under their published names."""

BUNDLED = Path(__file__).with_name("pretrained")
"""Where the files lie that come with the package."""

WRAPPERS = ("state_dict_ema", "model_ema", "ema", "state_dict", "model")
"""Under which key training scripts save a state dict; averaged weights first, since they are what is evaluated."""

PREFIXES = ("module.", "_orig_mod.")
"""What DistributedDataParallel and ``torch.compile`` put before every name."""

FIRST_CONVOLUTIONS = ("conv1.weight", "conv1.0.weight", "base_layer.0.weight")
"""What takes in the image: of a Res2Net, of one with a deep stem, of a DLA."""


# --- Where the file is ---


def weights_path(entry: Entry, given: Path | None = None) -> Path:
    """The verified file of an entry's weights; downloaded when it is at hand nowhere.

    Searched in this order: ``given``; what the environment variable RES2NEXT_WEIGHTS names; for weights that
    come with the package, the package; otherwise torch.hub's folder of downloads, to which the published file
    is downloaded. Size and SHA-256 are verified wherever a file has its published name. One with a name that is
    nobody's in the registry is taken as the caller's own, and taken as it is.

    Args:
        given: a file, or a folder that holds the file under its published name.

    Raises:
        WeightsNotAvailable: nothing is where ``given`` or the variable points, or the download did not work.
        TruncatedWeights: a file is shorter than it should be.
        WrongWeights: a file is another one than its name says, or is that of another entry.
    """
    found = local_weights(entry, given)
    return download(entry) if found is None else found


def local_weights(entry: Entry, given: Path | None = None) -> Path | None:
    """As :func:`weights_path`, without a download: None where one would be needed."""
    if given is not None:
        return _given(entry, given.expanduser(), called="")
    if named := os.environ.get(VARIABLE):
        place = Path(named).expanduser()
        # one variable serves all models: another model's file, or a folder without this one's, is no mistake
        elsewhere = place.is_dir() and not (place / entry.weights.file).is_file()
        if not elsewhere and (place.name == entry.weights.file or _owner(place.name) is None):
            return _given(entry, place, called=f" ({VARIABLE})")
    if entry.weights.url is None:
        return _bundled(entry)
    cached = cache_folder() / entry.weights.file
    if not cached.is_file():
        return None
    verify(cached, entry.weights, called=str(cached), advice="delete it, and it is downloaded again")
    return cached


def cache_folder() -> Path:
    """torch.hub's folder of downloads, by torch.hub's own rule, which holds without torch being imported too."""
    if "torch.hub" in sys.modules:  # it may have been told another folder
        return Path(sys.modules["torch.hub"].get_dir()) / "checkpoints"
    torch_home = os.environ.get("TORCH_HOME", f"{os.environ.get('XDG_CACHE_HOME', '~/.cache')}/torch")
    return Path(torch_home).expanduser() / "hub" / "checkpoints"


def download(entry: Entry) -> Path:
    """Download an entry's file to :func:`cache_folder`, whole and verified or not at all.

    Raises:
        WeightsNotAvailable: the file comes with the package and has no address, or the server cannot be reached.
        TruncatedWeights, WrongWeights: what arrived is not the published file. Nothing of it is kept.
    """
    from torch.hub import download_url_to_file

    weights, folder = entry.weights, cache_folder()
    advice = f"put the file {weights.file} into {folder}, or set {VARIABLE} to it or to a folder that holds it"
    if weights.url is None:
        raise WeightsNotAvailable(entry.name, f"{weights.file} is published nowhere", advice)
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=f"{weights.file}.") as arriving:
        path = Path(arriving) / weights.file
        try:
            download_url_to_file(weights.url, str(path), progress=sys.stderr.isatty())
        except (URLError, HTTPException, TimeoutError, ConnectionError) as trouble:
            reason = str(trouble).strip("<>")
            raise WeightsNotAvailable(entry.name, f"{weights.url} cannot be downloaded ({reason})", advice) from trouble
        verify(path, weights, called=f"what arrived from {weights.url}", advice=f"try again, or {advice}")
        path.replace(folder / weights.file)
    return folder / weights.file


def verify(path: Path, weights: Weights, *, called: str, advice: str) -> None:
    """Compare the file's size, where the published one is known, then the beginning of its SHA-256.

    Args:
        called: what a message calls the file.
        advice: what a message tells the reader to do.

    Raises:
        TruncatedWeights: it is shorter than the published file.
        WrongWeights: it is longer, or its SHA-256 is another.
    """
    size = path.stat().st_size
    if weights.size is not None and size < weights.size:
        raise TruncatedWeights(called, weights.file, size, weights.size, advice)
    if weights.size is not None and size > weights.size:
        trouble = f"is another file: {size:,} bytes where {weights.file} has {weights.size:,}"
        raise WrongWeights(called, trouble, advice)
    digest = file_digest(path).removeprefix("sha256:")
    if not digest.startswith(weights.sha256_prefix):
        kind = "truncated or another file" if weights.size is None else "another file"
        known = f"its SHA-256 begins with {digest[:8]}, that of {weights.file} with {weights.sha256_prefix}"
        raise WrongWeights(called, f"is {kind}: {known}", advice)


def file_digest(path: Path) -> str:
    """``sha256:<hex>`` of a file's bytes."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _given(entry: Entry, place: Path, *, called: str) -> Path:
    weights = entry.weights
    path = place / weights.file if place.is_dir() else place
    if not path.is_file():
        raise WeightsNotAvailable(
            entry.name,
            f"there is no file {path}{called}",
            f"give a file of weights, or a folder that holds {weights.file}",
        )
    owner = _owner(path.name)
    if path.name == weights.file:
        advice = f"fetch {weights.file} again, or give weights of your own another name"
        verify(path, weights, called=str(path), advice=advice)
    elif owner is not None:
        advice = f"give {weights.file}, or weights of your own under a name of their own"
        raise WrongWeights(str(path), f"has the name of the weights of {owner.name}, not of {entry.name}", advice)
    return path


def _bundled(entry: Entry) -> Path:
    path = BUNDLED / entry.weights.file
    advice = "install the package again"
    if not path.is_file():
        raise WeightsNotAvailable(entry.name, f"{path}, which comes with the package, is missing", advice)
    verify(path, entry.weights, called=str(path), advice=advice)
    return path


def _owner(file: str) -> Entry | None:
    """The entry of the registry whose file has this name."""
    return next((entry for entry in ENTRIES if entry.weights.file == file), None)


# --- What is in the file ---


def load_weights(network: nn.Module, path: Path) -> None:
    """Load a file into a network, strictly: every tensor must be there and fit, or none is loaded.

    Takes what :func:`read_state_dict` reads. A head stored as a matrix fits a 1x1 convolution, and the other way
    round; projections that the authors' DLAs store and never use are left out.

    Raises:
        UnreadableWeights: no tensors can be read from the file.
        UnfitWeights: they are not those of the network; the message says of which they are, if of one that is known.
    """
    stored = _arranged(read_state_dict(path), network)
    _load(network, stored, path, stored)


def load_pretrained(network: nn.Module, path: Path, classes: int) -> None:
    """As :func:`load_weights`, adapted to a network with another head, without one, or for grey images.

    Args:
        classes: those of the published weights. A network with another number of them keeps the head that it
            has; one without a head (a feature extractor) leaves the file's out.

    A first convolution for one channel gets the sum over the three of the file, as timm has it: a grey image then
    gives what the same image in red, green and blue would.
    """
    own = network.state_dict()
    stored = _arranged(read_state_dict(path), network)
    state = dict(stored)
    head = {name: tensor for name, tensor in own.items() if name.startswith("fc.")}
    published_head = "fc.weight" in stored and stored["fc.weight"].shape[:1] == (classes,)
    if not head or (published_head and head["fc.weight"].shape[:1] != (classes,)):
        state = {name: tensor for name, tensor in stored.items() if not name.startswith("fc.")} | head
    first = next(name for name in FIRST_CONVOLUTIONS if name in own)
    if first in state and state[first].shape[1:2] == (3,) and own[first].shape[1] == 1:
        state[first] = state[first].float().sum(dim=1, keepdim=True)
    _load(network, state, path, stored)


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a ``.safetensors``, ``.pth``, ``.pt`` or ``.pth.tar`` file by name, on the CPU.

    Checkpoints of training scripts are unwrapped (:data:`WRAPPERS`), prefixes of wrapping modules are taken off
    (:data:`PREFIXES`). Only tensors are loaded: no code of a pickle runs.

    Raises:
        UnreadableWeights: another format, a damaged file, or one that holds more than tensors and plain values.
        OSError: no such file, or no permission.
    """
    if path.suffix == ".safetensors":
        return _without_prefixes(_plain(_read_safetensors(path), path))
    if path.name.endswith((".pth", ".pt", ".pth.tar")):
        return _without_prefixes(_plain(_unwrapped(_read_pickle(path), path), path))
    known = ".safetensors, .pth, .pt and .pth.tar"
    raise UnreadableWeights(path, f"is of no format that is read ({known})", "save its state dict as one of these")


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as trouble:
        raise UnreadableWeights(path, f"is no whole safetensors file ({trouble})", "fetch or save it again") from None


def _read_pickle(path: Path) -> Any:
    from pickle import UnpicklingError

    import torch

    try:
        # timm's checkpoints hold the training script's arguments; a Namespace runs nothing
        with torch.serialization.safe_globals([Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as trouble:
        if "Unsupported global" not in str(trouble):
            raise _damaged(path) from trouble
        raise UnreadableWeights(
            path,
            "holds Python objects beside its tensors, and only tensors are loaded, since a pickle can run any code",
            "where you trust it, save its state dict alone",
        ) from trouble
    except (RuntimeError, EOFError, ValueError, KeyError) as trouble:
        raise _damaged(path) from trouble


def _damaged(path: Path) -> UnreadableWeights:
    trouble = "is damaged, was not written by torch.save, or holds more than tensors, which alone are loaded"
    return UnreadableWeights(path, trouble, "fetch it again, or save its state dict alone")


def _unwrapped(loaded: Any, path: Path) -> dict[str, Tensor]:
    from torch import Tensor

    if isinstance(loaded, Mapping):
        loaded = next((loaded[key] for key in WRAPPERS if isinstance(loaded.get(key), Mapping)), loaded)
        if loaded and all(isinstance(name, str) and isinstance(loaded[name], Tensor) for name in loaded):
            return dict(loaded)
    advice = f"save a state dict, by itself or under one of {', '.join(WRAPPERS)}"
    raise UnreadableWeights(path, "holds no state dict", advice)


def _plain(state: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The tensors as they are. Raises UnreadableWeights where one is not an array of real numbers."""
    import torch

    for name, tensor in state.items():
        dense = tensor.layout == torch.strided and not tensor.is_meta and not tensor.is_quantized
        if not dense or tensor.is_complex():
            kinds = {"meta": tensor.is_meta, "quantized": tensor.is_quantized, "complex": tensor.is_complex()}
            kind = next((kind for kind, holds in kinds.items() if holds), "sparse")
            raise UnreadableWeights(path, f"holds {name} as a {kind} tensor", "save it as a dense one of real numbers")
    return state


def _without_prefixes(state: dict[str, Tensor]) -> dict[str, Tensor]:
    state.pop("n_averaged", None)  # torch's AveragedModel counts its updates beside the weights
    while prefix := next((p for p in PREFIXES if state and all(name.startswith(p) for name in state)), None):
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


# --- Whether they fit ---


def _load(network: nn.Module, state: dict[str, Tensor], path: Path, stored: dict[str, Tensor]) -> None:
    # checked first, because load_state_dict copies what fits before it complains of what does not
    differences = _differences(state, network)
    if differences:
        more = f" and {len(differences) - 3} more" if len(differences) > 3 else ""
        raise UnfitWeights(path, ", ".join(differences[:3]) + more, _advice(stored))
    network.load_state_dict(state, strict=True)


def _arranged(state: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Without the projections that a DLA does not have, and with the head in the network's own shape."""
    from res2next.dla import Tree

    unused = tuple(f"{name}.project." for name, module in network.named_modules() if isinstance(module, Tree))
    state = {name: tensor for name, tensor in state.items() if not name.startswith(unused)}
    head = network.state_dict().get("fc.weight")
    stored = state.get("fc.weight")
    if head is not None and stored is not None and {stored.ndim, head.ndim} == {2, 4}:
        state["fc.weight"] = stored[:, :, None, None] if stored.ndim == 2 else stored.flatten(1)
    return state


def _differences(state: Mapping[str, Tensor], network: nn.Module) -> list[str]:
    own = network.state_dict()
    # checkpoints of torch before 0.4.1 do not count batches, and load all the same
    missing = [name for name in own if name not in state and not name.endswith("num_batches_tracked")]
    return [
        *(f"{name} is missing" for name in missing),
        *(f"{name} is none of the network's" for name in state if name not in own),
        *(
            f"{name} has shape {tuple(tensor.shape)}, not {tuple(own[name].shape)}"
            for name, tensor in state.items()
            if name in own and tensor.shape != own[name].shape
        ),
        *(
            f"{name} holds {tensor.dtype}, not {own[name].dtype}"
            for name, tensor in state.items()
            if name in own and tensor.is_floating_point() != own[name].is_floating_point()
        ),
    ]


def _advice(stored: dict[str, Tensor]) -> str:
    """What the tensors seem to be those of."""
    import torch

    from res2next.create import create_model  # which imports this module

    # a file may hold anything under these names
    classes = stored["fc.weight"].shape[0] if "fc.weight" in stored and stored["fc.weight"].ndim else 0
    first = [stored[name] for name in FIRST_CONVOLUTIONS if name in stored and stored[name].ndim == 4]
    channels = max(1, first[0].shape[1]) if first else 3
    fitting = []
    for entry in ENTRIES:
        with torch.device("meta"):
            candidate = create_model(entry.name, num_classes=classes, in_chans=channels)
        if not _differences(_arranged(stored, candidate), candidate):
            fitting.append(entry)
    if len(fitting) != 1:
        return "give the weights of this architecture; res2next.list_models() names all that are known"
    own = fitting[0]
    numbers = "" if classes == own.num_classes else f", num_classes={classes}"
    numbers += "" if channels == own.preprocessing.input_size[0] else f", in_chans={channels}"
    return f"they fit create_model({own.architecture!r}{numbers})"

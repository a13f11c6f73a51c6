"""Checks whether tensors fit a network, and loads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from res2next.errors import UnfitWeights
from res2next.registry import ENTRIES
from res2next.weights.read import read_state_dict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor, nn

FIRST_CONVOLUTIONS = ("conv1.weight", "conv1.0.weight", "base_layer.0.weight")
"""Weights of the first convolution: of a Res2Net, of one with a deep stem, of a DLA."""


def load_weights(network: nn.Module, path: Path) -> None:
    """Load a file into a network, strictly: all tensors must fit, or none is loaded.

    Formats are those of :func:`read_state_dict`. A head stored as a matrix fits a 1x1 convolution and vice versa;
    unused projections in the authors' DLAs are left out.

    Raises:
        UnreadableWeights: no tensors can be read from the file.
        UnfitWeights: they do not fit; the message names the architecture that they fit, if there is one.
    """
    stored = _adapted_state(read_state_dict(path), network)
    _load(network, stored, path, stored)


def load_pretrained(network: nn.Module, path: Path, classes: int) -> None:
    """As :func:`load_weights`, adapted to a network with another head, without one, or for grey images.

    Args:
        classes: number of classes of the published weights. A network with another number keeps its head; one
            without a head (a feature extractor) does not load the file's.

    A first convolution for one channel gets the sum over the file's three, as in timm: a grey image then gives the
    result of the same image in red, green and blue.
    """
    own = network.state_dict()
    stored = _adapted_state(read_state_dict(path), network)
    state = dict(stored)
    head = {name: tensor for name, tensor in own.items() if name.startswith("fc.")}
    published_head = "fc.weight" in stored and stored["fc.weight"].shape[:1] == (classes,)
    if not head or (published_head and head["fc.weight"].shape[:1] != (classes,)):
        state = {name: tensor for name, tensor in stored.items() if not name.startswith("fc.")} | head
    first = next(name for name in FIRST_CONVOLUTIONS if name in own)
    if first in state and state[first].shape[1:2] == (3,) and own[first].shape[1] == 1:
        state[first] = state[first].float().sum(dim=1, keepdim=True)
    _load(network, state, path, stored)


def _load(network: nn.Module, state: dict[str, Tensor], path: Path, stored: dict[str, Tensor]) -> None:
    # checked first: load_state_dict copies fitting tensors before it raises
    differences = _differences(state, network)
    if differences:
        more = f" and {len(differences) - 3} more" if len(differences) > 3 else ""
        raise UnfitWeights(path, ", ".join(differences[:3]) + more, _advice(stored))
    network.load_state_dict(state, strict=True)


def _adapted_state(state: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """The state dict without projections that a DLA does not have, and with the head in the network's shape."""
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
    # checkpoints of torch before 0.4.1 do not have it, and can be loaded
    missing = [name for name in own if name not in state and not name.endswith("num_batches_tracked")]
    return [
        *(f"{name} is missing" for name in missing),
        *(f"{name} is not in the network" for name in state if name not in own),
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
    """The architecture that the tensors fit, for a message."""
    import torch

    from res2next.variants import build

    # a file may have any tensors under these names
    classes = stored["fc.weight"].shape[0] if "fc.weight" in stored and stored["fc.weight"].ndim else 0
    first = [stored[name] for name in FIRST_CONVOLUTIONS if name in stored and stored[name].ndim == 4]
    channels = max(1, first[0].shape[1]) if first else 3
    fitting = []
    for entry in ENTRIES:
        with torch.device("meta"):
            candidate = build(entry, num_classes=classes, in_chans=channels)
        if not _differences(_adapted_state(stored, candidate), candidate):
            fitting.append(entry)
    if len(fitting) != 1:
        return "give the weights of this architecture; res2next.list_models() names all that are known"
    own = fitting[0]
    numbers = "" if classes == own.num_classes else f", num_classes={classes}"
    numbers += "" if channels == own.preprocessing.input_size[0] else f", in_chans={channels}"
    return f"they fit create_model({own.architecture!r}{numbers})"

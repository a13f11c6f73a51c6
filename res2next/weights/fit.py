"""Whether tensors fit a network, and loading them if they do."""

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
"""What takes in the image: of a Res2Net, of one with a deep stem, of a DLA."""


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

    from res2next.variants import build

    # a file may hold anything under these names
    classes = stored["fc.weight"].shape[0] if "fc.weight" in stored and stored["fc.weight"].ndim else 0
    first = [stored[name] for name in FIRST_CONVOLUTIONS if name in stored and stored[name].ndim == 4]
    channels = max(1, first[0].shape[1]) if first else 3
    fitting = []
    for entry in ENTRIES:
        with torch.device("meta"):
            candidate = build(entry, num_classes=classes, in_chans=channels)
        if not _differences(_arranged(stored, candidate), candidate):
            fitting.append(entry)
    if len(fitting) != 1:
        return "give the weights of this architecture; res2next.list_models() names all that are known"
    own = fitting[0]
    numbers = "" if classes == own.num_classes else f", num_classes={classes}"
    numbers += "" if channels == own.preprocessing.input_size[0] else f", in_chans={channels}"
    return f"they fit create_model({own.architecture!r}{numbers})"

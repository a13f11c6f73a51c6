"""The network that training starts from: fresh, or with the weights of another training and a fresh head."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from res2next.create import create_model
from res2next.recipes import PRETRAINED
from res2next.registry import find
from res2next.weights import load_weights, weights_path
from res2next.weights.metadata import count_outputs

if TYPE_CHECKING:
    from res2next.distributed import World
    from res2next.recipes import Recipe


def initial_network(recipe: Recipe, classes: int, world: World) -> nn.Module:
    """The network of a recipe before its first update, for this number of classes.

    Fresh weights are drawn from torch's generator. A network that starts from other weights has a fresh head, and
    everything else from the file. Every process must call this.

    Raises:
        WeightsNotAvailable, TruncatedWeights, WrongWeights, UnreadableWeights, UnfitWeights: the initial weights.
    """
    file = initial_file(recipe, world)
    if file is None:
        return create_model(recipe.model, num_classes=classes, zero_init_last=recipe.zero_init_last)
    network = create_model(recipe.model, num_classes=count_outputs(file) or 0)
    load_weights(network, file)
    network.reset_classifier(classes)  # type: ignore[operator]  # of all networks of this package
    if recipe.trunk_rate == 0:
        freeze_trunk(network)
    return network


def initial_file(recipe: Recipe, world: World) -> Path | None:
    """The file of weights that a recipe starts from; the first process downloads it if necessary, for all."""
    if recipe.initial_weights is None:
        return None
    given = None if recipe.initial_weights == PRETRAINED else Path(recipe.initial_weights)
    if world.rank == 0:
        weights_path(find(recipe.model), given)
    world.barrier()
    return weights_path(find(recipe.model), given)


def freeze_trunk(network: nn.Module) -> None:
    """Let everything but the head stay as it is: parameters, and the statistics of norms."""
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(is_head(name))
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.eval()


def is_head(name: str) -> bool:
    """Whether a parameter is of the head, by its name."""
    return name.startswith("fc.")

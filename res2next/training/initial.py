"""The network that training starts from: fresh, or with the weights of another training and a fresh head."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from res2next.create import create_model
from res2next.distributed import DeviceNotAvailable
from res2next.dla import DlaVariant
from res2next.recipes import PRETRAINED, RecipeError
from res2next.registry import find
from res2next.variants import BY_NAME
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
        RecipeError: ``drop_path`` of a network whose blocks cannot be skipped.
        DeviceNotAvailable: ``sync_batch_norm`` of several processes without GPUs.
    """
    network = _network_of_one_process(recipe, classes, world)
    if not recipe.sync_batch_norm or world.size == 1:
        return network
    if world.device.type != "cuda":
        raise DeviceNotAvailable(f"sync_batch_norm needs GPUs: torch cannot do it on {world.device.type}")
    converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
    return converted


def _network_of_one_process(recipe: Recipe, classes: int, world: World) -> nn.Module:
    if recipe.drop_path and isinstance(BY_NAME[find(recipe.model).architecture], DlaVariant):
        raise RecipeError(recipe.name, "drop_path", f"{recipe.model} has no blocks that can be skipped")
    file = initial_file(recipe, world)
    network = create_model(
        recipe.model,
        num_classes=classes if file is None else count_outputs(file) or 0,
        drop_rate=recipe.drop_rate,
        drop_path_rate=recipe.drop_path,
        zero_init_last=recipe.zero_init_last,
    )
    if file is None:
        return network
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

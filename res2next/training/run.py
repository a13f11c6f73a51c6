"""The state of training: the network that it starts from, weights, their average, the optimizer."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import torch
from torch import nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from res2next.create import create_model
from res2next.distributed import DeviceNotAvailable, half_precision
from res2next.dla import DlaVariant
from res2next.recipes import PRETRAINED, RecipeError
from res2next.registry import find
from res2next.training_log import LogRow
from res2next.variants import BY_NAME
from res2next.weights import load_weights, weights_path
from res2next.weights.read import count_outputs

if TYPE_CHECKING:
    from torch import Tensor

    from res2next.distributed import World
    from res2next.recipes import Recipe
    from res2next.training.batches import Batches


class Best(TypedDict):
    """The weights of an epoch, for a recipe that keeps the best: a dict, which can be loaded without running code."""

    epoch: int
    """From 1."""
    correct: int
    """Held-out images that these weights classify correctly."""
    weights: dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state that training continues from."""

    run: dict[str, str]
    """Identity of the run: settings of the recipe, digest of the data, number of held-out images."""
    step: int
    """Updates done."""
    network: dict[str, Tensor]
    average: dict[str, Tensor] | None
    """The moving average of the weights, if the recipe has one."""
    optimizer: dict[str, Any]
    scaler: dict[str, Any]
    loss: float
    """Sum over the updates of the epoch so far."""
    log_bytes: int
    """Length of the log; later rows are of updates that will be repeated."""
    best: Best | None = None
    """The best epoch so far, if the recipe keeps it."""
    seconds: float = 0.0
    """Duration of training so far."""


@dataclass(slots=True)
class Run:
    """The state of training."""

    recipe: Recipe
    network: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    """Prevents underflow of float16 gradients; disabled for other precisions."""
    average: dict[str, Tensor] | None
    """The moving average of the weights, if the recipe has one."""
    world: World
    precision: torch.dtype
    """Of mixed precision."""
    loss: Tensor
    """Sum of this process's losses over the updates of the epoch so far."""
    step: int = 0
    """Updates done."""
    seconds: float = 0.0
    """Duration of training so far."""
    best: Best | None = None
    """The best epoch so far, if the recipe keeps it; on the first process."""

    @classmethod
    def fresh(cls, recipe: Recipe, classes: int, world: World) -> Run:
        """The state before the first update, with fresh weights drawn by the recipe's seed."""
        device = world.device
        with torch.random.fork_rng(devices=[]):  # the caller's generator is unchanged
            torch.default_generator.manual_seed(recipe.seed)
            network = initial_network(recipe, classes, world)
        # twice as fast as the default layout on a CPU, and best for tensor cores
        network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        precision = half_precision(device)
        scaled = recipe.mixed_precision and precision == torch.float16
        return cls(
            recipe,
            network,
            make_optimizer(network, recipe),
            torch.amp.GradScaler(device.type, enabled=scaled),
            None if recipe.ema_decay is None else {k: v.clone() for k, v in network.state_dict().items()},
            world,
            precision,
            torch.zeros((), dtype=torch.float64, device=device),
        )

    @property
    def device(self) -> torch.device:
        """Device of this process."""
        return self.world.device

    def restore(self, checkpoint: Checkpoint) -> None:
        """Load a checkpoint."""
        self.network.load_state_dict(checkpoint.network)
        self.optimizer.load_state_dict(checkpoint.optimizer)
        self.scaler.load_state_dict(checkpoint.scaler)
        for name, value in (checkpoint.average or {}).items():
            self.average[name].copy_(value)  # type: ignore[index]
        self.step, self.seconds = checkpoint.step, checkpoint.seconds
        self.loss.fill_(checkpoint.loss if self.world.rank == 0 else 0.0)
        self.best = checkpoint.best

    def shared_loss(self) -> float:
        """The sum over all processes, which the first then holds, and the others 0. Every process must call this."""
        losses = self.world.gather(float(self.loss))
        self.loss.fill_(sum(losses))
        return float(self.loss)

    def row(self, epoch: int, rate: float, images_per_second: float, batches: Batches) -> LogRow:
        """The log's row of the epoch that has just ended; complete on the first process only."""
        loss = self.shared_loss() / (batches.steps_per_epoch * self.world.size)
        self.loss.zero_()
        score = evaluate_held_out(self, batches) if len(batches.held_out) and self.world.rank == 0 else None
        if score is not None and self.recipe.keep == "best" and score.correct > self.most_correct:
            self.best = Best(epoch=epoch + 1, correct=score.correct, weights=self.weights())
        return LogRow(
            epoch + 1,
            self.step,
            rate,
            loss,
            images_per_second,
            held_out_correct=None if score is None else score.correct,
            held_out_loss=None if score is None else score.loss,
            seconds=self.seconds,
        )

    @property
    def most_correct(self) -> int:
        """Held-out images that the best epoch so far classified correctly; -1 before any."""
        return -1 if self.best is None else self.best["correct"]

    def weights(self) -> dict[str, Tensor]:
        """A copy of the weights after the last update, on the CPU: of the average if there is one."""
        state = self.network.state_dict() if self.average is None else self.average
        return {name: value.detach().to("cpu", copy=True).contiguous() for name, value in state.items()}

    def result(self) -> dict[str, Tensor]:
        """The resulting weights, on the CPU: those of the best epoch if the recipe keeps it, else the last."""
        return self.weights() if self.best is None else self.best["weights"]


@dataclass(frozen=True, slots=True)
class Score:
    """Results on the held-out images."""

    correct: int
    loss: float
    """Mean cross entropy, without label smoothing."""


@torch.inference_mode()
def evaluate_held_out(run: Run, batches: Batches) -> Score:
    """Measure the weights after the last update on the held-out images."""
    network = deepcopy(run.network).eval()
    network.load_state_dict(run.weights())
    correct, loss = 0, 0.0
    for images, labels in batches.evaluation():
        logits = network(images.to(run.device, memory_format=torch.channels_last))
        labels = labels.to(run.device)
        correct += int((logits.argmax(1) == labels).sum())
        loss += float(functional.cross_entropy(logits, labels, reduction="sum"))
    return Score(correct, loss / len(batches.held_out))


# --- The state before the first update ---


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
    """Freeze everything but the head: parameters, and the statistics of norms."""
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(is_head(name))
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.eval()


def is_head(name: str) -> bool:
    """Whether a parameter is of the head, by its name."""
    return name.startswith("fc.")


def make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The optimizer of all parameters that are not frozen, in groups with their own ``factor`` of the learning rate.

    If the recipe says so, norms and biases, which are the parameters with one dimension, have no weight decay.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        decay = recipe.weight_decay if recipe.decay_norm_and_bias or parameter.ndim > 1 else 0.0
        if parameter.requires_grad:
            groups.setdefault((decay, 1.0 if is_head(name) else recipe.trunk_rate), []).append(parameter)
    sets = [{"params": each, "weight_decay": decay, "factor": factor} for (decay, factor), each in groups.items()]
    if recipe.optimizer == "AdamW":
        return torch.optim.AdamW(sets, recipe.learning_rate)
    return torch.optim.SGD(sets, recipe.learning_rate, momentum=recipe.momentum, nesterov=recipe.nesterov)

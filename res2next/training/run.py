"""The state of training: weights, their average, the optimizer."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from res2next.distributed import half_precision
from res2next.training.checkpoint import Best
from res2next.training.initial import initial_network, is_head
from res2next.training_log import LogRow

if TYPE_CHECKING:
    from torch import Tensor, nn

    from res2next.distributed import World
    from res2next.recipes import Recipe
    from res2next.training.batches import Batches
    from res2next.training.checkpoint import Checkpoint


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

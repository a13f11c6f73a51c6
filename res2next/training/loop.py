"""Trains a network by a recipe: one loop, from fresh weights to a file.

The numbers of a run are a function of its recipe and its images: order, augmentation and mixing are drawn from
(seed, epoch, step), never from global state. So a killed run continues from its last checkpoint with the same
results, bit for bit on a CPU, and processes of torchrun share every batch without changing it, but that each mixes and
drops by itself.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from itertools import islice
from typing import TYPE_CHECKING

import torch
from torch import distributed, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import get_ema_multi_avg_fn

from res2next.distributed import World
from res2next.errors import Res2NextError
from res2next.recipes import learning_rate
from res2next.registry import find
from res2next.training.augment import generator, mix_images
from res2next.training.batches import Part, TrainingDataError, make_batches
from res2next.training.monitor import REPORT_EVERY, Clock, interruptions
from res2next.training.run import Run
from res2next.training.run_folder import RunFolder, Trained, make_header
from res2next.weights.read import Metadata

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from torch import Tensor

    from res2next.datasets import ImageSet
    from res2next.recipes import Recipe
    from res2next.training.augment import Mix
    from res2next.training.monitor import Listener


def train(
    recipe: Recipe,
    data: ImageSet,
    output: Path,
    *,
    held_out: int = 0,
    resume: bool = False,
    world: World = World(),  # noqa: B008 - immutable
    workers: int = 0,
    compiled: bool = False,
    checkpoint_every: int = 500,
    listener: Listener | None = None,
) -> Trained | None:
    """Train by ``recipe`` on the images of ``data``, and write weights and log to the folder ``output``.

    Weights for other classes than the model's in the registry state these classes (:mod:`res2next.weights.read`).

    Args:
        held_out: number of images that are not trained on; after each epoch the network is measured on them.
        resume: continue from the last checkpoint in ``output``, if there is one.
        world: the processes that share the work; each calls this function.
        workers: processes that decode photos. Small images are held in memory and need none.
        compiled: compile the network (``torch.compile``): faster after minutes, and equal but for rounding.
        checkpoint_every: updates between two checkpoints within an epoch; there is one after each epoch too.

    Returns:
        The files written; None on all processes but the first.

    Raises:
        FolderInUse: ``output`` has a run, and ``resume`` is False.
        CheckpointError: ``resume`` is True, and ``output`` has another run, or a damaged one.
        TrainingDataError: images that do not suit the recipe.
        RecipeError, DeviceNotAvailable: a setting that the network or the processes cannot have.
        NotCompiled: torch cannot compile the network here.
        CorruptImage: images of a batch cannot be decoded.
        KeyboardInterrupt: on SIGINT or SIGTERM, after a checkpoint.
    """
    part, entry = Part(world.rank, world.size, recipe.accumulate), find(recipe.model)
    if len(data.classes) < 2:
        raise TrainingDataError(f"{data.info.name} has one class: there is nothing to tell apart")
    if recipe.keep == "best" and not held_out:
        raise TrainingDataError("the best epoch is chosen by images that are held out: hold some out, or keep the last")
    batches = make_batches(data, recipe, entry.preprocessing, held_out, part, workers)
    run = Run.fresh(recipe, len(data.classes), world)
    stated = None
    if data.info.name != entry.dataset:
        stated = Metadata(entry.architecture, tuple(data.classes), entry.preprocessing)
    folder = RunFolder(output, make_header(recipe, data, held_out, world, compiled=compiled), stated)
    listeners = folder.start(run, resume, listener)
    if compiled:
        run.network.compile()  # in place: names of weights stay
    # statistics of batch norm are shared after each update instead of being copied from the first process
    network = DistributedDataParallel(run.network, broadcast_buffers=False) if world.size > 1 else run.network

    steps, total = batches.steps_per_epoch, recipe.epochs * batches.steps_per_epoch
    clock = Clock(run.step, total, recipe.batch_size, run.seconds)
    parts = batches.parts_from(run.step)  # of this process, `accumulate` of them per update
    with listeners, interruptions() as stop, compiler_errors():
        while run.step < total:
            epoch = run.step // steps
            rate = learning_rate(recipe, run.step, steps)
            loss = update(run, network, list(islice(parts, recipe.accumulate)), rate)
            epoch_done = run.step % steps == 0
            if run.step % REPORT_EVERY == 0:
                listeners.progress(clock.progress(run.step, epoch, recipe.epochs, rate, float(loss)))
            run.seconds = clock.seconds
            if epoch_done:
                row = run.row(epoch, rate, clock.images_per_second(run.step), batches)
                listeners.epoch(row, held_out)
            stopping = stop.requested_by_any(run.step, world)
            if epoch_done or stopping or run.step % checkpoint_every == 0:
                folder.save_checkpoint(run)
            if stopping:
                listeners.notice(f"stopped after update {run.step} of {total}; continue with --resume")
                raise KeyboardInterrupt
    if run.best is not None:
        listeners.notice(f"kept the weights of epoch {run.best['epoch']}: {run.best['correct']} of {held_out} right")
    return folder.finish(run)


def update(run: Run, network: nn.Module, parts: Sequence[tuple[Tensor, Tensor]], rate: float) -> Tensor:
    """Update the weights from this process's parts of a batch; return their mean loss."""
    recipe = run.recipe
    for group in run.optimizer.param_groups:
        group["lr"] = rate * group.get("factor", 1.0)  # checkpoints of earlier versions do not have it
    total = torch.zeros((), device=run.device)
    for turn, (images, labels) in enumerate(parts):
        images = images.to(run.device, memory_format=torch.channels_last, non_blocking=True)  # (n, C, H, W)
        labels = labels.to(run.device, non_blocking=True)  # (n,)
        mix = mix_images(images, labels, recipe, generator(recipe.seed, "mix", run.step))
        with gradient_exchange(network, last=turn == len(parts) - 1):
            with (
                torch.autocast(run.device.type, run.precision, enabled=recipe.mixed_precision),
                seeded_dropout(run, turn * run.world.size + run.world.rank),
            ):
                logits = network(mix.images)  # (n, classes)
            loss = LOSSES[recipe.loss](logits.float(), labels, mix, recipe.label_smoothing) / len(parts)
            run.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        total += loss.detach()
    if recipe.clip_norm is not None:
        run.scaler.unscale_(run.optimizer)
        nn.utils.clip_grad_norm_(run.network.parameters(), recipe.clip_norm)
    run.scaler.step(run.optimizer)
    run.scaler.update()
    run.optimizer.zero_grad()
    if not recipe.sync_batch_norm:  # which gives all processes the same
        share_statistics(run.network, run.world)
    run.step += 1
    run.loss += total
    if run.average is not None:
        update_average(run.average, run.network, recipe.ema_decay or 0.0, run.step)
    return total


class NotCompiled(Res2NextError, RuntimeError):  # noqa: N818 - it says what is the matter
    """A network that torch cannot compile here, for instance without a C++ compiler."""


@contextmanager
def compiler_errors() -> Iterator[None]:
    """Turn errors of ``torch.compile``, which happen in the first update, into one of this package."""
    try:
        yield
    except torch._dynamo.exc.TorchDynamoException as trouble:
        reason = str(getattr(trouble, "inner_exception", trouble)).strip().partition("\n")[0]
        raise NotCompiled(f"torch cannot compile the network here: {reason}; train without compiling it") from trouble


@contextmanager
def gradient_exchange(network: nn.Module, *, last: bool) -> Iterator[None]:
    """Let processes exchange gradients once per update, in the last of its parts."""
    with network.no_sync() if isinstance(network, DistributedDataParallel) and not last else nullcontext():
        yield


@contextmanager
def seeded_dropout(run: Run, part: int) -> Iterator[None]:
    """Let dropout and stochastic depth draw by (seed, step, part of the batch), as all else of a run is drawn.

    They draw from torch's own generators, which are as before afterwards.
    """
    recipe, device = run.recipe, run.device
    if not recipe.drop_rate and not recipe.drop_path:
        yield
        return
    seed = generator(recipe.seed, "drop", run.step, part).initial_seed()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        elif device.type != "cpu":
            torch.get_device_module(device).manual_seed(seed)
        yield


@torch.no_grad()
def share_statistics(network: nn.Module, world: World) -> None:
    """Replace the running statistics of batch norm by their mean over all processes, which have other images each.

    Every process must call this. Running statistics are linear in those of the batches, so that the mean is what one
    process would have that saw all their parts.
    """
    if world.size == 1:
        return
    buffers = [buffer for buffer in network.buffers() if buffer.is_floating_point()]
    joined = torch.cat([buffer.flatten() for buffer in buffers])
    distributed.all_reduce(joined)
    means = torch.split(joined / world.size, [buffer.numel() for buffer in buffers])
    for buffer, mean in zip(buffers, means, strict=True):
        buffer.copy_(mean.view_as(buffer))


def compute_loss(logits: Tensor, labels: Tensor, mix: Mix, smoothing: float) -> Tensor:
    """Mean cross entropy of logits (n, classes) with labels (n,), and with the second labels of mixed images."""
    loss = functional.cross_entropy(logits, labels, label_smoothing=smoothing)
    if mix.share < 1:
        others = functional.cross_entropy(logits, mix.others, label_smoothing=smoothing)
        loss = mix.share * loss + (1 - mix.share) * others
    return loss


def compute_binary_loss(logits: Tensor, labels: Tensor, mix: Mix, smoothing: float) -> Tensor:
    """Mean binary cross entropy of logits (n, classes), over images and classes.

    The target of a class is 1 if it is one of the image's labels, of which a mixed image has two, whatever their shares
    (Wightman et al., 2021, arXiv 2110.00476, section 2), and 0 otherwise; with smoothing s of n classes 1 - s + s/n
    and s/n.
    """
    targets = functional.one_hot(labels, logits.shape[1])
    if mix.share < 1:
        targets |= functional.one_hot(mix.others, logits.shape[1])
    smoothed = targets * (1 - smoothing) + smoothing / logits.shape[1]
    return functional.binary_cross_entropy_with_logits(logits, smoothed)


LOSSES = {"cross-entropy": compute_loss, "bce": compute_binary_loss}


@torch.no_grad()
def update_average(average: dict[str, Tensor], network: nn.Module, decay: float, updates: int) -> None:
    """The exponential moving average after ``updates`` updates: average = d average + (1 - d) weights.

    d = min(decay, (1 + updates) / (10 + updates)), the rule of TensorFlow's ExponentialMovingAverage: it is
    smaller in the beginning, to forget the fresh weights. Statistics of batch norm are averaged like weights; counters
    are copied.
    """
    state = network.state_dict()
    names = [name for name, value in state.items() if value.is_floating_point()]
    decay = min(decay, (1 + updates) / (10 + updates))
    move = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    move([average[name] for name in names], [state[name] for name in names], None)
    for name in state.keys() - names:
        average[name].copy_(state[name])

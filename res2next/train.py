"""Trains a network by a recipe: one loop, from fresh weights to a file.

The numbers of a run are a function of its recipe and its images: order, augmentation and mixing are drawn from
(seed, epoch, step), never from global state. So a run that was killed goes on from its last checkpoint as if
nothing had been, bit for bit on a CPU, and processes of torchrun share every batch without changing it.
"""

from __future__ import annotations

import hashlib
import platform
import signal
import threading
import time
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

import torch
from safetensors.torch import save as as_safetensors
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from res2next.augment import generator, mixed
from res2next.batches import Part, batches_of
from res2next.checkpoint import Checkpoint, newest, save, saved, write_whole
from res2next.create import create_model
from res2next.distributed import World
from res2next.errors import Res2NextError
from res2next.registry import ENTRIES, find
from res2next.schedule import learning_rate
from res2next.training_log import LogHeader, LogRow, Progress, TrainingLog, cut_log, start_log, tensorboard

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from torch import Tensor, nn

    from res2next.augment import Mix
    from res2next.batches import Batches
    from res2next.datasets import ImageSet
    from res2next.recipes import Recipe

REPORTED = 10
"""Updates between two reports: reading a loss makes a GPU wait."""


def train(
    recipe: Recipe,
    data: ImageSet,
    output: Path,
    *,
    held_out: int = 0,
    resume: bool = False,
    world: World = World(),  # noqa: B008 - immutable
    workers: int = 0,
    checkpoint_every: int = 500,
    listener: Listener | None = None,
) -> Trained | None:
    """Train by ``recipe`` on the images of ``data``, and write weights and log to the folder ``output``.

    Args:
        held_out: so many of the images are not trained on; after each epoch the network is measured on them.
        resume: go on from the last checkpoint in ``output``, if there is one.
        world: the processes that share the work; each calls this function.
        workers: processes that decode photos. Small images are held in memory and need none.
        checkpoint_every: updates between two checkpoints within an epoch; there is one after each epoch too.

    Returns:
        What was written; None on all processes but the first.

    Raises:
        FolderInUse: ``output`` has a run, and ``resume`` was not asked for.
        CheckpointError: ``resume`` was, and the run there is another, or is damaged.
        TrainingDataError: images that cannot be trained on by this recipe.
        KeyboardInterrupt: SIGINT or SIGTERM came; a checkpoint was written first.
    """
    part = Part(world.rank, world.size, recipe.accumulate)
    batches = batches_of(data, recipe, find(recipe.model).preprocessing, held_out, part, workers)
    run = Run.fresh(recipe, len(data.classes), world)
    folder = Folder(output, header_of(recipe, data, held_out, world))
    audience = folder.enter(run, resume, listener)
    network = DistributedDataParallel(run.network) if world.size > 1 else run.network

    steps, total = batches.steps_per_epoch, recipe.epochs * batches.steps_per_epoch
    clock = Clock(run.step, total, recipe.batch_size)
    parts = batches.following(run.step)  # this process's, `accumulate` of them an update
    with audience, interruptions() as stop:
        while run.step < total:
            epoch = run.step // steps
            rate = learning_rate(recipe, run.step, steps)
            loss = update(run, network, list(islice(parts, recipe.accumulate)), rate)
            epoch_done = run.step % steps == 0
            if run.step % REPORTED == 0:
                audience.progress(clock.progress(run.step, epoch, recipe.epochs, rate, float(loss)))
            if epoch_done:
                row = run.row(epoch, rate, clock.images_per_second(run.step), batches)
                audience.epoch(row, held_out)
            stopping = stop.everywhere(run.step, world)
            if epoch_done or stopping or run.step % checkpoint_every == 0:
                folder.keep(run)
            if stopping:
                audience.notice(f"stopped after update {run.step} of {total}; continue with --resume")
                raise KeyboardInterrupt
    return folder.finish(run)


def update(run: Run, network: nn.Module, parts: Sequence[tuple[Tensor, Tensor]], rate: float) -> Tensor:
    """One update of the weights from this process's parts of a batch; gives the mean loss of these."""
    recipe = run.recipe
    for group in run.optimizer.param_groups:
        group["lr"] = rate
    total = torch.zeros((), device=run.device)
    for turn, (images, labels) in enumerate(parts):
        images = images.to(run.device, memory_format=torch.channels_last, non_blocking=True)  # (n, C, H, W)
        labels = labels.to(run.device, non_blocking=True)  # (n,)
        mix = mixed(images, labels, recipe, generator(recipe.seed, "mix", run.step))
        with exchange(network, last=turn == len(parts) - 1):
            with torch.autocast(run.device.type, run.precision, enabled=recipe.mixed_precision):
                logits = network(mix.images)  # (n, classes)
            loss = loss_of(logits.float(), labels, mix, recipe.label_smoothing) / len(parts)
            run.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        total += loss.detach()
    run.scaler.step(run.optimizer)
    run.scaler.update()
    run.optimizer.zero_grad()
    run.step += 1
    run.loss += total
    if run.average is not None:
        update_average(run.average, run.network, recipe.ema_decay or 0.0, run.step)
    return total


@contextmanager
def exchange(network: nn.Module, *, last: bool) -> Iterator[None]:
    """Processes exchange gradients once an update, in the last of its parts."""
    with network.no_sync() if isinstance(network, DistributedDataParallel) and not last else nullcontext():
        yield


def loss_of(logits: Tensor, labels: Tensor, mix: Mix, smoothing: float) -> Tensor:
    """Mean cross entropy of logits (n, classes) against labels (n,), and against the others as far as images are
    mixed.
    """
    loss = functional.cross_entropy(logits, labels, label_smoothing=smoothing)
    if mix.share < 1:
        others = functional.cross_entropy(logits, mix.others, label_smoothing=smoothing)
        loss = mix.share * loss + (1 - mix.share) * others
    return loss


@torch.no_grad()
def update_average(average: dict[str, Tensor], network: nn.Module, decay: float, updates: int) -> None:
    """The exponential moving average after ``updates`` updates: average = d average + (1 - d) weights.

    d = min(decay, (1 + updates) / (10 + updates)), the rule of TensorFlow's ExponentialMovingAverage: in the
    beginning it is short, so that nothing stays of the fresh weights. Statistics of batch norm are averaged as
    weights are; counters are copied.
    """
    share = 1 - min(decay, (1 + updates) / (10 + updates))
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            average[name].lerp_(value, share)
        else:
            average[name].copy_(value)


# --- What training changes ---


@dataclass(slots=True)
class Run:
    """What changes while training goes on."""

    recipe: Recipe
    network: nn.Module
    optimizer: torch.optim.SGD
    scaler: torch.amp.GradScaler
    """Keeps small gradients of float16 from becoming 0; does nothing with other precisions."""
    average: dict[str, Tensor] | None
    """The moving average of the weights, where the recipe has one."""
    world: World
    precision: torch.dtype
    """Of mixed precision."""
    loss: Tensor
    """Sum of this process's losses over the updates of the epoch so far."""
    step: int = 0
    """Updates that are done."""

    @classmethod
    def fresh(cls, recipe: Recipe, classes: int, world: World) -> Run:
        """Fresh weights, drawn by the recipe's seed."""
        device = world.device
        with torch.random.fork_rng(devices=[]):  # the caller's numbers stay as they were
            torch.default_generator.manual_seed(recipe.seed)
            network = create_model(recipe.model, num_classes=classes, zero_init_last=recipe.zero_init_last)
        # twice as fast as the default layout on a CPU, and what tensor cores want
        network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        half = device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False)
        return cls(
            recipe,
            network,
            optimizer_of(network, recipe),
            torch.amp.GradScaler(device.type, enabled=half and recipe.mixed_precision),
            None if recipe.ema_decay is None else {k: v.clone() for k, v in network.state_dict().items()},
            world,
            torch.float16 if half else torch.bfloat16,
            torch.zeros((), dtype=torch.float64, device=device),
        )

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        return self.world.device

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint."""
        self.network.load_state_dict(checkpoint.network)
        self.optimizer.load_state_dict(checkpoint.optimizer)
        self.scaler.load_state_dict(checkpoint.scaler)
        for name, value in (checkpoint.average or {}).items():
            self.average[name].copy_(value)  # type: ignore[index]
        self.step = checkpoint.step
        self.loss.fill_(checkpoint.loss if self.world.rank == 0 else 0.0)

    def shared_loss(self) -> float:
        """The sum over all processes; the first then carries it, the others begin at 0. Each must call this."""
        everyone = self.world.gather(float(self.loss))
        self.loss.fill_(sum(everyone))
        return float(self.loss)

    def row(self, epoch: int, rate: float, images_per_second: float, batches: Batches) -> LogRow:
        """What the log says of the epoch that has just ended; complete on the first process only."""
        loss = self.shared_loss() / (batches.steps_per_epoch * self.world.size)
        self.loss.zero_()
        score = score_of(self, batches) if len(batches.held_out) and self.world.rank == 0 else None
        return LogRow(
            epoch + 1,
            self.step,
            rate,
            loss,
            images_per_second,
            held_out_correct=None if score is None else score.correct,
            held_out_loss=None if score is None else score.loss,
        )

    def result(self) -> dict[str, Tensor]:
        """The weights that training is for: the average, where there is one. On the CPU."""
        state = self.network.state_dict() if self.average is None else self.average
        return {name: value.detach().cpu().contiguous() for name, value in state.items()}


def optimizer_of(network: nn.Module, recipe: Recipe) -> torch.optim.SGD:
    """SGD; norms and biases, which are the parameters with one dimension, are kept from weight decay if the recipe
    says so.
    """
    parameters = list(network.parameters())
    decayed = [p for p in parameters if recipe.decay_norm_and_bias or p.ndim > 1]
    others = [p for p in parameters if not (recipe.decay_norm_and_bias or p.ndim > 1)]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.SGD(
        [group for group in groups if group["params"]],
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
    )


@dataclass(frozen=True, slots=True)
class Score:
    """How a network does on the images that are held out."""

    correct: int
    loss: float
    """Mean cross entropy, without label smoothing."""


@torch.inference_mode()
def score_of(run: Run, batches: Batches) -> Score:
    """Measure the weights that training is for."""
    network = deepcopy(run.network).eval()
    network.load_state_dict(run.result())
    correct, loss = 0, 0.0
    for images, labels in batches.evaluation():
        logits = network(images.to(run.device, memory_format=torch.channels_last))
        labels = labels.to(run.device)
        correct += int((logits.argmax(1) == labels).sum())
        loss += float(functional.cross_entropy(logits, labels, reduction="sum"))
    return Score(correct, loss / len(batches.held_out))


# --- What training writes ---


class FolderInUse(Res2NextError, RuntimeError):  # noqa: N818 - it says what is the matter
    """A folder that has a run already."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What training leaves."""

    weights: Path
    """``MODEL-TAG-HASH.safetensors``, the hash being the first eight digits of the file's SHA-256."""
    log: Path
    """The log, under the same name with ``.csv``."""
    step: int
    """Updates that were done."""


class Folder:
    """The folder of a run: ``log.csv``, ``checkpoints``, ``tensorboard``, and in the end weights with their log."""

    def __init__(self, path: Path, header: LogHeader) -> None:
        self.path = path
        self.header = header
        self.log = path / "log.csv"
        self.checkpoints = path / "checkpoints"
        self.identity = identity_of(header)

    def enter(self, run: Run, resume: bool, listener: Listener | None) -> Audience:
        """Begin a run here, or go on with the one that is here.

        Returns:
            Those who are to be told; nobody on any process but the first.

        Raises:
            FolderInUse: it has a run, and ``resume`` was not asked for, or one that cannot be gone on with.
            CheckpointError: it has another run, or a damaged one.
        """
        notices: list[str] = []
        self._refuse_used(resume)
        checkpoint = newest(self.checkpoints, self.identity, notices.append) if resume else None
        if checkpoint is not None:
            run.restore(checkpoint)
        run.world.barrier()  # nobody writes before everybody has read
        if run.world.rank > 0:
            return Audience(())
        if checkpoint is None:
            self.path.mkdir(parents=True, exist_ok=True)
            start_log(self.log, self.header)
        else:
            cut_log(self.log, checkpoint.log_bytes)
        board = tensorboard(self.path / "tensorboard", run.step)
        if board is None:
            notices.append("no log for TensorBoard: it is not installed (pip install tensorboard); log.csv has it all")
        audience = Audience((TrainingLog(self.log, board), *(() if listener is None else (listener,))))
        for text in notices:
            audience.notice(text)
        return audience

    def keep(self, run: Run) -> None:
        """Write a checkpoint. Each process must call this; the first writes."""
        loss = run.shared_loss()
        if run.world.rank == 0:
            checkpoint = Checkpoint(
                run=self.identity,
                step=run.step,
                network=run.network.state_dict(),
                average=run.average,
                optimizer=run.optimizer.state_dict(),
                scaler=run.scaler.state_dict(),
                loss=loss,
                log_bytes=self.log.stat().st_size,
            )
            save(self.checkpoints, checkpoint)

    def finish(self, run: Run) -> Trained | None:
        """Write the weights, and the log beside them."""
        if run.world.rank > 0:
            return None
        content = as_safetensors(run.result(), metadata={"format": "pt"})
        tag = tag_of(run.recipe)
        stem = f"{run.recipe.model}-{tag}-{hashlib.sha256(content).hexdigest()[:8]}"
        weights, log = self.path / f"{stem}.safetensors", self.path / f"{stem}.csv"
        write_whole(log, self.log.read_bytes())
        write_whole(weights, content)
        return Trained(weights, log, run.step)

    def _refuse_used(self, resume: bool) -> None:
        finished = sorted(self.path.glob("*.safetensors"))
        begun = saved(self.checkpoints)
        if finished and not (resume and begun):
            raise FolderInUse(f"{self.path} has a finished run, {finished[0].name}; train into another folder")
        if begun and not resume:
            raise FolderInUse(
                f"{self.path} has a run that was begun; continue it with --resume, or take another folder"
            )


def header_of(recipe: Recipe, data: ImageSet, held_out: int, world: World) -> LogHeader:
    """What the log says of a run before its first epoch."""
    return LogHeader(
        recipe=recipe,
        dataset=data.info.name,
        digest=data.digest,
        images=len(data) - held_out,
        held_out=held_out,
        device=world.device.type,
        processes=world.size,
        versions={"python": platform.python_version(), "torch": torch.__version__},
    )


def identity_of(header: LogHeader) -> dict[str, str]:
    """What must be the same where a run is continued. Device, versions and number of processes may change."""
    values = {f"recipe.{key}": value for key, value in asdict(header.recipe).items()}
    values |= {"digest of the data": header.digest, "images held out": header.held_out}
    return {key: str(value) for key, value in values.items()}


def tag_of(recipe: Recipe) -> str:
    """What a file of weights says of their data, as in the registry: ``in1k`` for ImageNet."""
    return next((entry.tag for entry in ENTRIES if entry.dataset == recipe.dataset), recipe.dataset.lower())


# --- Who is told, and who may stop it ---


class Listener(Protocol):
    """Who wants to know how training goes."""

    def progress(self, progress: Progress) -> None:
        """After every tenth update."""

    def epoch(self, row: LogRow, held_out: int) -> None:
        """After every epoch, with the number of images that are held out."""

    def notice(self, text: str) -> None:
        """Something that a person should know."""


class Audience:
    """Tells all listeners; the log is one of them."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self.listeners = listeners

    def __enter__(self) -> Audience:
        return self

    def __exit__(self, *_: object) -> None:
        for listener in self.listeners:
            if isinstance(listener, TrainingLog):
                listener.close()

    def progress(self, progress: Progress) -> None:
        for listener in self.listeners:
            listener.progress(progress)

    def epoch(self, row: LogRow, held_out: int) -> None:
        for listener in self.listeners:
            listener.epoch(row, held_out)

    def notice(self, text: str) -> None:
        for listener in self.listeners:
            listener.notice(text)


class Clock:
    """How fast training goes since it was started or continued."""

    def __init__(self, first: int, total: int, batch_size: int) -> None:
        self.first, self.total, self.batch_size = first, total, batch_size
        self.started = time.monotonic()

    def images_per_second(self, step: int) -> float:
        """Mean since the start; time for checkpoints and held-out images counts."""
        return (step - self.first) * self.batch_size / max(time.monotonic() - self.started, 1e-9)

    def progress(self, step: int, epoch: int, epochs: int, rate: float, loss: float) -> Progress:
        """Where training stands after update ``step`` in ``epoch``, counted from 0."""
        speed = self.images_per_second(step)
        left = (self.total - step) * self.batch_size / speed
        return Progress(epoch + 1, epochs, step, self.total, rate, loss, speed, left)


class Stop:
    """Whether somebody asked training to stop."""

    def __init__(self) -> None:
        self.asked = False

    def everywhere(self, step: int, world: World) -> bool:
        """Whether any process was asked. All are told so after the same update, since none may go on alone."""
        if world.size == 1:
            return self.asked
        if step % REPORTED:
            return False
        return world.broadcast(any(world.gather(self.asked)))


@contextmanager
def interruptions() -> Iterator[Stop]:
    """SIGINT and SIGTERM only ask to stop, so that a checkpoint can be written; a second one interrupts at once."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield stop
        return
    before: dict[signal.Signals, Any] = {}

    def ask(number: int, _: object) -> None:
        stop.asked = True
        signal.signal(number, before[signal.Signals(number)])

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

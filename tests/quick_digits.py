"""A network for Digits that learned for some seconds: good enough for counts that are neither none nor all."""

from __future__ import annotations

import os
import random
import signal
import sys
from functools import cache
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from res2next import create_model
from res2next.datasets import open_dataset
from res2next.distributed import join_processes
from res2next.evaluation import evaluate
from res2next.inference import keep_memory
from res2next.recipes import changed, load_recipe
from res2next.registry import find
from res2next.training import loop, train
from res2next.training.loop import share_statistics
from res2next.transforms import evaluation_transform

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from res2next.datasets import ImageSet

MODEL = "res2next_tiny"
TRANSFORM = evaluation_transform(find(MODEL).preprocessing)


def digits(split: str = "test") -> ImageSet:
    return open_dataset("Digits", split="train" if split == "train" else "test", transform=TRANSFORM)


def few_digits(count: int) -> ImageSet:
    """Return the first training images only: an epoch of them is some updates."""
    data = digits("train")
    data.labels = data.labels[:count]
    return data


@cache
def trained_network() -> nn.Module:
    """Return the network after 32 steps, the same each time."""
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = create_model(MODEL)
        data = digits("train")
        images = torch.stack([data[index][0] for index in range(len(data))])
        labels = torch.tensor(data.labels)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
        for _ in range(32):
            batch = torch.randint(len(data), (96,))
            functional.cross_entropy(network(images[batch]), labels[batch]).backward()
            optimizer.step()
            optimizer.zero_grad()
    return network


def evaluate_and_die(partial: Path) -> None:
    """Evaluate the training images until this process kills itself on its way."""

    def progress(done: int, total: int) -> None:
        if done >= 700:
            os.kill(os.getpid(), signal.SIGKILL)

    evaluate(trained_network(), digits("train"), batch_size=50, progress=progress, partial=partial)


def memory_is_kept(file: Path) -> None:
    """Write what :func:`keep_memory` says, which cannot be undone in a process."""
    file.write_text(str(keep_memory()))


class Telling:
    """Writes a byte to a pipe for each report of a training."""

    def __init__(self, pipe: int) -> None:
        self.pipe = pipe

    def progress(self, progress: object) -> None:
        os.write(self.pipe, b".")

    def epoch(self, row: object, held_out: int) -> None:
        os.write(self.pipe, b"e")

    def notice(self, text: str) -> None: ...


def train_and_kill(output: Path, settings: Sequence[str]) -> None:
    """Train in children that are killed at random moments, ten times, then to the end; and once more unbroken.

    They are forked from this process, which has imported torch and computed nothing: as good as a fresh one.
    """
    torch.set_num_threads(1)
    sys.modules["torch.utils.tensorboard"] = None  # type: ignore[assignment]  # its threads would not survive a fork
    loop.REPORT_EVERY = 3  # to be killed after few updates
    recipe, data = changed(load_recipe("res2next_tiny_digits"), settings), few_digits(160)

    def attempt(folder: Path, killed_after: int, every: int = 2) -> int:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                train(recipe, data, folder, resume=True, checkpoint_every=every, listener=Telling(writing))
                os._exit(0)
            except BaseException:
                sys.excepthook(*sys.exc_info())
                os._exit(9)
        os.close(writing)
        for _ in range(killed_after):
            os.read(reading, 1)
        # a chance to be within an update, or a checkpoint being written
        for _ in range(random.randrange(200_000)):
            pass
        if killed_after:
            os.kill(child, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.close(reading)
        return status

    random.seed(1)
    for _ in range(10):  # each gets some updates further
        assert attempt(output / "killed", random.randint(1, 2)) == -signal.SIGKILL
    assert not list((output / "killed").glob("*.safetensors"))
    assert attempt(output / "killed", 0) == 0
    assert attempt(output / "unbroken", 0, every=1000) == 0


def weights_file(folder: Path) -> Path:
    """Write the network's weights, and return the file."""
    from safetensors.torch import save_file

    path = folder / "quick.safetensors"
    save_file(trained_network().state_dict(), path)
    return path


def share_of_statistics(rank: int, port: int, file: str) -> None:
    """Share the statistics of a network, whose means are the rank, with another process; save them."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    network = create_model(MODEL)
    for name, buffer in network.named_buffers():
        buffer.fill_(rank if name.endswith("running_mean") else 4 * rank + 1)
    with join_processes("cpu") as world:
        share_statistics(network, world)
    torch.save(dict(network.named_buffers()), file)

"""A network for Digits that learned for some seconds: good enough for counts that are neither none nor all."""

from __future__ import annotations

import os
import signal
from functools import cache
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from res2next import create_model
from res2next.datasets import open_dataset
from res2next.distributed import join_processes
from res2next.evaluation import evaluate
from res2next.registry import find
from res2next.training.loop import share_statistics
from res2next.transforms import evaluation_transform

if TYPE_CHECKING:
    from pathlib import Path

    from res2next.datasets import ImageSet

MODEL = "res2next_tiny"
TRANSFORM = evaluation_transform(find(MODEL).preprocessing)


def digits(split: str = "test") -> ImageSet:
    return open_dataset("Digits", split="train" if split == "train" else "test", transform=TRANSFORM)


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

"""Res2next50 with weights that tell the photos of :mod:`bench.photos` apart, made in seconds and without a download.

The published weights are non-commercial, and with random ones all photos get the same class, so that equal results
would prove nothing. Here the trunk is random, its norms are fitted to photos, and its last layer by ridge regression.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import nn

from bench.photos import CLASSES, jpeg
from res2next import create_model
from res2next.inference import optimize
from res2next.model import Res2Branch
from res2next.registry import Preprocessing
from res2next.transforms import evaluation_transform

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

NAME = "res2next50"
LESSONS = 200
"""Number of photos to fit the weights to; they are not among those that are evaluated."""
FIRST_LESSON = 1_000_000
SHRINKAGE = 0.1
"""Of the regression, in units of the mean square of the features."""
BATCH = 20


def networks(weights: Path) -> tuple[nn.Module, nn.Module]:
    """Return timm's network and ours with the same weights from a file that :func:`teach` has written."""
    import timm

    theirs, ours = timm.create_model(NAME), create_model(NAME)
    for network in (theirs, ours):
        network.load_state_dict(torch.load(weights, weights_only=True))
        network.eval()
    return theirs, ours


def images(first: int, number: int) -> Tensor:
    """Return preprocessed photos, (number, 3, 224, 224)."""
    transform = evaluation_transform(Preprocessing())
    return torch.stack([transform(Image.open(BytesIO(jpeg(first + index)))) for index in range(number)])


def teach(weights: Path) -> None:
    """Fit weights, and write them to a file."""
    torch.manual_seed(0)
    network = create_model(NAME)
    lessons = images(FIRST_LESSON, LESSONS)
    _fit_norms(network, lessons[: LESSONS // 2])
    _fit_head(network, lessons)
    torch.save(network.state_dict(), weights)


def _fit_norms(network: nn.Module, lessons: Tensor) -> None:
    """Give norms the statistics of photos. Branches add little to shortcuts, as in trained networks."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.4, 0.8)
            nn.init.uniform_(module.bias, -0.3, 0.3)
            module.momentum = None  # running statistics become those of all batches
    for module in network.modules():
        if isinstance(module, Res2Branch):
            nn.init.uniform_(module.bn3.weight, 0.1, 0.2)
    with torch.no_grad():
        for batch in lessons.split(BATCH):
            network(batch)


def _fit_head(network: nn.Module, lessons: Tensor) -> None:
    """Fit the first outputs to the classes, and leave the others near zero."""
    head = network.fc
    network.fc = nn.Identity()
    fast = optimize(network)
    features = torch.cat([fast(batch) for batch in lessons.split(BATCH)]).double()  # (lessons, 2048)
    network.fc = head
    centre = features.mean(0)
    wanted = torch.eye(CLASSES, dtype=torch.float64)[torch.arange(FIRST_LESSON, FIRST_LESSON + len(lessons)) % CLASSES]
    likeness = (features - centre) @ (features - centre).T
    likeness += SHRINKAGE * likeness.diagonal().mean() * torch.eye(len(lessons), dtype=torch.float64)
    slopes = torch.linalg.solve(likeness, wanted - wanted.mean(0)).T @ (features - centre)  # (classes, 2048)
    with torch.no_grad():
        head.weight.mul_(0.1 * slopes.abs().mean() / head.weight.abs().mean())
        head.bias.zero_()
        head.weight[:CLASSES] = slopes
        head.bias[:CLASSES] = wanted.mean(0) - slopes @ centre

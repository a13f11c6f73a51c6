"""Reproducible photos in classes that a network can learn, 500x375 JPEG, and weights that tell them apart.

Each photo is a part of the package's photo with changed colours, mirrored or not, with waves and noise added. The class
determines the direction and the length of the waves.

The published weights of res2next50 are non-commercial, and with random ones all photos get the same class, so that
equal results would prove nothing. Here, in seconds and without a download, the trunk is random, its norms are fitted to
photos, and its last layer by ridge regression.
"""

from __future__ import annotations

from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import nn

from res2next import create_model, example_photo
from res2next.inference import optimize
from res2next.model import Res2Branch
from res2next.registry import Preprocessing
from res2next.transforms import evaluation_transform

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

WIDTH, HEIGHT = 500, 375
DIRECTIONS = 5
LENGTHS = (6, 12, 24, 48)
"""Of waves, in pixels."""
CLASSES = DIRECTIONS * len(LENGTHS)


def write_photos(folder: Path, number: int) -> int:
    """Write the first photos into a folder per class, as for ImageNet; return their total bytes."""
    size = 0
    for index in range(number):
        path = folder / f"n{index % CLASSES:08}" / f"{index:05}.JPEG"
        path.parent.mkdir(exist_ok=True)
        size += path.write_bytes(jpeg(index))
    return size


def jpeg(index: int) -> bytes:
    """Return a photo of class ``index % CLASSES``."""
    draw = np.random.default_rng(index)
    shown = part(draw) * draw.uniform(0.5, 0.9, 3) + 50 * waves(index % CLASSES, draw)[..., None] + 50
    seen = shown + draw.uniform(2, 20) * np.roll(noise(), draw.integers(0, 100, 2), (0, 1))
    file = BytesIO()
    Image.fromarray(seen.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


def part(draw: np.random.Generator) -> NDArray[np.float32]:
    """Return a random part of the package's photo, enlarged, and mirrored with probability 1/2."""
    with Image.open(example_photo()) as photo:
        width = int(draw.integers(120, photo.width))
        height = min(width * 3 // 4, photo.height)
        left, top = (int(draw.integers(0, room + 1)) for room in (photo.width - width, photo.height - height))
        box = (left, top, left + width, top + height)
        large = photo.convert("RGB").resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC, box)
    return np.asarray(large, dtype=np.float32)[:, :: draw.choice([-1, 1])]


def waves(kind: int, draw: np.random.Generator) -> NDArray[np.float32]:
    """Return waves of a class, -1 to 1, slightly turned and stretched."""
    angle = np.pi * (kind % DIRECTIONS + draw.uniform(-0.2, 0.2)) / DIRECTIONS
    length = LENGTHS[kind // DIRECTIONS] * draw.uniform(0.85, 1.15)
    across = np.exp(2j * np.pi / length * np.cos(angle) * np.arange(WIDTH, dtype=np.float32))
    down = np.exp(
        2j * np.pi / length * np.sin(angle) * np.arange(HEIGHT, dtype=np.float32) + 1j * draw.uniform(0, 6.28)
    )
    return (down[:, None] * across).imag.astype(np.float32)


@cache
def noise() -> NDArray[np.float32]:
    """Return the noise of all photos; each uses it with another offset."""
    return np.random.default_rng(0).standard_normal((HEIGHT, WIDTH, 3), dtype=np.float32)


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

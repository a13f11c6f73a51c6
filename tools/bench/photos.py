"""Reproducible photos in classes that a network can learn: 500x375 JPEG.

Each is a part of the package's photo with changed colours, mirrored or not, with waves and noise added. The class
determines the direction and the length of the waves.
"""

from __future__ import annotations

from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from res2next import example_photo

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

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

"""Augmentation of training images. Random numbers come from generators that are passed in, never from global state.

Shapes: N (images), C (channels), H x W (height and width in pixels).
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from math import exp, log, sqrt
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from res2next.recipes import LEAST_AREA
from res2next.transforms import MODES, normalize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Generator, Tensor
    from torchvision.transforms import RandAugment

    from res2next.recipes import Augmentation, Recipe
    from res2next.registry import Preprocessing

ASPECT = (3 / 4, 4 / 3)
"""Of a random resized crop: width by height (Szegedy et al., 2015, section 6)."""
ATTEMPTS = 10
"""Draws of a crop before the centre of the image is used; for ordinary photos the first or second fits."""
ERASED_AREA = (0.02, 0.4)
ERASED_ASPECT = (0.3, 1 / 0.3)
"""Of an erased rectangle: share of the image's area, and height by width (Zhong et al., 2020, section 4.1)."""


def generator(seed: int, *place: int | str) -> Generator:
    """A generator that depends only on the seed and its place of use: ``generator(seed, "augment", epoch, step)``.

    So training continues after a kill with the same numbers, and augmentation does not depend on the number of
    processes.
    """
    digest = sha256(repr((seed, *place)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8]) >> 1)


# --- Batches of small images, held in memory ---


@dataclass(frozen=True, slots=True)
class Draws:
    """Random draws for N images."""

    flipped: Tensor
    """(N,), bool."""
    offsets: Tensor
    """(N, 2): top and left of the crop in the padded image, 0 to twice the padding."""
    rectangles: Tensor
    """(N, 4): top, left, bottom, right of the erased rectangle; nothing is erased if it is empty."""
    seeds: Tensor
    """(N,): of the random operations."""

    def __getitem__(self, rows: slice) -> Draws:
        return Draws(self.flipped[rows], self.offsets[rows], self.rectangles[rows], self.seeds[rows])


def draw(augmentation: Augmentation, count: int, height: int, width: int, source: Generator) -> Draws:
    """Draw augmentation for ``count`` images of ``height`` x ``width`` pixels."""
    return Draws(
        flipped=torch.rand(count, generator=source) < (0.5 if augmentation.flip else 0.0),
        offsets=torch.randint(0, 2 * augmentation.pad + 1, (count, 2), generator=source),
        rectangles=draw_rectangles(augmentation.erasing, count, height, width, source),
        seeds=draw_seeds(count, source),
    )


def draw_seeds(count: int, source: Generator) -> Tensor:
    """(count,): seeds of other generators."""
    return torch.randint(2**63 - 1, (count,), generator=source)


def draw_rectangles(probability: float, count: int, height: int, width: int, source: Generator) -> Tensor:
    """(count, 4): top, left, bottom, right; empty with probability 1 - ``probability``, and if it does not fit."""
    share, aspect, top, left, lot = torch.rand(5, count, generator=source)
    area = height * width * (ERASED_AREA[0] + share * (ERASED_AREA[1] - ERASED_AREA[0]))
    # log-uniform: flat as often as upright
    ratio = torch.exp(log(ERASED_ASPECT[0]) + aspect * (log(ERASED_ASPECT[1]) - log(ERASED_ASPECT[0])))
    tall, wide = torch.sqrt(area * ratio).round().long(), torch.sqrt(area / ratio).round().long()
    fits = (tall < height) & (wide < width) & (lot < probability)
    tall, wide = tall * fits, wide * fits
    top, left = (top * (height - tall + 1)).long(), (left * (width - wide + 1)).long()
    return torch.stack((top, left, top + tall, left + wide), dim=1)


def flip_and_crop(images: Tensor, drawn: Draws, pad: int) -> Tensor:
    """Images (N, C, H, W) of bytes -> the same shape: flipped, padded with black, and cropped."""
    count, _, height, width = images.shape
    images = torch.where(drawn.flipped[:, None, None, None], images.flip(3), images)
    if pad == 0:
        return images
    padded = functional.pad(images, (pad, pad, pad, pad))
    rows = drawn.offsets[:, 0, None] + torch.arange(height)  # (N, H)
    columns = drawn.offsets[:, 1, None] + torch.arange(width)  # (N, W)
    each = torch.arange(count)[:, None, None]
    cropped = padded.permute(0, 2, 3, 1)[each, rows[:, :, None], columns[:, None, :]]  # (N, H, W, C)
    return cropped.permute(0, 3, 1, 2)


def randaugment_all(images: Tensor, seeds: Tensor, augmentation: Augmentation, mean: Sequence[float]) -> Tensor:
    """Images (N, C, H, W) of bytes, each after its random operations (:func:`randaugment`)."""
    from torchvision.transforms.functional import pil_to_tensor, to_pil_image

    operations = make_randaugment(augmentation, mean)
    opened = (
        randaugment(to_pil_image(image), operations, int(seed)) for image, seed in zip(images, seeds, strict=True)
    )
    return torch.stack([pil_to_tensor(image) for image in opened])


def erase(images: Tensor, rectangles: Tensor) -> Tensor:
    """Normalised images (N, C, H, W) with 0, the mean of the training images, in their rectangles."""
    return images.masked_fill(inside(rectangles, *images.shape[2:]), 0.0)


def inside(rectangles: Tensor, height: int, width: int) -> Tensor:
    """(N, 4): top, left, bottom, right -> (N, 1, H, W), True inside."""
    top, left, bottom, right = rectangles.T[:, :, None]  # (N, 1) each
    rows, columns = torch.arange(height), torch.arange(width)
    down, across = (rows >= top) & (rows < bottom), (columns >= left) & (columns < right)  # (N, H), (N, W)
    found: Tensor = down[:, None, :, None] & across[:, None, None, :]
    return found


# --- Photos, one by one ---


@dataclass(frozen=True, slots=True)
class TrainingPhoto:
    """A photo of any size -> (C, H, W), float32: a random part, resized; flipped; changed; normalised; erased."""

    augmentation: Augmentation
    preprocessing: Preprocessing

    def __call__(self, image: Image.Image, source: Generator) -> Tensor:
        channels, height, width = self.preprocessing.input_size
        image = image.convert(MODES[channels])
        box = random_box(image.width, image.height, source, self.augmentation.least_area)
        image = image.resize((width, height), Image.Resampling[self.preprocessing.interpolation.upper()], box)
        if self.augmentation.flip and float(torch.rand((), generator=source)) < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if self.augmentation.randaugment:
            operations = make_randaugment(self.augmentation, self.preprocessing.mean)
            image = randaugment(image, operations, int(draw_seeds(1, source)))
        pixels = normalize(image, self.preprocessing)
        rectangles = draw_rectangles(self.augmentation.erasing, 1, height, width, source)
        return erase(pixels[None], rectangles)[0]


def random_box(width: int, height: int, source: Generator, least_area: float = LEAST_AREA) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of a random part of a photo, of at least this share of its area, by :data:`ASPECT`.

    If no draw fits, the largest centred part with an allowed aspect.
    """
    for share, aspect, left, top in torch.rand(ATTEMPTS, 4, generator=source).tolist():
        area = width * height * (least_area + share * (1.0 - least_area))
        ratio = exp(log(ASPECT[0]) + aspect * (log(ASPECT[1]) - log(ASPECT[0])))
        wide, tall = round(sqrt(area * ratio)), round(sqrt(area / ratio))
        if 0 < wide <= width and 0 < tall <= height:
            x, y = int(left * (width - wide + 1)), int(top * (height - tall + 1))
            return x, y, x + wide, y + tall
    wide = min(width, max(1, round(height * ASPECT[1])))
    tall = min(height, max(1, round(width / ASPECT[0])))
    x, y = (width - wide) // 2, (height - tall) // 2
    return x, y, x + wide, y + tall


# --- Random operations ---


def make_randaugment(augmentation: Augmentation, mean: Sequence[float]) -> RandAugment:
    """RandAugment (Cubuk et al., 2020, arXiv 1909.13719) as torchvision has it; what is moved in is of the mean."""
    from torchvision.transforms import InterpolationMode, RandAugment

    fill = [round(255 * value) for value in mean]
    return RandAugment(
        augmentation.randaugment, augmentation.magnitude, interpolation=InterpolationMode.BILINEAR, fill=fill
    )


def randaugment(image: Image.Image, operations: RandAugment, seed: int) -> Image.Image:
    """An image after random operations drawn by ``seed``; torch's own generator, from which they draw, is restored."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        changed: Image.Image = operations(image)
    return changed


# --- Mixed images ---


@dataclass(frozen=True, slots=True)
class Mix:
    """Images with two labels each."""

    images: Tensor
    """(N, C, H, W)."""
    others: Tensor
    """(N,): the second labels."""
    share: float
    """Weight of the first label; that of the second is 1 - ``share``."""


def mix_images(images: Tensor, labels: Tensor, recipe: Recipe, source: Generator) -> Mix:
    """Images (N, C, H, W) mixed by the recipe's mixup or cutmix, each with the one before it, the first with the last.

    ``share`` is drawn once for all of them, as in the papers' experiments. With both, one is chosen at random.
    """
    alpha_mixup, alpha_cutmix = recipe.mixup, recipe.cutmix
    if alpha_mixup and alpha_cutmix:
        first = float(torch.rand((), generator=source)) < 0.5
        alpha_mixup, alpha_cutmix = (alpha_mixup, 0.0) if first else (0.0, alpha_cutmix)
    if alpha_mixup:
        return mixup(images, labels, beta(alpha_mixup, source))
    if alpha_cutmix:
        height, width = images.shape[2:]
        return cutmix(images, labels, random_rectangle(beta(alpha_cutmix, source), height, width, source))
    return Mix(images, labels, 1.0)


def mixup(images: Tensor, labels: Tensor, share: float) -> Mix:
    """``share`` of each image plus 1 - ``share`` of the one before it (Zhang et al., 2018)."""
    return Mix(images.lerp(images.roll(1, 0), 1 - share), labels.roll(1, 0), share)


def cutmix(images: Tensor, labels: Tensor, rectangle: tuple[int, int, int, int]) -> Mix:
    """Each image with a rectangle of the one before it (Yun et al., 2019); labels are weighted by area.

    Args:
        rectangle: top, left, bottom, right.
    """
    height, width = images.shape[2:]
    top, left, bottom, right = rectangle
    images = images.clone()
    images[:, :, top:bottom, left:right] = images.roll(1, 0)[:, :, top:bottom, left:right]
    share = 1 - (bottom - top) * (right - left) / (height * width)
    return Mix(images, labels.roll(1, 0), share)


def random_rectangle(share: float, height: int, width: int, source: Generator) -> tuple[int, int, int, int]:
    """Top, left, bottom, right of a rectangle of 1 - ``share`` of the area, with the image's aspect.

    Its centre is uniform; the rectangle is clipped to the image (Yun et al., 2019, equation 2).
    """
    side = sqrt(1 - share)
    tall, wide = int(height * side), int(width * side)
    y, x = (torch.rand(2, generator=source) * torch.tensor([height, width])).long().tolist()
    top, left = y - tall // 2, x - wide // 2
    return max(0, top), max(0, left), min(height, top + tall), min(width, left + wide)


def beta(alpha: float, source: Generator) -> float:
    """A draw from Beta(alpha, alpha), by numpy, since torch's Beta does not accept a generator."""
    return np.random.default_rng(int(draw_seeds(1, source))).beta(alpha, alpha)

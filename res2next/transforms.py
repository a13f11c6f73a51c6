"""Preprocessing of images for evaluation: resize, crop from the centre, normalise."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from res2next.registry import Preprocessing

MOST_PIXELS = 2**26
"""Of a resized image: a sixth of a GiB. Photos have a few hundred thousand; a strip of 1x65000 would have 4 billion."""

MODES = {1: "L", 3: "RGB"}
"""Pillow's mode of an image by its number of channels."""


def evaluation_transform(preprocessing: Preprocessing) -> Callable[[Image.Image], Tensor]:
    """The transform from a Pillow image to a float32 tensor (C, H, W), bit-equal to timm's transform for evaluation.

    The image is converted with Pillow's ``convert`` to "RGB" (three channels) or "L" (one), so transparency is
    dropped and not blended. It is then resized by Pillow's own antialiased filter until it just covers
    floor(side / crop_pct), the crop is taken from its centre (black is added if it is smaller), and values
    are scaled to [0, 1] and normalised. An orientation in EXIF is not applied: neither timm nor torchvision do.
    The result can be pickled, for the workers of a DataLoader.

    Raises:
        ValueError: channels other than 1 or 3, a mean or deviation for another number of them, or a filter that
            Pillow does not have.
    """
    channels = preprocessing.input_size[0]
    if channels not in MODES:
        raise ValueError(f"images of {channels} channels: Pillow gives images of 1 (grey) or 3 (red, green, blue)")
    if not len(preprocessing.mean) == len(preprocessing.std) == channels:
        raise ValueError(f"mean {preprocessing.mean} and std {preprocessing.std} need {channels} values, one a channel")
    if preprocessing.interpolation.upper() not in Image.Resampling.__members__:
        known = ", ".join(sorted(Image.Resampling.__members__)).lower()
        raise ValueError(f"no interpolation {preprocessing.interpolation!r}: Pillow has {known}")
    return EvaluationTransform(preprocessing)


@dataclass(frozen=True, slots=True)
class EvaluationTransform:
    """See :func:`evaluation_transform`, which checks the preprocessing first.

    Calling it raises ValueError for an image so narrow that it would be resized to more than :data:`MOST_PIXELS`.
    """

    preprocessing: Preprocessing

    def __call__(self, image: Image.Image) -> Tensor:
        """An image of any size and mode -> (C, H, W), float32."""
        return normalize(self.crop(image), self.preprocessing)

    def crop(self, image: Image.Image) -> Image.Image:
        """The pixels of the network's input, before they are normalised."""
        channels, height, width = self.preprocessing.input_size
        image = image.convert(MODES[channels])
        size = resized_size(image.width, image.height, self.preprocessing)
        if size[0] * size[1] > MOST_PIXELS:
            shape, resized = f"{image.width}x{image.height}", f"{size[0]:,}x{size[1]:,}"
            raise ValueError(f"it has {shape} pixels, and {resized} once its shorter side fits the network")
        if size != image.size:
            image = image.resize(size, Image.Resampling[self.preprocessing.interpolation.upper()])
        left, top = centre_offset(image.width, width), centre_offset(image.height, height)
        return image.crop((left, top, left + width, top + height))


def normalize(image: Image.Image, preprocessing: Preprocessing) -> Tensor:
    """An 8-bit image -> (C, H, W), float32: (value / 255 - mean) / std, in this order of operations."""
    pixels = torch.from_numpy(np.array(image))  # (H, W, 3), or (H, W) when grey
    channels = pixels.permute(2, 0, 1) if pixels.ndim == 3 else pixels[None]
    scaled = channels.contiguous().to(torch.float32).div_(255)
    mean = torch.tensor(preprocessing.mean, dtype=torch.float32)[:, None, None]
    std = torch.tensor(preprocessing.std, dtype=torch.float32)[:, None, None]
    return scaled.sub_(mean).div_(std)


def resized_size(width: int, height: int, preprocessing: Preprocessing) -> tuple[int, int]:
    """Width and height that an image of ``width`` x ``height`` is resized to.

    For a square crop the shorter side becomes floor(side / crop_pct) and the longer is rounded down, which is
    torchvision's rule. For any other the image is scaled until both sides are covered, and both are rounded to
    the nearest, which is timm's.
    """
    _, crop_height, crop_width = preprocessing.input_size
    target_width = floor(crop_width / preprocessing.crop_pct)
    target_height = floor(crop_height / preprocessing.crop_pct)
    if target_width != target_height:
        ratio = min(height / target_height, width / target_width)
        return round(width / ratio), round(height / ratio)
    if width <= height:
        return target_width, int(target_width * height / width)
    return int(target_height * width / height), target_height


def centre_offset(side: int, crop: int) -> int:
    """Offset of a centred crop; negative if it is larger than the image."""
    if crop > side:
        return -((crop - side) // 2)
    return round((side - crop) / 2)

"""Image files as people have them: found in folders, decoded upright and with 8 bits per channel."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from res2next.errors import UnreadableImage

SUFFIXES = (".jpeg", ".jpg", ".png", ".webp", ".bmp")
"""Suffixes of image files in folders; other files are ignored."""

DECODER_ERRORS = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)
"""Errors of Pillow's decoders for damaged files; OSError for a truncated one."""


def is_image_name(name: str) -> bool:
    """Whether a file is an image, by its name; hidden files are not."""
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def find_images(path: Path) -> list[Path]:
    """``path`` itself; of a folder the images in it and in its sub-folders, sorted by path.

    Raises:
        UnreadableImage: a folder without images.
    """
    if not path.is_dir():
        return [path]
    found = [Path(folder) / name for folder, _, names in os.walk(path) for name in names if is_image_name(name)]
    if not found:
        raise UnreadableImage(path, f"the folder has no file that ends in {', '.join(SUFFIXES)}")
    return sorted(found)


def open_image(path: Path) -> Image.Image:
    """The image in a file, upright and with 8 bits per channel.

    Raises:
        UnreadableImage: Pillow cannot decode it.
        OSError: no such file, or no permission.
    """
    with path.open("rb") as file:
        try:
            return prepare_image(Image.open(file))
        except UnidentifiedImageError:
            raise UnreadableImage(path, "it is in no format that Pillow knows") from None
        except DECODER_ERRORS as trouble:
            raise UnreadableImage(path, str(trouble)) from trouble


def prepare_image(image: Image.Image) -> Image.Image:
    """The image rotated by its EXIF orientation, with 8 bits per channel.

    Pillow's ``convert`` clips 16-bit grey at 255, which leaves white; here it is scaled.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode == "LAB":
        return image.convert("RGB")  # the only mode that Pillow converts it to
    if image.mode == "F":
        raise ValueError("an image of floating-point values does not say which of them is white: convert it to 8 bits")
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        if image.mode != "I" or values.max() > 255:
            values = (values.clip(0, 65535) + 128) // 257
        return Image.fromarray(values.clip(0, 255).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        return image.convert("RGBA")  # Pillow warns without it; the colours are unchanged
    return image

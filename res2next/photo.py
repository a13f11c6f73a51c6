"""A photo to try the networks on."""

from __future__ import annotations

from pathlib import Path


def example_photo() -> Path:
    """The path of a JPEG of a cat, 256x170 pixels, that comes with the package and is in the public domain (CC0)."""
    return Path(__file__).with_name("data") / "chelsea.jpg"

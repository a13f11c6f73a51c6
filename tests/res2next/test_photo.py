"""The photo that comes with the package."""

from __future__ import annotations

from PIL import Image

import res2next


def test_the_photo_is_a_small_picture_in_colour() -> None:
    with Image.open(res2next.example_photo()) as photo:
        photo.load()
        assert (photo.format, photo.mode, photo.size) == ("JPEG", "RGB", (256, 170))
    assert res2next.example_photo().stat().st_size < 20_000


def test_its_licence_stands_beside_it() -> None:
    photo = res2next.example_photo()
    text = photo.with_name("README.md").read_text(encoding="utf-8")
    assert f"`{photo.name}`" in text
    assert "CC0" in text

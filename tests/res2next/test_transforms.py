"""Images made ready for evaluation: bit-equal to timm's transform, for photos of all shapes and modes."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from timm.data import create_transform

from res2next import example_photo
from res2next.registry import ENTRIES, Preprocessing
from res2next.transforms import centre_offset, evaluation_transform, resized_size

GREY = Preprocessing((1, 28, 28), 1.0, mean=(0.286,), std=(0.353,))


def noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    shape = (height, width) if mode == "L" else (height, width, 3)
    values = np.random.default_rng(width * 10_000 + height).integers(0, 256, shape, dtype=np.uint8)
    return Image.fromarray(values)


def timms(preprocessing: Preprocessing):
    """timm's evaluation transform, after the conversion that timm's data set does."""
    transform = create_transform(
        preprocessing.input_size,
        interpolation=preprocessing.interpolation,
        crop_pct=preprocessing.crop_pct,
        mean=preprocessing.mean,
        std=preprocessing.std,
    )
    mode = "L" if preprocessing.input_size[0] == 1 else "RGB"
    return lambda image: transform(image.convert(mode))


def assert_equals_timm(image: Image.Image, preprocessing: Preprocessing) -> None:
    ours, theirs = evaluation_transform(preprocessing)(image), timms(preprocessing)(image)
    assert ours.dtype == torch.float32
    assert ours.shape == preprocessing.input_size
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    "size",
    [
        (500, 375),  # the usual photo of ImageNet
        (375, 500),
        (501, 333),
        (333, 499),
        (256, 256),  # nothing to resize
        (224, 224),
        (257, 256),
        (255, 1000),
        (1001, 227),
        (40, 30),  # smaller than the crop
        (7, 19),
        (1, 1),
        (3, 1),
    ],
)
def test_photos_of_odd_sizes_equal_timms(size: tuple[int, int], interpolation: str) -> None:
    assert_equals_timm(noise(*size), Preprocessing(interpolation=interpolation))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos", "nearest"])
def test_a_real_photo_equals_timms_by_every_filter(interpolation: str) -> None:
    assert_equals_timm(Image.open(example_photo()), Preprocessing(interpolation=interpolation))


@pytest.mark.parametrize(
    ("height", "width", "crop_pct"),
    [
        (224, 224, 1.0),
        (224, 224, 0.9),  # 248.9 is rounded down
        (288, 288, 0.95),
        (224, 224, 1.1),  # resized to 203 and padded
        (97, 97, 1.3),
        (224, 320, 0.875),
        (321, 224, 0.9),
        (100, 33, 1.2),
    ],
)
@pytest.mark.parametrize("size", [(500, 375), (333, 501), (90, 31)])
def test_crops_of_any_size_and_share_equal_timms(
    height: int, width: int, crop_pct: float, size: tuple[int, int]
) -> None:
    assert_equals_timm(noise(*size), Preprocessing((3, height, width), crop_pct))


@given(width=st.integers(1, 90), height=st.integers(1, 90), side=st.integers(1, 40), crop_pct=st.floats(0.5, 1.5))
@settings(max_examples=60, deadline=None)
def test_any_photo_and_any_crop_equal_timms(width: int, height: int, side: int, crop_pct: float) -> None:
    # below one pixel there is nothing to resize to, for timm neither
    preprocessing = Preprocessing((3, side, side), min(crop_pct, side))
    assert_equals_timm(noise(width, height), preprocessing)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_entry_of_the_registry_equals_timm(entry) -> None:
    assert_equals_timm(noise(181, 137), entry.preprocessing)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F"])
@pytest.mark.parametrize("preprocessing", [Preprocessing((3, 32, 32)), replace(GREY, crop_pct=0.9)])
def test_images_of_every_mode_are_converted_as_timm_does(mode: str, preprocessing: Preprocessing) -> None:
    image = noise(50, 37).convert("L").convert(mode) if mode == "I;16" else noise(50, 37).convert(mode)
    assert image.mode == mode
    assert_equals_timm(image, preprocessing)


def test_an_image_that_has_the_size_is_only_normalised() -> None:
    image = noise(28, 28, "L")
    expected = (torch.from_numpy(np.array(image)).float() / 255 - 0.286) / 0.353
    assert torch.equal(evaluation_transform(GREY)(image)[0], expected)


def test_the_longer_side_is_rounded_down_for_a_square_crop() -> None:
    assert resized_size(375, 500, Preprocessing()) == (256, 341)  # 341.33
    assert resized_size(334, 500, Preprocessing()) == (256, 383)  # 383.23
    assert resized_size(499, 334, Preprocessing()) == (382, 256)  # 382.47
    assert resized_size(500, 333, Preprocessing()) == (384, 256)  # 384.38


def test_sides_are_rounded_to_the_nearest_for_any_other_crop() -> None:
    assert resized_size(300, 200, Preprocessing((3, 100, 140), 1.0)) == (150, 100)
    assert resized_size(301, 200, Preprocessing((3, 100, 141), 1.0)) == (150, 100)  # 150.5, to the even one
    assert resized_size(303, 200, Preprocessing((3, 100, 141), 1.0)) == (152, 100)  # 151.5


def test_half_pixels_of_an_offset_go_to_the_even_side() -> None:
    assert [centre_offset(side, 224) for side in (224, 225, 226, 227, 231)] == [0, 0, 1, 2, 4]
    assert [centre_offset(side, 224) for side in (223, 222, 219)] == [0, -1, -2]


def test_where_the_crop_is_larger_the_rest_is_black() -> None:
    white = Image.new("L", (10, 10), 255)
    ready = evaluation_transform(Preprocessing((1, 10, 10), 2.0, mean=(0.0,), std=(1.0,)))(white)[0]
    assert ready.sum() == 25  # resized to 5x5
    assert bool((ready[2:7, 2:7] == 1).all())


def test_an_orientation_in_exif_is_left_alone_as_in_published_evaluations() -> None:
    plain, turned = noise(300, 200), noise(300, 200)
    turned.getexif()[0x0112] = 6
    transform = evaluation_transform(Preprocessing())
    assert torch.equal(transform(turned), transform(plain))


def test_the_image_is_left_as_it_was() -> None:
    image = noise(28, 28, "L")
    before = image.tobytes()
    evaluation_transform(GREY)(image)
    assert image.tobytes() == before
    assert image.size == (28, 28)


def test_a_transform_can_be_pickled_for_workers() -> None:
    transform = evaluation_transform(Preprocessing(interpolation="bicubic"))
    image = noise(300, 200)
    assert torch.equal(pickle.loads(pickle.dumps(transform))(image), transform(image))


@pytest.mark.parametrize(
    ("preprocessing", "message"),
    [
        (Preprocessing((2, 8, 8)), "images of 2 channels"),
        (Preprocessing((1, 8, 8)), "need 1 values, one a channel"),
        (Preprocessing(std=(1.0,)), "need 3 values"),
        (Preprocessing(interpolation="cubic"), "no interpolation 'cubic': Pillow has bicubic, bilinear"),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(preprocessing: Preprocessing, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluation_transform(preprocessing)

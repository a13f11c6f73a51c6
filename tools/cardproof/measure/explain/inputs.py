"""Input sizes that are tried to explain a count, the usual ones first."""

from __future__ import annotations

from collections.abc import Iterator

Shape = tuple[int, int]
"""Height and width. Few networks have other counts for a transposed input, so only one of both is tried."""

_USUAL_SQUARES = (224, 256, 299, 32, 64, 128, 192, 288, 320, 384, 448, 512, 600)
_OTHER_SQUARES = (
    28, 48, 56, 84, 96, 112, 144, 160, 168, 176, 208, 227, 232, 236, 240, 248, 260, 272, 300, 331, 336, 342, 352,
    368, 380, 400, 408, 416, 440, 456, 475, 480, 500, 518, 528, 544, 560, 576, 608, 640, 672, 700, 704, 720, 768,
    800, 896, 1000, 1024, 1280, 1536,
)  # fmt: skip
"""Sizes of published classifiers and detectors: MNIST to EfficientNet-L2."""

_HUB_PHOTO = (1546, 1213)
"""Width and height of dog.jpg, the photo of PyTorch Hub's example, on which timm's cards of 2021 were counted."""

_PHOTO_RATIOS = ((4, 3), (3, 2), (16, 9), (5, 4), (640, 427), (500, 375), (2, 1))
"""Long to short side: cameras, screens, and the commonest photos of COCO and ImageNet."""

_SCENES = (
    (480, 640), (600, 800), (800, 1333), (800, 1216), (800, 1280), (800, 1344), (512, 1024), (1024, 2048), (720, 1280),
    (1080, 1920), (375, 1242), (352, 480), (256, 128), (384, 128), (256, 192), (384, 288), (32, 100), (32, 128),
)  # fmt: skip
"""Inputs of detectors, street scene segmentation, person and text models."""


def usual_inputs(size: Shape) -> tuple[tuple[Shape, int], ...]:
    """Return sizes to try with their cost, cheapest first, each once; ``size`` is the card's own and costs nothing."""
    found: dict[Shape, int] = {}
    for shape, cost in sorted(_candidates(size), key=lambda entry: entry[1]):
        found.setdefault(shape, cost)
    return tuple(found.items())


def _candidates(size: Shape) -> Iterator[tuple[Shape, int]]:
    yield size, 0
    short = min(size)
    yield (short, _long_side(short, *_HUB_PHOTO)), 1
    for side in _USUAL_SQUARES:
        yield (side, side), 1
    for side in (*_OTHER_SQUARES, *_sizes_before_crop(short)):
        yield (side, side), 2
    for side in (short, *_sizes_before_crop(short)):
        for long, short_side in (_HUB_PHOTO, *_PHOTO_RATIOS):
            for width in {_long_side(side, long, short_side), round(side * long / short_side)}:
                yield (side, width), 2 if side == short else 3
    for scene in _SCENES:
        yield scene, 3


def _long_side(short: int, long_side: int, short_side: int) -> int:
    """Return the long side of a photo whose short side is resized to ``short``, rounded as torchvision's Resize."""
    return int(short * long_side / short_side)


def _sizes_before_crop(crop: int) -> tuple[int, ...]:
    """Return the sizes that an image is resized to before a crop of this size, at the usual crop shares."""
    return tuple(sorted({int(crop / share) for share in (0.875, 0.9, 0.95, 0.96)}))

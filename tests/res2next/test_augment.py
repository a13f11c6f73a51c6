"""What is done to training images, against what the papers say and what can be counted by hand."""

from __future__ import annotations

import pytest
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode, RandAugment

from res2next.recipes import Augmentation, changed, load_recipe
from res2next.registry import Preprocessing
from res2next.training.augment import (
    Draws,
    TrainingPhoto,
    beta,
    cutmix,
    draw,
    draw_rectangles,
    erase,
    flip_and_crop,
    generator,
    inside,
    make_randaugment,
    mix_images,
    mixup,
    randaugment,
    randaugment_all,
    random_box,
    random_rectangle,
)

RECIPE = load_recipe("res2next50_imagenet")


def images(count: int, height: int = 6, width: int = 5, channels: int = 2) -> torch.Tensor:
    return torch.arange(count * channels * height * width).reshape(count, channels, height, width).float()


def draws(flips: list[bool], offsets: list[list[int]]) -> Draws:
    count = len(flips)
    nothing = torch.zeros(count, 4, dtype=torch.long)
    return Draws(torch.tensor(flips), torch.tensor(offsets), nothing, torch.zeros(count, dtype=torch.long))


# --- Where the numbers come from ---


def test_numbers_are_a_function_of_seed_and_place() -> None:
    def first(*place: int | str) -> float:
        return float(torch.rand((), generator=generator(*place)))

    assert first(0, "order", 3) == first(0, "order", 3)
    different = {
        first(0, "order", 3),
        first(1, "order", 3),
        first(0, "order", 4),
        first(0, "mix", 3),
        first(0, "order"),
    }
    assert len(different) == 5


def test_the_seed_is_the_beginning_of_a_sha256_and_so_the_same_on_every_machine() -> None:
    # printf "(0, 'order', 1)" | sha256sum, the first 63 bits
    assert generator(0, "order", 1).initial_seed() == 1332101017241992705


def test_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    draw(Augmentation("pad-and-crop", pad=2, flip=True, erasing=0.5), 8, 8, 8, generator(0))
    beta(0.3, generator(1))
    assert torch.equal(torch.get_rng_state(), before)


# --- Small images ---


def test_without_a_flip_the_middle_offset_gives_the_image_back() -> None:
    before = images(2).byte()
    assert torch.equal(flip_and_crop(before, draws([False, False], [[2, 2], [2, 2]]), 2), before)


def test_each_image_is_flipped_and_moved_for_itself() -> None:
    before = images(3).byte()
    after = flip_and_crop(before, draws([True, False, False], [[1, 1], [0, 1], [1, 2]]), 1)
    assert torch.equal(after[0], before[0].flip(2))
    assert torch.equal(after[1][:, 1:], before[1][:, :-1])  # down by one, black above
    assert int(after[1][:, 0].sum()) == 0
    assert torch.equal(after[2][:, :, :-1], before[2][:, :, 1:])  # left by one
    assert int(after[2][:, :, -1].sum()) == 0


def test_every_second_image_is_flipped_and_every_offset_comes() -> None:
    drawn = draw(Augmentation("pad-and-crop", pad=2, flip=True), 4000, 8, 8, generator(0))
    assert drawn.flipped.float().mean() == pytest.approx(0.5, abs=0.04)
    assert sorted(set(drawn.offsets.flatten().tolist())) == [0, 1, 2, 3, 4]
    assert not inside(drawn.rectangles, 8, 8).any()


def test_nothing_is_flipped_unless_the_recipe_says_so() -> None:
    assert not draw(Augmentation("pad-and-crop", pad=1), 1000, 8, 8, generator(0)).flipped.any()


def test_a_slice_of_draws_is_what_those_images_would_have_got() -> None:
    drawn = draw(Augmentation("pad-and-crop", pad=2, flip=True, erasing=0.5), 16, 9, 7, generator(0))
    before = torch.randint(256, (16, 1, 9, 7), dtype=torch.uint8)
    whole = flip_and_crop(before, drawn, 2)
    assert torch.equal(flip_and_crop(before[4:8], drawn[4:8], 2), whole[4:8])


def test_a_rectangle_becomes_the_mean_in_all_channels_and_the_rest_stays() -> None:
    before = torch.ones(2, 3, 6, 5)
    after = erase(before, torch.tensor([[1, 2, 4, 5], [0, 0, 0, 0]]))
    assert int((after[0] == 0).sum()) == 3 * 3 * 3
    assert not after[0, :, 1:4, 2:5].any()
    assert torch.equal(after[1], before[1])
    assert inside(torch.tensor([[1, 2, 4, 5]]), 6, 5).sum() == 9


def test_rectangles_are_as_frequent_and_as_large_as_the_paper_says() -> None:
    rectangles = draw_rectangles(0.25, 20_000, 224, 224, generator(0))
    top, left, bottom, right = rectangles.T.float()
    there = bottom > top
    # some of 0.25 would not fit: those of much area and an extreme aspect
    assert 0.22 < there.float().mean() < 0.26
    share = ((bottom - top) * (right - left) / 224**2)[there]
    aspect = ((bottom - top) / (right - left))[there]
    assert 0.018 < share.min() < 0.03
    assert 0.37 < share.max() < 0.41
    assert 0.29 < aspect.min() < 0.35
    assert 2.9 < aspect.max() < 3.45
    assert (aspect > 1).float().mean() == pytest.approx(0.5, abs=0.02)
    assert int(rectangles.min()) >= 0
    assert int(rectangles.max()) <= 224


# --- Photos ---


def test_a_random_part_has_8_to_100_percent_of_the_area_and_an_aspect_of_3_4_to_4_3() -> None:
    source = generator(0)
    boxes = [random_box(500, 375, source) for _ in range(2000)]
    assert all(0 <= x < right <= 500 and 0 <= y < bottom <= 375 for x, y, right, bottom in boxes)
    shares = [(right - x) * (bottom - y) / (500 * 375) for x, y, right, bottom in boxes]
    aspects = [(right - x) / (bottom - y) for x, y, right, bottom in boxes]
    assert 0.079 < min(shares) < 0.1
    assert 0.9 < max(shares) <= 1
    assert 0.74 < min(aspects) < 0.8
    assert 1.25 < max(aspects) < 1.35


@pytest.mark.parametrize(("width", "height"), [(1000, 10), (10, 1000), (1, 1), (1, 7), (2, 2)])
def test_of_a_narrow_photo_the_middle_is_taken(width: int, height: int) -> None:
    for seed in range(20):
        left, top, right, bottom = random_box(width, height, generator(seed))
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height


def test_a_photo_of_any_mode_becomes_a_tensor_that_its_generator_decides() -> None:
    prepare = TrainingPhoto(RECIPE.augmentation, Preprocessing())
    photo = Image.effect_noise((300, 200), 60)
    first, again, other = (prepare(photo, generator(seed)) for seed in (1, 1, 2))
    assert first.shape == (3, 224, 224)
    assert first.dtype == torch.float32
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


# --- Random operations ---

RANDAUGMENT = Augmentation("pad-and-crop", pad=2, randaugment=2, magnitude=9)


def test_random_operations_are_torchvisions_drawn_by_a_seed() -> None:
    photo = Image.effect_noise((30, 20), 60).convert("RGB")
    before = torch.get_rng_state()
    operations = make_randaugment(RANDAUGMENT, (0.5, 0.5, 0.5))
    found = [randaugment(photo, operations, seed).tobytes() for seed in (1, 2, 1)]
    assert torch.equal(torch.get_rng_state(), before)
    assert found[0] == found[2] != found[1]
    with torch.random.fork_rng():
        torch.manual_seed(1)
        expected = RandAugment(2, 9, interpolation=InterpolationMode.BILINEAR, fill=[128, 128, 128])(photo)
    assert found[0] == expected.tobytes()


@pytest.mark.parametrize("channels", [1, 3])
def test_each_small_image_has_its_own_operations(channels: int) -> None:
    before = torch.randint(256, (1, channels, 9, 7), dtype=torch.uint8).repeat(6, 1, 1, 1)
    seeds = torch.tensor([1, 2, 3, 4, 1, 5])
    mean = [0.5] * channels
    after = randaugment_all(before, seeds, RANDAUGMENT, mean)
    assert (after.shape, after.dtype) == (before.shape, torch.uint8)
    assert torch.equal(after[0], after[4])
    assert len({tuple(image.flatten().tolist()) for image in after}) > 2
    assert torch.equal(randaugment_all(before[2:4], seeds[2:4], RANDAUGMENT, mean), after[2:4])


def test_photos_without_random_operations_draw_as_before() -> None:
    photo = Image.effect_noise((300, 200), 60)
    plain, changed_too = (
        TrainingPhoto(augmentation, Preprocessing()) for augmentation in (RECIPE.augmentation, with_randaugment())
    )
    source = generator(3)
    plain(photo, source)
    # the box, the flip and five numbers of the rectangle, as before there were random operations
    torch.rand(40, generator=(expected := generator(3)))
    torch.rand((), generator=expected)
    torch.rand(5, 1, generator=expected)
    assert torch.equal(source.get_state(), expected.get_state())
    assert not torch.equal(plain(photo, generator(3)), changed_too(photo, generator(3)))


def with_randaugment() -> Augmentation:
    return changed(RECIPE, ["augmentation.randaugment=2"]).augmentation


# --- Mixed ---


def test_mixup_weighs_images_and_labels_alike() -> None:
    before, labels = images(3), torch.tensor([4, 5, 6])
    mix = mixup(before, labels, 0.7)
    assert torch.allclose(mix.images[1], 0.7 * before[1] + 0.3 * before[0])
    assert torch.allclose(mix.images[0], 0.7 * before[0] + 0.3 * before[2])
    assert mix.others.tolist() == [6, 4, 5]
    assert mix.share == 0.7


def test_cutmix_weighs_labels_by_the_area_that_was_left() -> None:
    before, labels = images(2, 10, 10), torch.tensor([0, 1])
    mix = cutmix(before, labels, (2, 3, 6, 8))
    assert mix.share == pytest.approx(1 - 4 * 5 / 100)
    assert torch.equal(mix.images[0][:, 2:6, 3:8], before[1][:, 2:6, 3:8])
    assert int((mix.images[0] != before[0]).sum()) == 2 * 20
    assert mix.others.tolist() == [1, 0]


def test_a_rectangle_in_the_middle_has_one_minus_the_share_of_the_area() -> None:
    areas = []
    for seed in range(400):
        top, left, bottom, right = random_rectangle(0.75, 100, 60, generator(seed))
        assert 0 <= top <= bottom <= 100
        assert 0 <= left <= right <= 60
        areas.append((bottom - top) * (right - left))
    assert max(areas) == 50 * 30  # a quarter, where nothing is cut off at the edge


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0, 32.0])  # Zhang et al. (2018) mix by up to 32, section 3.4
def test_shares_are_of_the_beta_distribution(alpha: float) -> None:
    source = generator(0)
    shares = torch.tensor([beta(alpha, source) for _ in range(3000)])
    assert shares.mean() == pytest.approx(0.5, abs=0.03)
    assert shares.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)  # of Beta(alpha, alpha)


def test_a_recipe_without_mixing_leaves_images_and_labels() -> None:
    before, labels = images(2), torch.tensor([0, 1])
    mix = mix_images(before, labels, RECIPE, generator(0))
    assert mix.images is before
    assert mix.share == 1


def test_with_both_updates_take_turns_by_lot() -> None:
    recipe = changed(RECIPE, ("mixup=1", "cutmix=1"))
    before = images(2, 12, 12) / 1000
    kinds = []
    for seed in range(60):
        mix = mix_images(before, torch.tensor([0, 1]), recipe, generator(seed))
        own = (mix.images[0] == before[0]) | (mix.images[0] == before[1])
        kinds.append(bool(own.all()))  # cutmix only moves pixels
    assert 15 < sum(kinds) < 45

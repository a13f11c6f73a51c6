"""Learning rates, against values worked out by hand."""

from __future__ import annotations

import pytest

from res2next.recipes import Recipe, changed, learning_rate, load_recipe

PAPER = load_recipe("res2next50_imagenet")
STEPS = 10  # updates an epoch


def recipe(*settings: str) -> Recipe:
    return changed(PAPER, settings)


@pytest.mark.parametrize(
    ("epoch", "rate"), [(0, 0.1), (29, 0.1), (30, 0.01), (59, 0.01), (60, 0.001), (89, 0.001), (90, 1e-4), (99, 1e-4)]
)
def test_the_papers_rate_is_divided_by_ten_every_thirty_epochs(epoch: int, rate: float) -> None:
    assert learning_rate(PAPER, epoch * STEPS, STEPS) == pytest.approx(rate)
    assert learning_rate(PAPER, epoch * STEPS + STEPS - 1, STEPS) == pytest.approx(rate)


def test_milestones_lower_the_rate_when_their_epoch_begins_in_whatever_order_they_are_written() -> None:
    steps = recipe("schedule={kind: step, gamma: 0.5, milestones: [8, 2]}")
    assert [learning_rate(steps, epoch * STEPS, STEPS) for epoch in (0, 1, 2, 7, 8, 9)] == pytest.approx(
        [0.1, 0.1, 0.05, 0.05, 0.025, 0.025]
    )


def test_a_cosine_is_at_half_in_the_middle_and_near_zero_with_the_last_update() -> None:
    cosine = recipe("schedule={kind: cosine}", "epochs=4", "learning_rate=0.8")
    # (1 + cos(pi t)) / 2 at t = 0, 1/4, 1/2, 3/4
    assert [learning_rate(cosine, step, STEPS) for step in (0, 10, 20, 30)] == pytest.approx(
        [0.8, 0.8 * 0.8535533906, 0.4, 0.8 * 0.1464466094]
    )
    assert 0 < learning_rate(cosine, 39, STEPS) < 0.0015


def test_warm_up_climbs_update_by_update_and_its_last_one_has_the_whole_rate() -> None:
    warm = recipe("schedule={kind: cosine}", "epochs=3", "warmup_epochs=0.5", "learning_rate=1")
    assert [learning_rate(warm, step, STEPS) for step in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])


def test_the_cosine_begins_where_warm_up_ends() -> None:
    warm = recipe("schedule={kind: cosine}", "epochs=3", "warmup_epochs=1", "learning_rate=1")
    assert learning_rate(warm, 10, STEPS) == 1
    assert learning_rate(warm, 20, STEPS) == pytest.approx(0.5)


def test_epochs_of_warm_up_count_towards_the_milestones() -> None:
    warm = recipe("warmup_epochs=5")
    assert learning_rate(warm, 29 * STEPS, STEPS) == pytest.approx(0.1)
    assert learning_rate(warm, 30 * STEPS, STEPS) == pytest.approx(0.01)

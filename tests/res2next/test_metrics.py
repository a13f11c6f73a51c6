"""Counts and shares by hand, and against scipy and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from res2next.evaluation.metrics import (
    NEVER,
    Scores,
    calibration,
    calibration_error,
    confusion_matrix,
    correct_within,
    mean_loss,
    score,
    wilson_interval,
)

torch.set_num_threads(1)


def scores_of(rows: list[list[float]], labels: list[int]) -> Scores:
    return score(torch.tensor(rows), torch.tensor(labels))


def two_class_scores(confidence: list[float], correct: list[bool]) -> Scores:
    """Return scores of two classes with these confidences."""
    n = len(confidence)
    rank = np.array([0 if right else 1 for right in correct], np.int64)
    zeros = np.zeros(n, np.int64)
    return Scores(zeros, rank, rank, np.array(confidence), np.zeros(n), np.zeros(n, bool))


def test_the_rank_is_the_number_of_higher_logits() -> None:
    assert scores_of([[3, 1, 2], [3, 1, 2], [3, 1, 2]], [0, 1, 2]).rank.tolist() == [0, 2, 1]


def test_of_equal_logits_the_lower_class_comes_first() -> None:
    scores = scores_of([[0, 7, 7, 1], [0, 7, 7, 1]], [1, 2])
    assert scores.rank.tolist() == [0, 1]
    assert scores.predicted.tolist() == [1, 1]


def test_when_all_logits_are_equal_only_the_first_five_classes_are_in_top_5() -> None:
    scores = scores_of([[0.0] * 8] * 8, list(range(8)))
    assert correct_within(scores, 1) == 1
    assert correct_within(scores, 5) == 5


def test_top_5_of_three_classes_is_all_images() -> None:
    assert correct_within(scores_of([[1, 2, 3], [1, 2, 3]], [0, 1]), 5) == 2


def test_an_image_with_nan_or_infinite_logits_is_wrong_even_among_three_classes() -> None:
    scores = scores_of([[1, math.nan, 0], [math.inf, 0, 0], [1, 0, 0]], [0, 0, 0])
    assert scores.rank.tolist() == [NEVER, NEVER, 0]
    assert scores.predicted.tolist() == [-1, -1, 0]
    assert correct_within(scores, 5) == 1
    assert math.isnan(mean_loss(scores))
    assert confusion_matrix(scores, 3).sum() == 1
    assert sum(part.images for part in calibration(scores)) == 1


def test_a_class_ruled_out_with_minus_infinity_is_no_trouble() -> None:
    scores = scores_of([[1, -math.inf, 0]], [0])
    assert scores.rank.tolist() == [0]
    assert math.isfinite(mean_loss(scores))


def test_counts_loss_and_confusions_are_those_of_scikit_learn() -> None:
    from sklearn.metrics import confusion_matrix as reference_confusion
    from sklearn.metrics import log_loss, top_k_accuracy_score

    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(500, 12, generator=generator)
    labels = torch.randint(12, (500,), generator=generator)
    labels[:12] = torch.arange(12)
    scores = score(logits, labels)
    probabilities = logits.double().softmax(1).numpy()
    for k in (1, 5):
        assert correct_within(scores, k) == top_k_accuracy_score(labels, logits, k=k, normalize=False)
    assert mean_loss(scores) == pytest.approx(log_loss(labels, probabilities), rel=1e-12)
    expected = reference_confusion(labels, logits.argmax(1), labels=range(12))
    assert (confusion_matrix(scores, 12) == expected).all()


def test_the_loss_of_two_equal_logits_is_the_logarithm_of_two() -> None:
    assert mean_loss(scores_of([[5, 5], [0, 0]], [0, 1])) == pytest.approx(math.log(2), rel=1e-15)


def test_a_mean_loss_does_not_depend_on_how_images_are_put_into_batches() -> None:
    logits = torch.randn(300, 10, generator=torch.Generator().manual_seed(2))
    labels = torch.arange(300) % 10
    whole = score(logits, labels)
    parts = Scores.concatenate([score(logits[i : i + 7], labels[i : i + 7]) for i in range(0, 300, 7)])
    assert mean_loss(whole) == mean_loss(parts)


@given(st.integers(1, 20_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_is_that_of_scipy(counts: tuple[int, int]) -> None:
    expected = binomtest(*counts).proportion_ci(0.95, method="wilson")
    assert wilson_interval(*counts) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_the_interval_of_none_begins_at_zero_and_that_of_all_ends_at_one() -> None:
    assert wilson_interval(0, 10)[0] == 0
    assert wilson_interval(10, 10)[1] == 1
    # by hand for all of n: n / (n + z^2), with z^2 = 3.8415
    assert wilson_interval(10, 10)[0] == pytest.approx(10 / 13.8415, abs=1e-4)


def test_calibration_error_by_hand() -> None:
    # bins of a fifteenth: 0.60 is the upper bound of bin 8; 0.95 and 0.99 share the last
    scores = two_class_scores([0.60, 0.95, 0.99, 0.55], [True, True, False, False])
    bins = calibration(scores)
    assert [(number, part.images, part.correct) for number, part in enumerate(bins) if part.images] == [
        (8, 2, 1),
        (14, 2, 1),
    ]
    assert bins[14].confidence == pytest.approx(0.97)
    # (2 x |0.5 - 0.575| + 2 x |0.5 - 0.97|) / 4
    assert calibration_error(bins) == pytest.approx((2 * 0.075 + 2 * 0.47) / 4)


def test_sure_and_right_is_calibrated() -> None:
    assert calibration_error(calibration(two_class_scores([1.0, 1.0], [True, True]))) == 0


def test_a_bin_has_its_upper_bound_and_not_its_lower() -> None:
    bins = calibration(two_class_scores([0.5, 0.5000001], [True, True]), bins=2)
    assert [part.images for part in bins] == [1, 1]


def test_a_close_call_hangs_on_the_true_class() -> None:
    rows = [
        [10.0, 9.9999, 0, 0, 0, 0, 0],  # first and second are close, and the first is true
        [10.0, 9.9999, 0, 0, 0, 0, 0],  # so it is the other way round
        [9.9999, 10.0, 5, 4, 3, 2, 1],  # the third place is safe
        [10.0, 9, 8, 7, 6, 5.9999, 0],  # fifth against sixth: the sixth is true
        [10.0, 9, 8, 7, 6, 5.9999, 0],  # and here the third
    ]
    assert scores_of(rows, [0, 1, 2, 5, 2]).close.tolist() == [True, True, False, True, False]


def test_among_five_classes_no_top_5_is_close() -> None:
    assert scores_of([[9.0, 1, 1, 1, 1]], [0]).close.tolist() == [False]

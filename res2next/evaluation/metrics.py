"""Metrics of an evaluation: from logits to scores of images, and from these to results. Pure functions.

The scores of an image (:class:`Scores`) do not depend on its batch, except for float rounding; everything else is
computed from the scores in the order of the images.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import fsum, nan, sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

CLOSE = 1e-4
"""Two logits are close if they differ by at most this fraction of the image's largest one. Batch size and order of
summation change float32 logits by some 1e-6 of it."""

NEVER = 2**31 - 1
"""The rank of the true class if a logit is NaN or plus infinity: not in any top-k."""

BINS = 15
"""Of calibration, as in Guo et al., 2017, section 5."""


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """One value for each of n images, in order."""

    label: NDArray[np.int64]
    """The true class."""
    rank: NDArray[np.int64]
    """Classes that come before the true one: those with a higher logit, and those with an equal one and a lower
    number. 0 is top-1, below 5 is top-5; NEVER if a logit is NaN or plus infinity."""
    predicted: NDArray[np.int64]
    """The class with the highest logit, of equal ones the first; -1 if a logit is NaN or plus infinity."""
    confidence: NDArray[np.float64]
    """The highest softmax probability; NaN if a logit is NaN or plus infinity."""
    loss: NDArray[np.float64]
    """Cross entropy, in nats; NaN as above."""
    close: NDArray[np.bool_]
    """Whether top-1 or top-5 depends on two close logits."""

    def __len__(self) -> int:
        return len(self.label)

    @classmethod
    def concatenate(cls, parts: Sequence[Scores]) -> Scores:
        """The images of all parts, one part after another."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    def select(self, order: NDArray[np.int64]) -> Scores:
        """The images with these indices."""
        return Scores(*(getattr(self, field.name)[order] for field in fields(self)))


def score(logits: Tensor, labels: Tensor) -> Scores:
    """The scores of a batch: logits (n, classes) of any float type, labels (n,). Computed in float64 on the CPU."""
    logits, labels = logits.detach().cpu().double(), labels.cpu()  # Apple's GPUs have no float64
    classes = torch.arange(logits.shape[1])
    true = logits.gather(1, labels[:, None])  # (n, 1)
    before = (logits > true) | ((logits == true) & (classes < labels[:, None]))
    highest = logits.amax(1, keepdim=True)
    predicted = torch.where(logits == highest, classes, len(classes)).amin(1)
    broken = logits.isnan().any(1) | (logits == torch.inf).any(1)
    return Scores(
        label=labels.numpy().copy(),  # those of a data loader are memory of another process
        rank=before.sum(1).masked_fill(broken, NEVER).numpy(),
        predicted=predicted.masked_fill(broken, -1).numpy(),
        confidence=logits.softmax(1).amax(1).masked_fill(broken, nan).numpy(),
        loss=(logits.logsumexp(1) - true[:, 0]).masked_fill(broken, nan).numpy(),
        close=(_close(logits, true, labels, 1) | _close(logits, true, labels, 5)).numpy(),
    )


def likeliest_labels(logits: Tensor, labels: Tensor, label_sets: Sequence[Sequence[int]] | None) -> Tensor:
    """Of the right labels of each image the one with the highest logit, of equal ones the first; ``labels`` if None.

    By this label an image is in top-k if any of its labels is.
    """
    if label_sets is None:
        return labels
    rows = logits.tolist()
    return torch.tensor([max(sorted(some), key=row.__getitem__) for row, some in zip(rows, label_sets, strict=True)])


def _close(logits: Tensor, true: Tensor, labels: Tensor, k: int) -> Tensor:
    """Whether the true class is in the first k, or not, by a difference within rounding."""
    if logits.shape[1] <= k:
        return torch.zeros(len(logits), dtype=torch.bool)
    others = logits.scatter(1, labels[:, None], -torch.inf)
    rival = others.topk(k, 1).values[:, -1]  # the true class is in the first k if it comes before this one
    return (true[:, 0] - rival).abs() <= CLOSE * logits.abs().amax(1)


# --- From scores to results ---


def correct_within(scores: Scores, k: int) -> int:
    """Images whose true class is among the k highest; with k classes or fewer, all whose logits are numbers."""
    return int((scores.rank < k).sum())


def mean_loss(scores: Scores) -> float:
    """Mean cross entropy in nats, exactly summed; NaN if it is for any image."""
    return fsum(scores.loss) / len(scores)


def wilson_interval(correct: int, images: int) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson, "Probable Inference, the Law of Succession", 1927, page 209).

    Equal to scipy.stats.binomtest, whose import takes longer than the evaluation of a small data set.
    """
    z = NormalDist().inv_cdf(0.975)
    share, noise = correct / images, z * z / images
    centre = (share + noise / 2) / (1 + noise)
    half = z / (1 + noise) * sqrt(share * (1 - share) / images + noise / (4 * images))
    # exact bounds for none or all correct, without rounding
    return (centre - half if correct else 0.0), (centre + half if correct < images else 1.0)


def confusion_matrix(scores: Scores, classes: int) -> NDArray[np.int64]:
    """How often images of class i (row) were predicted as j (column); images without a prediction are in no column."""
    has_prediction = scores.predicted >= 0
    pairs = scores.label[has_prediction] * classes + scores.predicted[has_prediction]
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


@dataclass(frozen=True, slots=True)
class Bin:
    """The images whose confidence is in one range."""

    low: float
    """Confidence is above this,"""
    high: float
    """and not above this."""
    images: int
    correct: int
    confidence: float
    """Mean of the images; 0 if there are none."""


def calibration(scores: Scores, bins: int = BINS) -> tuple[Bin, ...]:
    """Images by confidence, in bins of equal width; those without a prediction are in none."""
    has_prediction = scores.predicted >= 0
    confidence: NDArray[Any] = scores.confidence[has_prediction]
    correct = scores.rank[has_prediction] == 0
    number = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    found = []
    for index in range(bins):
        inside = number == index
        images = int(inside.sum())
        mean = fsum(confidence[inside]) / images if images else 0.0
        found.append(Bin(index / bins, (index + 1) / bins, images, int(correct[inside].sum()), mean))
    return tuple(found)


def calibration_error(bins: Sequence[Bin]) -> float:
    """Expected calibration error (Guo et al., "On Calibration of Modern Neural Networks", 2017, equation 3).

    The difference between accuracy and mean confidence of each bin, weighted by its images. 0 without images.
    """
    images = sum(part.images for part in bins)
    return fsum(abs(part.correct - part.confidence * part.images) for part in bins) / images if images else 0.0

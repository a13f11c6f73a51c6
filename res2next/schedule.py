"""The learning rate of every update, as a function of the recipe and the update's number. Without torch."""

from __future__ import annotations

from bisect import bisect_right
from math import cos, pi
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from res2next.recipes import Recipe, Schedule


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """The learning rate of update ``step``, counted from 0.

    Warm-up of w updates: (step + 1) / w of the recipe's rate, so that update w-1 has all of it (Goyal et al.,
    "Accurate, Large Minibatch SGD", 2017, section 2.2). Warm-up counts as part of the epochs. After it:

    - ``step``: times gamma at each milestone that has passed, in whole epochs from the start of training;
    - ``cosine``: (1 + cos(pi t)) / 2 where t runs from 0, after warm-up, towards 1, the end of training
      (Loshchilov and Hutter, "SGDR", 2017, equation 5, with one period and a minimum of 0).
    """
    warmup = round(recipe.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    if recipe.schedule.kind == "cosine":
        share = (step - warmup) / (recipe.epochs * steps_per_epoch - warmup)
        return recipe.learning_rate * (1 + cos(pi * share)) / 2
    return recipe.learning_rate * recipe.schedule.gamma ** drops(recipe.schedule, step // steps_per_epoch)


def drops(schedule: Schedule, epoch: int) -> int:
    """How often a step schedule has lowered the learning rate when ``epoch``, counted from 0, begins."""
    if schedule.every is not None:
        return epoch // schedule.every
    return bisect_right(sorted(schedule.milestones), epoch)

"""Evaluation of a network on a data set: exact counts, each image once."""

from __future__ import annotations

from res2next.evaluation.loop import UndecodableImages, evaluate
from res2next.evaluation.partial_results import OtherEvaluation
from res2next.evaluation.result import ClassResult, Evaluation
from res2next.evaluation.scoring import UnfitNetwork

__all__ = ["ClassResult", "Evaluation", "OtherEvaluation", "UndecodableImages", "UnfitNetwork", "evaluate"]

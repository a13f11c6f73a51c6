"""Training a network by a recipe, from fresh weights to a file."""

from __future__ import annotations

from res2next.training.batches import TrainingDataError
from res2next.training.loop import NotCompiled, train
from res2next.training.monitor import Listener
from res2next.training.run_folder import CheckpointError, FolderInUse, Trained
from res2next.training_log import Progress

__all__ = [
    "CheckpointError",
    "FolderInUse",
    "Listener",
    "NotCompiled",
    "Progress",
    "Trained",
    "TrainingDataError",
    "train",
]

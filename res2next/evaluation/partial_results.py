"""Stores the partial results of an evaluation in memory and, so that it can be interrupted, in a folder.

The folder has a file of each process: one line of JSON with the inputs of the evaluation, then one line for each chunk
of images, with the digest of these images: their scores are valid as long as they are the same, whatever becomes of
others. A line is written at once and ends with a line end, so a kill loses at most the chunk that was being written:
a partial line at the end of a file is ignored. Numbers are read back bit for bit: JSON has the shortest digits that
give the same float.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import fields
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np
import torch

from res2next.errors import Res2NextError
from res2next.evaluation.metrics import Scores

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import nn

    from res2next.datasets import ImageSet
    from res2next.distributed import World
    from res2next.evaluation.scoring import DeviceSettings

CHUNK = 512
"""Images between two writes."""

TYPES = {
    "label": "int64",
    "rank": "int64",
    "predicted": "int64",
    "confidence": "float64",
    "loss": "float64",
    "close": "bool",
}


class OtherEvaluation(Res2NextError, ValueError):  # noqa: N818 - a public name: it says what is the matter
    """Partial results of another network, another data set or another method."""


class Results:
    """The scores of the evaluated images, with their indices in the data set."""

    def __init__(self, folder: Path | None, inputs: Mapping[str, str], data: ImageSet) -> None:
        """Read the results in ``folder`` of images of ``data``; without one, results are in memory only.

        Raises:
            OtherEvaluation: the folder has results with other inputs; the message names those that differ.
        """
        self.indices, self.scores = no_results() if folder is None else read_results(folder, inputs, data)
        self._data = data
        self.added = 0
        """Images that this process has added."""
        self._folder, self._inputs = folder, inputs
        self._file: Path | None = None
        self._chunk: list[tuple[NDArray[np.int64], Scores]] = []

    def missing(self, images: int, world: World) -> NDArray[np.int64]:
        """Indices of this process's share of the images without results. Every process must call this."""
        everyone = world.gather(self.indices)
        done = world.broadcast(np.concatenate(everyone) if everyone else self.indices)
        return np.setdiff1d(np.arange(images), done)[world.rank :: world.size]

    def add(self, indices: NDArray[np.int64], scores: Scores) -> None:
        """Add results; a chunk is written when it is full."""
        self._chunk.append((indices, scores))
        self.added += len(indices)
        if sum(len(indices) for indices, _ in self._chunk) >= CHUNK:
            self.write()

    def write(self) -> None:
        """Write what has not been written."""
        if not self._chunk:
            return
        indices = np.concatenate([indices for indices, _ in self._chunk])
        scores = Scores.concatenate([scores for _, scores in self._chunk])
        self._chunk = []
        if self._folder is not None:
            values = {field.name: getattr(scores, field.name).tolist() for field in fields(scores)}
            photos = digest_of_images(self._data, indices.tolist())
            self._append(self._folder, {"photos": photos, "image": indices.tolist(), **values})
        self.indices = np.concatenate([self.indices, indices])
        self.scores = Scores.concatenate([self.scores, scores])

    def _append(self, folder: Path, content: dict[str, object]) -> None:
        text = json.dumps(content) + "\n"
        if self._file is None:  # a new file: an earlier one may end with a partial line
            folder.mkdir(parents=True, exist_ok=True)
            self._file = folder / f"{uuid4().hex}.jsonl"
            text = json.dumps(dict(self._inputs)) + "\n" + text
        with self._file.open("ab") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())


def evaluation_inputs(
    model: nn.Module,
    data: ImageSet,
    name: str,
    weights: str,
    settings: DeviceSettings,
    engine: str = "torch",
    flip: bool = False,
) -> dict[str, str]:
    """Name and value of the inputs that determine the scores; they must be equal to continue an evaluation.

    The engine is one: counts would be the same with any, but the result names one, and losses differ in the last digit.
    """
    digest = hashlib.sha256(repr(model).encode())
    for key, value in model.state_dict().items():
        digest.update(f"{key} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return {
        "format": "3",
        "model": name,
        "weights file": weights,
        "network": f"sha256:{digest.hexdigest()}",
        "data set": f"{data.info.name} {data.split}",
        "preprocessing": f"{data.transform!r}{' flip' if flip else ''}",
        "device": settings.device.type,
        "precision": settings.precision,
        "engine": engine,
    }


def no_results() -> tuple[NDArray[np.int64], Scores]:
    """No images."""
    return np.empty(0, np.int64), Scores(**{name: np.empty(0, kind) for name, kind in TYPES.items()})


def digest_of_images(data: ImageSet, indices: Sequence[int]) -> str:
    """The digest of some images: for photos, of their names, sizes and labels. Empty if one is missing."""
    if any(index >= len(data) for index in indices):
        return ""
    try:
        lines = "\n".join(data.identity(index) for index in indices)
    except OSError:
        return ""
    return f"sha256:{hashlib.sha256(lines.encode(errors='surrogateescape')).hexdigest()}"


def read_results(folder: Path, inputs: Mapping[str, str], data: ImageSet) -> tuple[NDArray[np.int64], Scores]:
    """Indices and scores of the images in a folder, without chunks with an image that has changed; none if missing.

    Raises:
        OtherEvaluation: as :class:`Results`.
    """
    indices, scores = no_results()
    found = [scores]
    for path in sorted(folder.glob("*.jsonl")):
        lines = path.read_bytes().split(b"\n")[:-1]  # after the last line end: a partial line, or nothing
        for line in lines[:1]:
            _compare(folder, json.loads(line), inputs)
        for line in lines[1:]:
            chunk = json.loads(line)
            photos = digest_of_images(data, chunk["image"])
            if not photos or chunk["photos"] != photos:
                continue
            indices = np.concatenate([indices, np.array(chunk["image"], np.int64)])
            found.append(Scores(**{name: np.array(chunk[name], kind) for name, kind in TYPES.items()}))
    return indices, Scores.concatenate(found)


def merge_results(known: list[tuple[NDArray[np.int64], Scores]], images: int) -> Scores:
    """The scores of all ``images`` in order, from those of all processes, each image once."""
    indices, first = np.unique(np.concatenate([indices for indices, _ in known]), return_index=True)
    if not np.array_equal(indices, np.arange(images)):
        raise AssertionError(f"{len(indices)} of {images} images were evaluated: this must never happen")
    return Scores.concatenate([scores for _, scores in known]).select(first)


def forget_results(folder: Path) -> None:
    """Delete partial results from a folder, and the folder if it is then empty."""
    if not folder.is_dir():
        return
    for path in folder.glob("*.jsonl"):
        path.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()


def _compare(folder: Path, found: Mapping[str, str], inputs: Mapping[str, str]) -> None:
    other = [name for name in {**found, **inputs} if found.get(name) != inputs.get(name)]
    if other:
        raise OtherEvaluation(
            f"{folder} has results of an evaluation with another {', another '.join(other)}: "
            "delete it, or start without --resume"
        )

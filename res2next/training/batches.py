"""The order of training images and their batches, a function of (seed, epoch) only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, default_collate

from res2next.datasets.base import CorruptImage
from res2next.errors import Res2NextError
from res2next.training.augment import TrainingPhoto, draw, erase, flip_and_crop, generator, randaugment_all
from res2next.transforms import MODES, evaluation_transform

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from res2next.datasets import ImageSet
    from res2next.recipes import Recipe
    from res2next.registry import Preprocessing

EVALUATION_BATCH = 500
"""Images per batch without gradients."""


class TrainingDataError(Res2NextError, ValueError):
    """Images that do not suit the recipe."""


@dataclass(frozen=True, slots=True)
class Part:
    """The part of every batch that a process computes."""

    rank: int = 0
    processes: int = 1
    accumulate: int = 1
    """Parts of a batch that each process computes one after another."""

    def slices(self, batch_size: int) -> list[slice]:
        """Slices of a batch for this process; those of all processes together are the whole batch."""
        size = batch_size // (self.processes * self.accumulate)
        starts = [(turn * self.processes + self.rank) * size for turn in range(self.accumulate)]
        return [slice(start, start + size) for start in starts]


class Batches(ABC):
    """The training images of a run, without the held-out ones, in batches."""

    def __init__(self, data: ImageSet, recipe: Recipe, held_out: int, part: Part) -> None:
        """Hold out ``held_out`` of the images, drawn by the recipe's seed.

        Raises:
            TrainingDataError: fewer images than a batch has, or a batch that the processes cannot share.
        """
        shuffled = torch.randperm(len(data), generator=generator(recipe.seed, "hold-out"))
        self.training = shuffled[held_out:].sort().values
        self.held_out = shuffled[:held_out].sort().values
        self.recipe = recipe
        self.part = part
        parts = part.processes * part.accumulate
        if recipe.batch_size % parts:
            raise TrainingDataError(
                f"a batch of {recipe.batch_size} images cannot be shared by {part.processes} processes in "
                f"{part.accumulate} steps each; choose numbers whose product divides it"
            )
        if len(self.training) < recipe.batch_size:
            raise TrainingDataError(
                f"{len(self.training)} images to train on are less than one batch of {recipe.batch_size}; "
                "hold fewer out, or use a recipe with a smaller batch"
            )

    @property
    def steps_per_epoch(self) -> int:
        """Updates per epoch. Images that do not fill a last batch are left out, others in every epoch."""
        return len(self.training) // self.recipe.batch_size

    def order(self, epoch: int) -> Tensor:
        """Indices of the images of an epoch, batch after batch."""
        shuffled = torch.randperm(len(self.training), generator=generator(self.recipe.seed, "order", epoch))
        return self.training[shuffled[: self.steps_per_epoch * self.recipe.batch_size]]

    def parts_from(self, step: int) -> Iterator[tuple[Tensor, Tensor]]:
        """This process's parts of all batches from update ``step`` to the end of training, in their order."""
        first, done = divmod(step, self.steps_per_epoch)
        for epoch in range(first, self.recipe.epochs):
            yield from self.epoch(epoch, done if epoch == first else 0)

    @abstractmethod
    def epoch(self, epoch: int, first_step: int) -> Iterator[tuple[Tensor, Tensor]]:
        """This process's parts of the batches of an epoch from ``first_step`` on: images (n, C, H, W), labels (n,)."""

    @abstractmethod
    def evaluation(self) -> Iterator[tuple[Tensor, Tensor]]:
        """All held-out images, preprocessed as for evaluation: images (n, C, H, W), labels (n,)."""


def make_batches(
    data: ImageSet, recipe: Recipe, preprocessing: Preprocessing, held_out: int, part: Part, workers: int
) -> Batches:
    """The batches of a recipe: of photos that workers decode, or of small images held in memory."""
    if recipe.augmentation.crop == "random-resized":
        return PhotoBatches(data, recipe, preprocessing, held_out, part, workers)
    return MemoryBatches(data, recipe, preprocessing, held_out, part)


class MemoryBatches(Batches):
    """Small images, decoded once; a batch is augmented as one tensor."""

    def __init__(self, data: ImageSet, recipe: Recipe, preprocessing: Preprocessing, held_out: int, part: Part) -> None:
        super().__init__(data, recipe, held_out, part)
        self.pixels = decode_all(data, preprocessing)  # (images, C, H, W), bytes
        self.preprocessing = preprocessing
        self.labels = torch.tensor(data.labels)
        self.mean = torch.tensor(preprocessing.mean)[:, None, None]
        self.std = torch.tensor(preprocessing.std)[:, None, None]

    def epoch(self, epoch: int, first_step: int) -> Iterator[tuple[Tensor, Tensor]]:
        size, augmentation = self.recipe.batch_size, self.recipe.augmentation
        order = self.order(epoch)
        for step in range(first_step, self.steps_per_epoch):
            # drawn for the whole batch, so that augmentation does not depend on the process
            source = generator(self.recipe.seed, "augment", epoch, step)
            drawn = draw(augmentation, size, *self.preprocessing.input_size[1:], source)
            for rows in self.part.slices(size):
                chosen = order[step * size : (step + 1) * size][rows]
                pixels = flip_and_crop(self.pixels[chosen], drawn[rows], augmentation.pad)
                if augmentation.randaugment:
                    pixels = randaugment_all(pixels, drawn[rows].seeds, augmentation, self.preprocessing.mean)
                yield erase(self.normalize(pixels), drawn[rows].rectangles), self.labels[chosen]

    def evaluation(self) -> Iterator[tuple[Tensor, Tensor]]:
        for chosen in torch.split(self.held_out, EVALUATION_BATCH):
            yield self.normalize(self.pixels[chosen]), self.labels[chosen]

    def normalize(self, pixels: Tensor) -> Tensor:
        """Bytes -> float32, in the order of operations of :func:`res2next.transforms.normalize`."""
        return pixels.to(torch.float32).div_(255).sub_(self.mean).div_(self.std)


def decode_all(data: ImageSet, preprocessing: Preprocessing) -> Tensor:
    """All images as bytes (images, C, H, W).

    Raises:
        TrainingDataError: an image that does not have the network's size.
    """
    channels, height, width = preprocessing.input_size
    pixels = np.empty((len(data), height, width, channels), np.uint8)
    for index in range(len(data)):
        image = data.image(index).convert(MODES[channels])
        if image.size != (width, height):
            raise TrainingDataError(
                f"{data.image_name(index)} has {image.width}x{image.height} pixels, and the network takes "
                f"{width}x{height}; use a recipe whose crop is random-resized"
            )
        pixels[index] = np.asarray(image).reshape(height, width, channels)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()


class PhotoBatches(Batches):
    """Photos that worker processes decode; augmentation is a function of (seed, epoch, index)."""

    def __init__(
        self,
        data: ImageSet,
        recipe: Recipe,
        preprocessing: Preprocessing,
        held_out: int,
        part: Part,
        workers: int,
    ) -> None:
        super().__init__(data, recipe, held_out, part)
        self.data = data
        self.preprocessing = preprocessing
        self.workers = workers

    def epoch(self, epoch: int, first_step: int) -> Iterator[tuple[Tensor, Tensor]]:
        size = self.recipe.batch_size
        remaining = torch.split(self.order(epoch), size)[first_step:]
        parts = [batch[rows].tolist() for batch in remaining for rows in self.part.slices(size)]
        transform = TrainingPhoto(self.recipe.augmentation, self.preprocessing)
        yield from self._load(_TrainingPhotos(self.data, transform, self.recipe.seed, epoch), parts)

    def evaluation(self) -> Iterator[tuple[Tensor, Tensor]]:
        parts = [chosen.tolist() for chosen in torch.split(self.held_out, EVALUATION_BATCH)]
        yield from self._load(_EvaluationPhotos(self.data, self.preprocessing), parts)

    def _load(self, photos: Dataset[Any], parts: list[list[int]]) -> Iterator[tuple[Tensor, Tensor]]:
        loader = DataLoader(
            photos,
            batch_sampler=parts,
            num_workers=self.workers,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),  # seeds workers; the default is the global generator
            collate_fn=_collate,
        )
        for batch in loader:
            if isinstance(batch, str):
                raise CorruptImage(batch)
            yield batch


def _collate(items: list[Any]) -> Any:
    """One batch; or the messages about images that cannot be decoded, to which torch would add tracebacks."""
    return "; ".join(item for item in items if isinstance(item, str)) or default_collate(items)


class _TrainingPhotos(Dataset[Any]):
    def __init__(self, data: ImageSet, transform: TrainingPhoto, seed: int, epoch: int) -> None:
        self.data, self.transform, self.seed, self.at = data, transform, seed, epoch

    def __getitem__(self, index: int) -> tuple[Tensor, int] | str:
        source = generator(self.seed, "augment", self.at, index)
        try:
            return self.transform(self.data.image(index), source), int(self.data.labels[index])
        except CorruptImage as trouble:
            return str(trouble)


class _EvaluationPhotos(Dataset[Any]):
    def __init__(self, data: ImageSet, preprocessing: Preprocessing) -> None:
        self.data, self.transform = data, evaluation_transform(preprocessing)

    def __getitem__(self, index: int) -> tuple[Tensor, int] | str:
        try:
            return self.transform(self.data.image(index)), int(self.data.labels[index])
        except CorruptImage as trouble:
            return str(trouble)

"""The zoo of torchvision's classification models; its weights carry their own counts and transforms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cardproof.digests import digest_of_distribution
from cardproof.words import Preprocessing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn


class TorchvisionZoo:
    """Networks of the installed torchvision, without quantised ones.

    Names are its own (``resnet50``, ``vit_b_16``: the default weights), or those of an entry of its weights
    (``ViT_B_16_Weights.IMAGENET1K_SWAG_E2E_V1``), which for vision transformers decides the network's image size.
    """

    name = "torchvision"

    def models(self) -> tuple[str, ...]:
        """Return the names of all models."""
        from torchvision import models

        return tuple(models.list_models(module=models))

    def build(self, name: str) -> nn.Module:
        """Return the network without weights. Raises LookupError for a name that torchvision does not have."""
        import torchvision

        model, weights = self._find(name)
        if model is None:
            raise LookupError(f"torchvision {torchvision.__version__} has no classification model '{name}'")
        options: dict[str, Any] = {}
        if model in ("googlenet", "inception_v3"):
            options["init_weights"] = False
        if model == "googlenet":
            options["aux_logits"] = False  # its published weights, and their counts, are those of the network without
        if model.startswith("vit_") and weights is not None:
            options["image_size"] = weights.transforms().crop_size[0]
        network: nn.Module = torchvision.models.get_model(model, weights=None, **options)
        return network

    def preprocessing(self, name: str) -> Preprocessing | None:
        """Return the transforms of the weights."""
        _, weights = self._find(name)
        if weights is None:
            return None
        transform = weights.transforms()
        crop, resize = transform.crop_size[0], transform.resize_size[0]
        return Preprocessing(
            (3, crop, crop),
            round(crop / resize, 4),
            transform.interpolation.value,
            tuple(transform.mean),
            tuple(transform.std),
            weights=weights.url.rpartition("/")[2],
        )

    def weights(self, name: str) -> dict[str, Any] | None:
        """Return the metadata of the weights, with their address."""
        _, weights = self._find(name)
        return {"url": weights.url, **weights.meta} if weights else None

    def recipe(self, name: str) -> None:
        """Return None: torchvision links to its recipes and does not ship them."""
        return

    def digest(self, name: str) -> str:
        """Return version and record of the installed torchvision."""
        return digest_of_distribution("torchvision")

    def known_as(self, name: str, weights: str | None) -> str:
        """Return the entry of the model's weights whose file the card links; the name itself where there is none."""
        for entry in self._entries(name) if weights else ():
            if entry.url.rpartition("/")[2] == weights:
                return str(entry)
        return name

    def _find(self, name: str) -> tuple[str | None, Any]:
        """Return a model's name and weights: the entry named, or the default; None for what there is not."""
        kind, _, entry_name = name.partition(".")
        for model in self.models():
            entries = list(self._entries(model))
            if model == name:
                return model, type(entries[0]).DEFAULT if entries else None
            if entry_name and entries and type(entries[0]).__name__ == kind:
                return next(((model, entry) for entry in entries if entry.name == entry_name), (None, None))
        return None, None

    def _entries(self, name: str) -> Iterator[Any]:
        from torchvision import models

        if name in self.models():
            yield from models.get_model_weights(name)


zoo = TorchvisionZoo()

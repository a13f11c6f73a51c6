"""The zoo of torchvision's classification models; its weights carry their own counts and transforms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cardproof.digests import digest_of_distribution
from cardproof.words import Preprocessing

if TYPE_CHECKING:
    from torch import nn

# GoogLeNet's published weights, and their counts, are those of the network without its two auxiliary heads.
_OPTIONS: dict[str, dict[str, Any]] = {
    "googlenet": {"aux_logits": False, "init_weights": False},
    "inception_v3": {"init_weights": False},
}


class TorchvisionZoo:
    """Networks of the installed torchvision; names are its own (``resnet50``, ``vit_b_16``), without quantised ones."""

    name = "torchvision"

    def models(self) -> tuple[str, ...]:
        from torchvision import models

        return tuple(models.list_models(module=models))

    def build(self, name: str) -> nn.Module:
        import torchvision

        if name not in self.models():
            raise LookupError(f"torchvision {torchvision.__version__} has no classification model '{name}'")
        network: nn.Module = torchvision.models.get_model(name, weights=None, **_OPTIONS.get(name, {}))
        return network

    def preprocessing(self, name: str) -> Preprocessing | None:
        weights = self._weights(name)
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
        weights = self._weights(name)
        return {"url": weights.url, **weights.meta} if weights else None

    def recipe(self, name: str) -> None:
        """Return None: torchvision links to its recipes and does not ship them."""
        return

    def digest(self, name: str) -> str:
        return digest_of_distribution("torchvision")

    def known_as(self, name: str, weights: str | None) -> str:
        return name

    def _weights(self, name: str) -> Any:
        """Return the default weights of a model, or None where it has none."""
        from torchvision import models

        found = list(models.get_model_weights(name)) if name in self.models() else []
        return found[0].DEFAULT if found else None


zoo = TorchvisionZoo()

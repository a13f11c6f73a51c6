"""The zoo of PyTorch Image Models (timm), with its own renames of old model names."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from cardproof.digests import digest_of_distribution
from cardproof.words import Preprocessing
from cardproof.zoos import ZooError

if TYPE_CHECKING:
    from torch import nn


class TimmZoo:
    """Networks of the installed timm; its names are ``architecture`` or ``architecture.tag``."""

    name = "timm"

    def models(self) -> tuple[str, ...]:
        return tuple(_timm().list_models())

    def build(self, name: str) -> nn.Module:
        timm = _timm()
        known = self.known_as(name, None)
        if not timm.is_model(known):
            raise LookupError(f"timm {timm.__version__} has no model '{name}'")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old names were resolved above, and the finding says so
            network: nn.Module = timm.create_model(known, pretrained=False)
        return network

    def known_as(self, name: str, weights: str | None) -> str:
        """Return timm's present name: by its table of deprecated names, then by the file of the card's weights."""
        from timm.models import get_deprecated_models

        _timm()
        known: str = get_deprecated_models().get(name) or name
        if weights:
            architecture = known.partition(".")[0]
            for tagged, config in _configs(architecture):
                if _file_name(config.url) == weights:
                    return tagged
        return known

    def preprocessing(self, name: str) -> Preprocessing | None:
        from timm.models import get_pretrained_cfg

        _timm()
        config = get_pretrained_cfg(self.known_as(name, None))
        if config is None:
            return None
        return Preprocessing(
            _shape(config.input_size),
            config.crop_pct,
            config.interpolation,
            tuple(config.mean),
            tuple(config.std),
            _shape(config.test_input_size) if config.test_input_size else None,
            _file_name(config.url),
            config.test_crop_pct,
        )

    def weights(self, name: str) -> dict[str, Any] | None:
        from timm.models import get_pretrained_cfg

        config = get_pretrained_cfg(self.known_as(name, None))
        return {"url": config.url, "hub": config.hf_hub_id, "licence": config.license} if config else None

    def recipe(self, name: str) -> None:
        """Return None: timm publishes its recipes as shell lines of its documentation, not with the models."""
        return

    def digest(self, name: str) -> str:
        return digest_of_distribution("timm")


def _timm() -> Any:
    try:
        import timm
    except ImportError as trouble:
        raise ZooError("zoo 'timm' needs the package timm: pip install 'cardproof[timm]'") from trouble
    return timm


def _configs(architecture: str) -> list[tuple[str, Any]]:
    from timm.models import get_arch_pretrained_cfgs

    return list(get_arch_pretrained_cfgs(architecture).items())


def _shape(size: Any) -> tuple[int, int, int]:
    channels, height, width = size
    return int(channels), int(height), int(width)


def _file_name(url: Any) -> str | None:
    return url.rpartition("/")[2] or None if url else None


zoo = TimmZoo()

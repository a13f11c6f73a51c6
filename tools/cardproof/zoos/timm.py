"""The zoo of PyTorch Image Models (timm), with its own renames of old model names."""

from __future__ import annotations

import re
import warnings
from functools import cache
from typing import TYPE_CHECKING, Any

from cardproof.core.digests import digest_of_distribution
from cardproof.core.measurements import Preprocessing
from cardproof.core.types import Place
from cardproof.zoos import ZooError
from cardproof.zoos.metadata import Published, Value, source_file

if TYPE_CHECKING:
    from torch import nn


class TimmZoo:
    """Networks of the installed timm; its names are ``architecture`` or ``architecture.tag``."""

    name = "timm"
    title = "timm"

    def models(self) -> tuple[str, ...]:
        return tuple(_timm().list_models())

    def entries(self) -> tuple[str, ...]:
        """Return the names of all pretrained weights: ``architecture.tag``."""
        return tuple(_timm().list_models(pretrained=True))

    def address(self) -> str:
        """Return where the metadata of this version is published."""
        return f"https://github.com/huggingface/pytorch-image-models/tree/v{_timm().__version__}/timm/models"

    def published(self, name: str) -> Published | None:
        """Return the metadata of a model's weights; timm has no results in it."""
        config = _config(self.known_as(name, None))
        if config is None:
            return None
        place = _place(config)
        values = []
        if config.num_classes:
            values.append(Value("Classes", str(config.num_classes), "num_classes", place))
        if config.min_input_size:
            _, *sides = config.min_input_size
            text = str(sides[0]) if len(set(sides)) == 1 else "x".join(map(str, sides))
            values.append(Value("Min Size", text, "min_input_size", place))
        hub = f"https://huggingface.co/{config.hf_hub_id}" if config.hf_hub_id else ""
        link = config.url if config.url and isinstance(config.url, str) else hub
        data = tuple(dict.fromkeys(TRAINED_ON[word] for word in (config.tag or "").split("_") if word in TRAINED_ON))
        licence = str(config.license or "") if link else ""
        return Published(name, place, link, licence, data, tuple(values))

    def build(self, name: str) -> nn.Module:
        timm = _timm()
        known = self.known_as(name, None)
        if not timm.is_model(known):
            raise LookupError(f"timm {timm.__version__} has no model '{name}'")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old names were resolved above, which a finding reports
            network: nn.Module = timm.create_model(known, pretrained=False)
        return network

    def known_as(self, name: str, weights: str | None) -> str:
        """Return timm's present name: by its table of deprecated names, then by the file of the card's weights.

        A repository of timm on the Hub, such as ``hf_hub:timm/resnet50.a1_in1k``, is the entry that it is named after.
        The file decides for a deprecated name: the table maps some names of several sizes to one of them.
        """
        from timm.models import get_deprecated_models

        _timm()
        name = _HUB.sub("", name, count=1)
        renamed: str | None = get_deprecated_models().get(name)
        known = renamed or name
        if weights:
            architecture = known.partition(".")[0]
            for tagged, config in _configs(architecture):
                if _file_name(config.url) == weights:
                    return tagged
            if renamed:
                return _entries_by_file().get(weights, known)
        return known

    def preprocessing(self, name: str) -> Preprocessing | None:
        config = _config(self.known_as(name, None))
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
        config = _config(self.known_as(name, None))
        return {"url": config.url, "hub": config.hf_hub_id, "licence": config.license} if config else None

    def weights_of(self, name: str) -> tuple[tuple[str, int], ...]:
        """Return the names of all weights of an architecture, the default first, with their numbers of classes."""
        architecture, _, tag = self.known_as(name, None).partition(".")
        if tag:  # a name of weights means these alone
            return ()
        return tuple((tagged, int(config.num_classes)) for tagged, config in _configs(architecture))

    def recipe(self, name: str) -> None:
        """Return None: timm publishes recipes as command lines in its documentation, not with the models."""

    def digest(self, name: str) -> str:
        return digest_of_distribution("timm")


def _timm() -> Any:
    try:
        import timm
    except ImportError as trouble:
        raise ZooError("zoo 'timm' needs the package timm: pip install 'cardproof[timm]'") from trouble
    return timm


_HUB = re.compile(r"^(?:hf[-_]hub:)?timm/|^https://huggingface\.co/timm/")
"""What stands before the name of an entry if its repository on the Hub is meant."""

TRAINED_ON = {
    "in1k": "ImageNet-1k",
    "in12k": "ImageNet-12k",
    "in21k": "ImageNet-21k",
    "in22k": "ImageNet-21k",
}
"""Words of a tag that name a data set, such as the second and the fourth of ``fb_in22k_ft_in1k``."""


def _place(config: Any) -> Place:
    import inspect

    from timm.models import model_entrypoint

    function = model_entrypoint(config.architecture)
    file = source_file(inspect.getsourcefile(function) or "", "timm")
    name = f"{config.architecture}.{config.tag}" if config.tag else config.architecture
    return file.place_of_text(name) if file else Place(f"{function.__module__.replace('.', '/')}.py", 1, 1)


def _config(name: str) -> Any:
    """Return the configuration of an entry; None if there is none. Raises LookupError for an unknown tag."""
    timm = _timm()
    from timm.models import get_pretrained_cfg

    architecture, _, tag = name.partition(".")
    try:
        return get_pretrained_cfg(name)
    except RuntimeError:  # what timm raises for a tag that the architecture has not
        tags = ", ".join(entry.partition(".")[2] or "none" for entry, _ in _configs(architecture))
        message = f"timm {timm.__version__} has no weights '{tag}' of {architecture}; it has {tags or 'none'}"
        raise LookupError(message) from None


def _configs(architecture: str) -> list[tuple[str, Any]]:
    from timm.models import get_arch_pretrained_cfgs

    return list(get_arch_pretrained_cfgs(architecture).items())


@cache
def _entries_by_file() -> dict[str, str]:
    """Return the name of the file of weights -> entry, for all networks."""
    entries = (entry for architecture in _timm().list_models() for entry in _configs(architecture))
    found: dict[str, str] = {}
    for tagged, config in entries:
        if name := _file_name(config.url):
            found.setdefault(name, tagged)
    return found


def _shape(size: Any) -> tuple[int, int, int]:
    channels, height, width = size
    return int(channels), int(height), int(width)


def _file_name(url: Any) -> str | None:
    return url.rpartition("/")[2] or None if url else None


zoo = TimmZoo()

"""The zoo of image classifiers of transformers: its kinds of network, and local configurations."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cardproof.core.digests import digest_of_distribution
from cardproof.core.measurements import Preprocessing
from cardproof.zoos import ZooError

if TYPE_CHECKING:
    from torch import nn

CONFIG, PROCESSOR = "config.json", "preprocessor_config.json"
MOST_BYTES = 4 * 1024 * 1024
"""Size limit of a configuration; class names of ImageNet-21k take half of it."""
RESAMPLING = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
"""Pillow's number of an interpolation, as in configurations, -> its name."""
NO_IMAGES = frozenset({"imagegpt", "shieldgemma2", "siglip2"})
"""Kinds whose networks take tokens or patches instead of images."""


class TransformersZoo:
    """Networks of the installed transformers.

    A name is a folder with a ``config.json``, a repository of the Hub whose configuration is in the local cache, or a
    kind of network such as ``vit``, with the default configuration. Nothing is downloaded, no code of a repository is
    run, and weights are not needed.
    """

    name = "transformers"
    title = "transformers"

    def models(self) -> tuple[str, ...]:
        """Return the kinds of network that classify images."""
        return tuple(kind for kind in sorted(_classes()) if kind not in NO_IMAGES)

    def knows(self, name: str) -> bool:
        """Return whether there is a local configuration of this name."""
        return _find_file(name, CONFIG) is not None

    def build(self, name: str) -> nn.Module:
        """Return the classifier with random weights. Raises LookupError for an unknown name."""
        transformers = _transformers()
        config = self._configuration(name)
        classes = _classes().get(config.model_type)
        if not classes:
            raise LookupError(f"'{name}' is a '{config.model_type}', of which transformers has no image classifier")
        wanted = next((name for name in config.architectures or () if name in classes), classes[0])
        network: nn.Module = getattr(transformers, wanted)(config)
        return network

    def preprocessing(self, name: str) -> Preprocessing | None:
        """Return the configured preprocessing; without one, the image size of the network."""
        given = _read_json(name, PROCESSOR)
        if given is not None:
            return _preprocessing(given)
        try:
            config = self._configuration(name)
        except LookupError:
            return None
        side = getattr(config, "image_size", None)
        channels = getattr(config, "num_channels", 3)
        return Preprocessing((channels, *_sides(side))) if side and isinstance(channels, int) else None

    def weights(self, name: str) -> None:
        """Return None: a configuration has no link to weights."""

    def recipe(self, name: str) -> None:
        """Return None: a configuration has no recipe."""

    def digest(self, name: str) -> str:
        """Return version and record of the installed transformers, with the content of the configuration."""
        parts = [path.read_bytes() for file in (CONFIG, PROCESSOR) if (path := _find_file(name, file))]
        own = hashlib.sha256(b"\0".join(parts)).hexdigest()
        return digest_of_distribution("transformers") + (f" configuration sha256:{own}" if parts else "")

    def _configuration(self, name: str) -> Any:
        """Return the configuration of a name. Raises LookupError if there is none."""
        transformers = _transformers()
        given = _read_json(name, CONFIG)
        if given is None and name in _classes():
            return transformers.AutoConfig.for_model(name)
        kind = given.pop("model_type", None) if given else None
        if given is None:
            raise LookupError(
                f"'{name}' is no folder with a {CONFIG}, no repository in the cache of the Hub, and no kind of network "
                f"of transformers {transformers.__version__}"
            )
        if kind not in _classes():
            raise LookupError(f"{name}/{CONFIG} is of kind '{kind}', of which transformers has no image classifier")
        return transformers.AutoConfig.for_model(kind, **given)


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as trouble:
        raise ZooError(
            "zoo 'transformers' needs the package transformers: pip install 'cardproof[transformers]'"
        ) from trouble
    module: Any = transformers
    module.logging.set_verbosity_error()
    return module


def _classes() -> dict[str, tuple[str, ...]]:
    """Return kind of network -> classes of its image classifiers."""
    _transformers()
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES

    found = MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES.items()
    return {kind: (names,) if isinstance(names, str) else tuple(names) for kind, names in found}


def _find_file(name: str, file: str) -> Path | None:
    """Return a file of a folder, or of a repository in the local cache of the Hub; None if missing."""
    path = Path(name, file)
    if path.is_file():
        return path
    try:
        from huggingface_hub import try_to_load_from_cache

        cached = try_to_load_from_cache(name, file)
    except (ImportError, ValueError):  # the name is not that of a repository
        return None
    return Path(cached) if isinstance(cached, str) else None


def _read_json(name: str, file: str) -> dict[str, Any] | None:
    """Return a configuration as plain data; None if missing. Raises LookupError if it cannot be read."""
    path = _find_file(name, file)
    if path is None:
        return None
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"it is larger than {MOST_BYTES // 2**20} MiB")
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("it is not a mapping")
    except (OSError, ValueError, RecursionError) as trouble:
        raise LookupError(f"{name}/{file} cannot be read: {trouble}") from trouble
    return found


def _preprocessing(given: dict[str, Any]) -> Preprocessing | None:
    resized, cropped = given.get("size"), given.get("crop_size")
    crops = bool(cropped) and given.get("do_center_crop", True)
    sides = _sides(cropped if crops else resized)
    if not all(sides):
        return None
    crop = given.get("crop_pct")
    if crop is None and resized:
        crop = round(sides[0] / _sides(resized)[0], 4) if crops and _sides(resized)[0] else 1.0
    mean, std = (tuple(map(float, given.get(key) or ())) for key in ("image_mean", "image_std"))
    if not given.get("do_normalize", True):
        mean = std = ()
    return Preprocessing(
        (len(mean) or 3, *sides),
        float(crop) if crop is not None else None,
        RESAMPLING.get(given.get("resample", -1)),
        mean or None,
        std or None,
    )


def _sides(given: Any) -> tuple[int, int]:
    """Return height and width from any form that configurations use; zeros for others."""
    if isinstance(given, dict):
        side = given.get("shortest_edge", 0)
        given = (given.get("height", side), given.get("width", side))
    if isinstance(given, int):
        return given, given
    if isinstance(given, list | tuple) and len(given) == 2 and all(isinstance(side, int) for side in given):
        return given[0], given[1]
    return 0, 0


zoo = TransformersZoo()

"""The zoo of torchvision's classification models; its weights carry their own counts and transforms."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from typing import TYPE_CHECKING, Any

from cardproof.core.digests import digest_of_distribution
from cardproof.core.measurements import Preprocessing, StatedResult
from cardproof.core.types import Place
from cardproof.zoos.metadata import Published, Value, source_file

if TYPE_CHECKING:
    from torch import nn


_WITH_HEADS = " with auxiliary heads"


class TorchvisionZoo:
    """Networks of the installed torchvision, without quantised ones.

    A name is that of a model (``resnet50``, ``vit_b_16``), which means its default weights, or of an entry of
    weights (``ViT_B_16_Weights.IMAGENET1K_SWAG_E2E_V1``), which determines the image size of a vision transformer.
    """

    name = "torchvision"
    title = "torchvision"

    def models(self) -> tuple[str, ...]:
        from torchvision import models

        return tuple(models.list_models(module=models))

    def entries(self) -> tuple[str, ...]:
        return tuple(str(entry) for name in self.models() for entry in self._entries(name))

    def entries_of(self, name: str) -> tuple[str, ...]:
        return tuple(map(str, self._entries(name)))

    def address(self) -> str:
        """Return where the metadata of this version is published."""
        import torchvision

        version = torchvision.__version__.partition("+")[0]
        return f"https://github.com/pytorch/vision/tree/v{version}/torchvision/models"

    def published(self, name: str) -> Published | None:
        """Return the metadata of a model's weights, with the places of values in torchvision's source."""
        _, weights = self._find(name)
        if weights is None:
            return None
        entry = _Entry(weights)
        data = ("ImageNet-1K",) if weights.name.startswith("IMAGENET1K") else ()
        return Published(
            name,
            entry.place(),
            weights.url,
            weights.meta.get("license", ""),
            data,
            tuple(_values(weights.meta, entry)),
            tuple(_results(weights, entry)),
        )

    def build(self, name: str) -> nn.Module:
        """Return the network without weights. Raises LookupError for a name that torchvision does not have."""
        import torchvision

        plain = name.removesuffix(_WITH_HEADS)
        model, weights = self._find(plain)
        if model is None:
            raise LookupError(f"torchvision {torchvision.__version__} has no classification model '{name}'")
        options: dict[str, Any] = {}
        if model in ("googlenet", "inception_v3"):
            options["init_weights"] = False
        if model == "googlenet":
            options["aux_logits"] = plain != name  # the published weights and counts are without them
        if model.startswith("vit_") and weights is not None:
            options["image_size"] = weights.transforms().crop_size[0]
        network: nn.Module = torchvision.models.get_model(model, weights=None, **options)
        return network

    def weights_of(self, name: str) -> tuple[tuple[str, int], ...]:
        """Return another form of a network: GoogLeNet, which is trained with auxiliary heads, is published without."""
        return ((f"googlenet{_WITH_HEADS}", 0),) if self._find(name)[0] == "googlenet" else ()

    def preprocessing(self, name: str) -> Preprocessing | None:
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
            weights=_file_of(weights),
        )

    def weights(self, name: str) -> dict[str, Any] | None:
        _, weights = self._find(name)
        return {"url": weights.url, **weights.meta} if weights else None

    def stated_results(self, name: str) -> tuple[StatedResult, ...]:
        """Return the accuracies in the metadata of all weights of a model, or of the entry that is named."""
        model, named = self._find(name)
        entries = [] if model is None else [named] if model != name else list(self._entries(model))
        return tuple(
            StatedResult(str(entry), _file_of(entry), dataset, value.field, value.text, str(value.place))
            for entry in entries
            for dataset, metrics in _results(entry, _Entry(entry))
            for value in metrics
        )

    def recipe(self, name: str) -> None:
        """Return None: torchvision links to its recipes and does not ship them."""

    def digest(self, name: str) -> str:
        """Return version and record of the installed torchvision."""
        return digest_of_distribution("torchvision")

    def known_as(self, name: str, weights: str | None) -> str:
        """Return the entry of the model's weights whose file the card links; the name if there is none."""
        for entry in self._entries(name) if weights else ():
            if _file_of(entry) == weights:
                return str(entry)
        return name

    def _find(self, name: str) -> tuple[str | None, Any]:
        """Return a model's name and its entry of weights, named or default; None for each that is missing."""
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


def _file_of(entry: Any) -> str:
    return str(entry.url.rpartition("/")[2])


METRICS = {"acc@1": "Top 1 Accuracy", "acc@5": "Top 5 Accuracy"}


class _Entry:
    """The metadata of one entry of weights, with places in torchvision's source."""

    def __init__(self, weights: Any) -> None:
        import inspect

        kind = type(weights)
        self._name = f"{kind.__module__.replace('.', '/')}.py"
        self._file = source_file(inspect.getsourcefile(kind) or "", "torchvision")
        self._node = self._file.entry(kind.__name__, weights.name) if self._file else None

    def place(self) -> Place:
        return self._file.place(self._node) if self._file and self._node else Place(self._name, 1, 1)

    def value(self, field: str, value: Any, *keys: str, unit: str = "", text: str = "") -> Value:
        """Return a value with the digits of the source; ``text`` replaces one that is not a number there."""
        node = self._file.value(self._node, *keys) if self._file and self._node else None
        if self._file is None or node is None:
            return Value(field, (text or str(value)) + unit, keys[-1], self.place())
        return Value(field, (text or self._source_text(node, value)) + unit, keys[-1], self._file.place(node))

    def _source_text(self, node: Any, value: Any) -> str:
        """Return a number as written in the source, which may have more digits than Python shows."""
        assert self._file
        written = self._file.text(node)
        try:
            return written if float(written) == float(value) else str(value)
        except ValueError:
            return str(value)


def _results(weights: Any, entry: _Entry) -> Iterator[tuple[str, tuple[Value, ...]]]:
    for dataset, metrics in weights.meta.get("_metrics", {}).items():
        finite = ((key, value) for key, value in metrics.items() if isfinite(value))
        if values := tuple(
            entry.value(METRICS.get(key, key), value, "_metrics", dataset, key, unit="%") for key, value in finite
        ):
            yield dataset, values


NUMBERS = (("num_params", "Parameters", ""), ("_ops", "FLOPs", "G"), ("_file_size", "File Size", " MiB"))
"""Key of the metadata, field of cards, and the unit: multiply-adds are stated in 10^9, and files in 2^20 bytes."""


def _values(meta: dict[str, Any], entry: _Entry) -> Iterator[Value]:
    """Yield the values of an entry, apart from its results."""
    for key, field, unit in NUMBERS:
        if meta.get(key) is not None:
            yield entry.value(field, meta[key], key, unit=unit)
    if categories := meta.get("categories"):
        yield entry.value("Classes", categories, "categories", text=str(len(categories)))
    if sides := meta.get("min_size"):
        text = str(sides[0]) if len(set(sides)) == 1 else "x".join(map(str, sides))
        yield entry.value("Min Size", sides, "min_size", text=text)


zoo = TorchvisionZoo()

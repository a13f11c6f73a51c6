"""The package as a zoo for cardproof, ``res2next.zoo:zoo``; only ``build`` imports torch."""

from __future__ import annotations

import ast
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from res2next.recipes import load_recipe
from res2next.registry import find, list_models
from res2next.training_log import logged_curve, logged_recipe
from res2next.weights import local_weights

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from res2next.recipes import Recipe
    from res2next.registry import Preprocessing, Weights
    from res2next.training_log import TrainingCurve

NETWORK_SOURCES = ("model.py", "dla.py", "variants.py", "registry.py")
"""The source files that determine the network and the preprocessing of a name."""


class Res2NextZoo:
    """The networks of this package. Every method takes ``architecture`` or ``architecture.tag``.

    Raises:
        UnknownModel: from each method but ``digest``, for a name that the registry does not have.
    """

    name = "res2next"

    def models(self) -> tuple[str, ...]:
        """Names of all architectures, in the order of the tables of variants."""
        return list_models()

    def build(self, name: str) -> nn.Module:
        """The classifier of the registry's entry, with fresh weights, on torch's current default device."""
        from res2next.variants import build

        return build(find(name))

    def preprocessing(self, name: str) -> Preprocessing:
        """The preprocessing of images."""
        return find(name).preprocessing

    def weights(self, name: str) -> Weights:
        """The published weights: file, address, digest, licence."""
        return find(name).weights

    def find_weights(self, name: str, given: Path | None = None) -> Path | None:
        """The verified local file of the weights, with its published name; None if missing.

        Raises:
            TruncatedWeights, WrongWeights: a file of that name is not the published one.
            WeightsNotAvailable: ``given`` does not exist.
        """
        entry = find(name)
        if given is not None and given.is_dir() and not (given / entry.weights.file).is_file():
            given = None  # one folder serves all models
        if given is not None and given.is_file() and given.name != entry.weights.file:
            given = None
        path = local_weights(entry, given)
        return path if path and path.name == entry.weights.file else None

    def recipe(self, name: str) -> Recipe | None:
        """The recipe of the published weights; None if unpublished."""
        recipe = find(name).recipe
        return None if recipe is None else load_recipe(recipe)

    def training_log(self, name: str) -> tuple[str, Recipe] | None:
        """Name and recipe of the training log of bundled weights; None for others.

        Raises:
            LogError: the log is missing or damaged.
        """
        entry = find(name)
        recipe = logged_recipe(entry)
        return None if recipe is None else (entry.weights.file.rpartition(".")[0] + ".csv", recipe)

    def training_curve(self, name: str) -> TrainingCurve | None:
        """The course of training from the log of bundled weights; None for others.

        Raises:
            LogError: the log is missing or damaged.
        """
        return logged_curve(find(name))

    def diagram(self, name: str) -> dict[str, Any]:
        """How the network's blocks are built, as boxes and arrows."""
        return block_diagram(find(name).architecture)

    def digest(self, name: str) -> str:
        """``sha256:<hex>`` of the networks' source files; the same for every name."""
        return _digest_of_sources()


@cache
def _digest_of_sources() -> str:
    digest = sha256()
    package = files("res2next")
    for name in NETWORK_SOURCES:
        # read as text, so that line ends do not matter
        source = package.joinpath(name).read_text(encoding="utf-8").encode()
        digest.update(f"{name} {len(source)}\n".encode())
        digest.update(source)
    return f"sha256:{digest.hexdigest()}"


zoo = Res2NextZoo()


# --- Diagrams of blocks ---

VARIANT_TABLES = {"model.py": ("VARIANTS", "SMALL_VARIANTS"), "dla.py": ("DLA_VARIANTS",)}
"""The tables of variants stand in modules that import torch. They are literals, so that they are read from the source
here instead of being copied."""


def block_diagram(architecture: str) -> dict[str, Any]:
    """The first block of a stage beside the others, with the numbers of the first stage that has both.

    Raises:
        KeyError: no table of variants has the architecture.
    """
    variant = _variants()[architecture]
    if "channels" in variant:  # DLA: blocks are half as wide inside, and level 2 is the first with them
        entering, leaving = variant["channels"][1:3]
        width = leaving * variant["base_width"] // 64 * variant["cardinality"] // 2
        where = "level 2"
    else:
        stage = next(stage for stage, blocks in enumerate(variant["depths"]) if blocks > 1)
        planes = variant["widths"][stage]
        entering, leaving = 4 * variant["widths"][stage - 1] if stage else planes, 4 * planes
        width = planes * variant["base_width"] // 64 * variant["cardinality"]
        where = f"stage {stage + 1}"
    scale, groups = variant["scale"], variant["cardinality"]
    grouped = f" in {groups} groups" if groups > 1 else ""
    return {
        "caption": f"{scale} splits of {width} channels; each 3×3 convolution works on one split{grouped}. "
        f"Numbers of {where}.",
        "panels": [
            _diagram_panel("First block of a stage", scale, width, entering, leaving, is_first=True),
            _diagram_panel("Every other block", scale, width, leaving, leaving, is_first=False),
        ],
    }


def _diagram_panel(
    title: str, scale: int, width: int, entering: int, leaving: int, *, is_first: bool
) -> dict[str, Any]:
    boxes: list[dict[str, Any]] = [
        {"text": f"{entering} channels", "y": 0, "width": scale, "kind": "text"},
        {"text": f"1×1: {scale} × {width} channels", "y": 1, "width": scale},
        {"text": f"1×1: {leaving} channels", "y": 4, "width": scale},
        {"text": "+ shortcut", "y": 5, "width": scale, "kind": "text"},
    ]
    arrows = [(0, 1), (2, 3)]
    above = None
    for split in range(scale - 1):
        top = 1
        if above is not None and not is_first:
            boxes.append({"text": "+", "x": split, "y": 2, "kind": "sum"})
            top = len(boxes) - 1
            arrows += [(1, top), (above, top)]
        boxes.append({"text": "3×3", "x": split, "y": 3})
        above = len(boxes) - 1
        arrows += [(top, above), (above, 2)]
    last = (
        {"text": "pool", "x": scale - 1, "y": 3}
        if is_first
        else {"text": "as is", "x": scale - 1, "y": 3, "kind": "text"}
    )
    boxes.append(last)
    arrows += [(1, len(boxes) - 1), (len(boxes) - 1, 2)]
    said = (
        "The splits are convolved one by one, and the last is average-pooled."
        if is_first
        else "Each split but the first gets the result of the one before it added; the last passes as it is."
    )
    return {"title": title, "description": said, "columns": scale, "boxes": boxes, "arrows": arrows}


@cache
def _variants() -> dict[str, dict[str, Any]]:
    """The fields of each variant, by its name."""
    found = {}
    for module, tables in VARIANT_TABLES.items():
        tree = ast.parse(files("res2next").joinpath(module).read_text(encoding="utf-8"))
        classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
        for node in tree.body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in tables:
                for call in getattr(node.value, "elts", ()):
                    fields = _variant_fields(classes[call.func.id], call)
                    found[fields["name"]] = fields
    return found


def _variant_fields(kind: ast.ClassDef, call: ast.Call) -> dict[str, Any]:
    """The values of a dataclass's fields in one call of it."""
    lines = [line for line in kind.body if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)]
    names = [ast.unparse(line.target) for line in lines]
    given = {name: line.value for name, line in zip(names, lines, strict=True) if line.value is not None}
    given.update(zip(names, call.args, strict=False))
    given.update({word.arg: word.value for word in call.keywords if word.arg})
    return {name: ast.literal_eval(value) for name, value in given.items()}

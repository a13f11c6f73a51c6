"""The keys of a model index: where each belongs, and what kind of document has them."""

from __future__ import annotations

import re

from cardproof.core.names import FIELDS, kind_of
from cardproof.core.types import Finding, Place
from cardproof.core.yaml import Mapping, Node, Scalar, Sequence

INDEX = ("type", "import", "models", "collections", "library")
ITEM = (
    "name", "in collection", "metadata", "results", "paper", "code", "weights", "config", "readme", "image", "license",
    "licence", "alias", "converted from", "published elsewhere",
)  # fmt: skip
"""Keys of a model or of a collection."""
RESULT = ("task", "dataset", "metrics")
COMMON = (
    "flops", "parameters", "epochs", "batch size", "training data", "training techniques", "training resources",
    "architecture",
)  # fmt: skip
"""Metadata that the format names itself."""
REFERENCE = ("title", "url", "version", "authors", "year", "journal", "doi")
"""Keys of a paper or of code."""
REFERENCES = ("paper", "code")

OF_METADATA = {
    *COMMON, "image size", "crop pct", "interpolation", "file size", "lr", "learning rate", "momentum", "weight decay",
    "label smoothing",
} | set(FIELDS["parameters"][1]) | set(FIELDS["flops"][1]) - {"param"}  # fmt: skip
METRIC = re.compile(r"top[ _-]?\d+([ _-](accuracy|acc|error))?|accuracy|map|miou", re.IGNORECASE)


def is_index(root: Node | None) -> bool:
    """Return whether a document is a model index, one model, or a list of models."""
    if isinstance(root, Sequence):
        return bool(root.items) and all(is_model(item) for item in root.items)
    return isinstance(root, Mapping) and (
        any(root.get(key) for key in ("Models", "Collections", "Import")) or is_model(root)
    )


def is_model(node: Node) -> bool:
    """Return whether a mapping is one model: a name beside metadata that we know, or results."""
    if not isinstance(node, Mapping) or not isinstance(node.get("Name"), Scalar):
        return False
    metadata, results = node.get("Metadata"), node.get("Results")
    return is_metadata(metadata) or is_result(
        results.items[0] if isinstance(results, Sequence) and results.items else results
    )


def is_metadata(node: Node | None) -> bool:
    """Return whether a mapping is the metadata of a model."""
    if isinstance(node, Sequence):
        return any(is_metadata(item) for item in node.items)
    return isinstance(node, Mapping) and any(key in OF_METADATA or kind_of(key) in FIELDS for key in node.entries)


def is_result(node: Node | None) -> bool:
    """Return whether a mapping is a result of a model."""
    return isinstance(node, Mapping) and node.get("Metrics") is not None and node.get("Dataset") is not None


def home_of(key: str) -> str:
    """Return where a key belongs if it has one home; empty for keys of one's own."""
    if key in RESULT:
        return "results"
    if key in ITEM and key not in ("name", "readme", "image", "license", "licence", "config"):
        return "a model"
    if key in OF_METADATA:
        return "metadata"
    return "metrics" if METRIC.fullmatch(key) else ""


def one_letter_apart(one: str, other: str) -> bool:
    """Return whether two different words become equal by one letter more, less or changed, or two exchanged."""
    if one == other or abs(len(one) - len(other)) > 1:
        return False
    if len(one) == len(other):
        at = [index for index, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
        exchanged = len(at) == 2 and at[1] == at[0] + 1 and one[at[0]] == other[at[1]] and one[at[1]] == other[at[0]]
        return len(at) == 1 or exchanged
    longer, shorter = sorted((one, other), key=len, reverse=True)
    return any(longer[:index] + longer[index + 1 :] == shorter for index in range(len(longer)))


def misplaced(place: Place, key: str, stands: str, home: str) -> Finding:
    """Return the error that a key stands elsewhere than it belongs."""
    message = (
        f"'{key}' stands in {stands} and belongs into {home}: the indentation is lost or wrong; it is read as meant"
    )
    return Finding(place, "index-shape", "error", message, "indent it; --fix-unsafe does where the lines allow it")

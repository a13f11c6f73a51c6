"""Model indexes that read back to the same claims: each value keeps the characters of the card."""

from __future__ import annotations

from typing import Any

from cardproof.core.yaml import Scalar
from cardproof.core.yaml_text import to_yaml
from cardproof.read import Model, Reading
from cardproof.read.models import Result

HEAD = "# Made by cardproof from cards; edit those.\n"


def model_index(reading: Reading) -> str:
    """Return the models as one ``model-index.yml``, with what they inherit from their collections."""
    models = sorted((model for card in reading.cards for model in card.models), key=lambda model: model.name)
    names = dict.fromkeys(name for model in models for name in model.collections)
    index: dict[str, Any] = {"Type": "model-index"}
    if names:
        index["Collections"] = [{"Name": name} for name in sorted(names)]
    index["Models"] = [_entry(model) for model in models]
    return HEAD + to_yaml(index)


def _entry(model: Model) -> dict[str, Any]:
    """Return a model as an entry, its name first."""
    entry: dict[str, Any] = {"Name": model.name}
    if model.collections:
        # one collection is plain text: the format's own library reads no list here
        entry["In Collection"] = list(model.collections) if len(model.collections) > 1 else model.collections[0]
    for key, node in model.fields:
        if key.text.lower() not in ("name", "in collection") and not (isinstance(node, Scalar) and node.value is None):
            entry[key.text] = node
    if model.results and model.fields.get("Results") is None:  # they stand in a table
        entry["Results"] = [_result(result) for result in model.results]
    return entry


def _result(result: Result) -> dict[str, Any]:
    about = {"Task": result.task, "Dataset": result.dataset}
    metrics = {name.text: value for name, value in result.metrics}
    return {**{key: text for key, text in about.items() if text}, "Metrics": metrics}

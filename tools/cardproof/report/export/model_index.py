"""Model indexes that read back to the same claims: each value keeps the characters of the card."""

from __future__ import annotations

from typing import Any

import yaml

from cardproof.core.yaml import Mapping, Node, Scalar, Sequence
from cardproof.read import Model, Reading

HEAD = "# Made by cardproof from cards; edit those.\n"
_STRING = "tag:yaml.org,2002:str"


class Dumper(yaml.SafeDumper):
    """Writes nodes of :mod:`cardproof.core.yaml`, without anchors, which the Hub's reader does not know."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _scalar(dumper: yaml.SafeDumper, node: Scalar) -> yaml.Node:
    """Write a value with its own characters; in quotes if it would read as another value without."""
    if node.value is None:
        return dumper.represent_none(None)
    tag = dumper.resolve(yaml.ScalarNode, node.text, (True, False))  # type: ignore[no-untyped-call]
    if isinstance(node.value, str) or tag == _STRING:
        return dumper.represent_scalar(_STRING, node.text)
    return dumper.represent_scalar(tag, node.text)


Dumper.add_representer(Scalar, _scalar)
Dumper.add_representer(Mapping, lambda dumper, node: dumper.represent_dict((key.text, value) for key, value in node))
Dumper.add_representer(Sequence, lambda dumper, node: dumper.represent_list(node.items))


def model_index(reading: Reading) -> str:
    """Return the models as one ``model-index.yml``, with what they inherit from their collections."""
    models = sorted((model for card in reading.cards for model in card.models), key=lambda model: model.name)
    names = dict.fromkeys(name for model in models for name in model.collections)
    index: dict[str, Any] = {"Type": "model-index"}
    if names:
        index["Collections"] = [{"Name": name} for name in sorted(names)]
    index["Models"] = [_entry(model) for model in models]
    text: str = yaml.dump(index, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=1000)
    return HEAD + text


def _entry(model: Model) -> dict[str, Any]:
    """Return a model as an entry, its name first."""
    entry: dict[str, Node | str | list[str]] = {"Name": model.name}
    if model.collections:
        entry["In Collection"] = list(model.collections)
    for key, node in model.fields:
        if key.text.lower() not in ("name", "in collection") and not (isinstance(node, Scalar) and node.value is None):
            entry[key.text] = node
    return entry

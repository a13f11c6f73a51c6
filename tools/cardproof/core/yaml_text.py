"""Write YAML: in block style, without anchors; a text is quoted if a reader of YAML 1.1 or 1.2 would take it for
another value, and with two quotes if it would end the comment of a model index."""

from __future__ import annotations

from typing import Any

import yaml

from cardproof.core.yaml import FLOAT_1_2, Mapping, Scalar, Sequence

_STRING = "tag:yaml.org,2002:str"


class Inline(list[Any]):
    """A list that is written on one line."""


class _Dumper(yaml.SafeDumper):
    """Writes nodes of :mod:`cardproof.core.yaml` as well, and repeats what stands twice: the Hub knows no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def to_yaml(data: Any) -> str:
    """Return data as YAML: plain values, and nodes, which keep their own characters."""
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100_000)
    return text


def _scalar(dumper: yaml.SafeDumper, node: Scalar) -> yaml.Node:
    """Write a value with its own characters; in quotes if it would read as another value without."""
    if node.value is None:
        return dumper.represent_none(None)
    if isinstance(node.value, str):
        return _text(dumper, node.text)
    tag = dumper.resolve(yaml.ScalarNode, node.text, (True, False))  # type: ignore[no-untyped-call]
    return dumper.represent_scalar(tag, node.text)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = '"' if "-->" in text else "'" if FLOAT_1_2.fullmatch(text) else None
    return dumper.represent_scalar(_STRING, text, style=style)


_Dumper.add_representer(str, _text)
_Dumper.add_multi_representer(Scalar, _scalar)
_Dumper.add_representer(Mapping, lambda dumper, node: dumper.represent_dict((key.text, value) for key, value in node))
_Dumper.add_representer(Sequence, lambda dumper, node: dumper.represent_list(node.items))
_Dumper.add_representer(
    Inline, lambda dumper, items: dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=True)
)

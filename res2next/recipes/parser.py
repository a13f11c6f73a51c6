"""Reads YAML into dataclasses, strictly: every error names the file, the key and the allowed values."""

from __future__ import annotations

import math
from dataclasses import MISSING, dataclass, fields, is_dataclass
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from res2next.errors import Res2NextError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

T = TypeVar("T")

MOST_BYTES = 65_536
"""Size limit of a recipe; the bundled ones have less than 2,000 bytes."""


class RecipeError(Res2NextError, ValueError):
    """An invalid recipe."""

    def __init__(self, where: str, key: str | None, trouble: str) -> None:
        self.where = where
        self.key = key
        super().__init__(f"recipe {where}: {trouble}" if key is None else f"recipe {where}: {key}: {trouble}")


class UnknownRecipe(Res2NextError, ValueError):  # noqa: N818 - as UnknownModel
    """A name without a recipe in the package."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        self.name = name
        super().__init__(f"no recipe {name!r}: there are {', '.join(known)}; a file is named with its .yaml")


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers that a field allows; used in its annotation."""

    least: float | None = None
    above: float | None = None
    below: float | None = None
    most: float | None = None

    def __contains__(self, value: float) -> bool:
        return (
            (self.least is None or value >= self.least)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
            and (self.most is None or value <= self.most)
        )

    def __str__(self) -> str:
        bounds = {"at least": self.least, "above": self.above, "below": self.below, "at most": self.most}
        return " and ".join(f"{word} {bound:g}" for word, bound in bounds.items() if bound is not None)


def parse(text: bytes, where: str) -> dict[str, Any]:
    """The keys and values of a YAML mapping.

    Raises:
        RecipeError: too large, not UTF-8, not YAML, an anchor, a duplicate key or one that is not text.
    """
    if len(text) > MOST_BYTES:
        raise RecipeError(where, None, f"has {len(text)} bytes; at most {MOST_BYTES} are read")
    try:
        values = yaml.load(text.decode(), Loader=_StrictLoader)  # nosec B506  # a SafeLoader
    except UnicodeDecodeError as trouble:
        raise RecipeError(where, None, f"is not UTF-8 (byte {trouble.start})") from None
    except (yaml.YAMLError, RecursionError, ValueError) as trouble:
        reason = " ".join(str(trouble).split()) or "nested too deeply"
        raise RecipeError(where, None, f"is not a recipe in YAML: {reason}") from None
    if not isinstance(values, dict):
        raise RecipeError(where, None, "needs lines of `key: value`")
    return values


def build_dataclass(cls: type[T], values: Mapping[str, Any], where: str, prefix: str = "") -> T:
    """An instance of a dataclass, with values checked against its annotations.

    Raises:
        RecipeError: an unknown or missing key, or a value that is not allowed.
    """
    assert is_dataclass(cls)
    known = {entry.name: entry for entry in fields(cls)}
    for key in values:
        if key not in known:
            close = get_close_matches(str(key), known, n=1)
            advice = f"did you mean {close[0]}?" if close else f"allowed are {', '.join(known)}"
            raise RecipeError(where, f"{prefix}{key}", f"unknown key; {advice}")
    for name, entry in known.items():
        if name not in values and entry.default is MISSING:
            raise RecipeError(where, f"{prefix}{name}", "missing; every recipe needs it")
    hints = get_type_hints(cls, include_extras=True)
    return cls(**{key: convert(hints[key], value, where, f"{prefix}{key}") for key, value in values.items()})


def convert(kind: Any, value: Any, where: str, key: str) -> Any:
    """``value`` converted to ``kind``, an annotation.

    Raises:
        RecipeError: a value that the annotation does not allow.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        number = convert(arguments[0], value, where, key)
        if number is not None and number not in arguments[1]:
            raise RecipeError(where, key, f"{value!r} is not allowed; it must be {arguments[1]}")
        return number
    if origin in (Union, UnionType):  # only X | None is used
        inner = next(argument for argument in arguments if argument is not NoneType)
        return None if value is None else convert(inner, value, where, key)
    if origin is Literal:
        if value in arguments:
            return value
        raise RecipeError(where, key, f"{value!r} is not allowed; it must be one of {', '.join(map(str, arguments))}")
    if origin is tuple:
        if not isinstance(value, list):
            raise RecipeError(where, key, f"{value!r} is not allowed; it must be a list, as in [30, 60, 90]")
        return tuple(convert(arguments[0], one, where, key) for one in value)
    if is_dataclass(kind):
        if not isinstance(value, dict):
            raise RecipeError(where, key, f"{value!r} is not allowed; it needs keys of its own")
        return build_dataclass(kind, value, where, f"{key}.")  # type: ignore[arg-type]
    return _convert_scalar(kind, value, where, key)


def _convert_scalar(kind: type[Any], value: Any, where: str, key: str) -> Any:
    if kind is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        # YAML 1.1 reads 1e-4, without a point, as text
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = math.nan
        if math.isfinite(number):
            return number
    elif isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    words = {float: "a number", int: "a whole number", bool: "true or false", str: "text"}
    raise RecipeError(where, key, f"{value!r} is not allowed; it must be {words[kind]}")


class _StrictLoader(yaml.SafeLoader):
    """Loads plain values only; no anchors, with which a small file could expand, and no duplicate keys."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "anchor", None) is not None:
            raise yaml.MarkedYAMLError(problem="anchors and aliases are not allowed", problem_mark=event.start_mark)
        node: yaml.Node | None = super().compose_node(parent, index)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.value in seen or key.value == "<<":
                problem = f"key {getattr(key, 'value', '')!r} is doubled or not allowed"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)

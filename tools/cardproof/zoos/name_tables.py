"""Tables of names: from names of models in cards to names of networks in a zoo. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Callable
from fnmatch import translate
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from cardproof.core.errors import InputError
from cardproof.core.yaml import Mapping, Scalar, read_yaml_file

if TYPE_CHECKING:
    from cardproof.core.settings import Settings

_WILD = re.compile(r"[*?\[]")

MOST_CHARACTERS = 300
"""Longer names are not looked up."""

_BUNDLED = {"timm": Path(__file__).parent / "names_for_timm.yml"}
"""Tables that come with the package, by zoo."""


class NameTable(Struct, frozen=True):
    """A table of names: patterns of cards' names, each with the zoo's name; the first match counts."""

    rows: tuple[tuple[str, str], ...] = ()
    """The zoo's name is empty if it is the card's."""

    def network(self, name: str) -> str:
        """Return the zoo's name of a model; empty if it is the card's name."""
        if len(name) > MOST_CHARACTERS:
            return ""
        return next((network for pattern, network in self.rows if _matches(name, pattern)), "")


def load_names(settings: Settings) -> NameTable:
    """Return the table of the setting ``names``, followed by the bundled one for the zoo. Raises InputError."""
    given = read_names(settings.path(settings.names)).rows if settings.names else ()
    bundled = _BUNDLED.get(settings.zoo or "")
    return NameTable(given + (read_names(bundled).rows if bundled else ()))


def bundled_network(name: str) -> tuple[str, str] | None:
    """Return the zoo that a bundled table is for, and its name of a model; None if no table has the model."""
    found = ((zoo, read_names(table).network(name)) for zoo, table in _BUNDLED.items())
    return next(((zoo, network) for zoo, network in found if network), None)


def read_names(path: Path) -> NameTable:
    """Read a YAML mapping from cards' names, in which ``*`` and ``?`` stand for any characters, to the zoo's names.

    A name without a value is the zoo's name too, and later lines do not count. Raises InputError, with file, line and
    column, if the file cannot be read or does not have that form.
    """
    tree = read_yaml_file(path)
    if not isinstance(tree, Mapping):
        raise InputError(f"{path.as_posix()}:1:1: a table of names is a mapping from cards' names to the zoo's")
    rows = []
    for key, value in tree:
        if not isinstance(value, Scalar) or not isinstance(value.value, str | None):
            raise InputError(f"{value.place}: '{key.text}' needs the name of one network, or nothing")
        rows.append((key.text, value.value or ""))
    return NameTable(tuple(rows))


def _matches(name: str, pattern: str) -> bool:
    literal = _WILD.split(pattern, 1)[0]  # so that few patterns are compiled for a name
    return name == pattern or (literal != pattern and name.startswith(literal) and _compiled(pattern)(name))


@cache
def _compiled(pattern: str) -> Callable[[str], bool]:
    match = re.compile(translate(pattern)).match
    return lambda name: match(name) is not None

"""Names: which network of a zoo a card means where the card has a name of its own for it. Imports no torch."""

from __future__ import annotations

import re
from fnmatch import translate
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from cardproof.core.errors import InputError
from cardproof.core.yaml import Mapping, Scalar, read_yaml_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from cardproof.core.settings import Settings

_WILD = re.compile(r"[*?\[]")

LONGEST = 300
"""Characters of a name that is looked up."""

_OWN = {"timm": Path(__file__).parent / "names_for_timm.yml"}
"""Tables that come with the package, by the zoo."""


class Names(Struct, frozen=True):
    """A table of names: patterns of cards' names, each with the zoo's name; the first that fits decides."""

    rows: tuple[tuple[str, str], ...] = ()
    """The zoo's name is empty where the card's own is meant."""

    def network(self, name: str) -> str:
        """Return the zoo's name of a model; empty where the table says nothing, and the card's own name is meant."""
        if len(name) > LONGEST:
            return ""
        return next((network for pattern, network in self.rows if _fits(name, pattern)), "")


def names_of(settings: Settings) -> Names:
    """Return the table of the setting ``names``, followed by the package's own for the zoo. Raises InputError."""
    given = read_names(settings.path(settings.names)).rows if settings.names else ()
    own = _OWN.get(settings.zoo or "")
    return Names(given + (read_names(own).rows if own else ()))


def read_names(path: Path) -> Names:
    """Read a YAML mapping from cards' names, in which ``*`` and ``?`` stand for any characters, to the zoo's names.

    A name without a value is the zoo's own, whatever later lines say. Raises InputError, with file, line and column,
    where the file cannot be read or is not of that form.
    """
    tree = read_yaml_file(path)
    if not isinstance(tree, Mapping):
        raise InputError(f"{path.as_posix()}:1:1: a table of names is a mapping from cards' names to the zoo's")
    rows = []
    for key, value in tree:
        if not isinstance(value, Scalar) or not isinstance(value.value, str | None):
            raise InputError(f"{value.place}: '{key.text}' needs the name of one network, or nothing")
        rows.append((key.text, value.value or ""))
    return Names(tuple(rows))


def _fits(name: str, pattern: str) -> bool:
    literal = _WILD.split(pattern, 1)[0]  # few patterns have to be compiled for one name
    return name == pattern or (literal != pattern and name.startswith(literal) and _compiled(pattern)(name))


@cache
def _compiled(pattern: str) -> Callable[[str], bool]:
    match = re.compile(translate(pattern)).match
    return lambda name: match(name) is not None

"""Names: which network of a zoo a card means where the card has a name of its own for it. Imports no torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import translate
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from cardproof.read import InputError
from cardproof.read.nodes import Mapping, Node, Scalar, read_yaml
from cardproof.read.source import read_source

if TYPE_CHECKING:
    from cardproof.settings import Settings

LONGEST = 300
"""Characters of a name that is looked up."""

_OWN = {"timm": Path(__file__).parent / "zoos" / "names_for_timm.yml"}
"""Tables that come with the package, by the zoo."""


@dataclass(frozen=True, slots=True)
class Names:
    """A table of names: patterns of cards' names, each with the zoo's name; the first that fits decides."""

    rows: tuple[tuple[re.Pattern[str], str], ...] = ()
    """The zoo's name is empty where the card's own is meant."""

    def network(self, name: str) -> str:
        """Return the zoo's name of a model; empty where the table says nothing, and the card's own name is meant."""
        if len(name) > LONGEST:
            return ""
        return next((network for pattern, network in self.rows if pattern.match(name)), "")


def names_of(settings: Settings) -> Names:
    """Return the table of the setting ``names``, followed by the package's own for the zoo. Raises InputError."""
    given = read_names(settings.path(settings.names)).rows if settings.names else ()
    own = _OWN.get(settings.zoo or "")
    return Names(given + (_read_own(own).rows if own else ()))


def read_names(path: Path) -> Names:
    """Read a YAML mapping from cards' names, in which ``*`` and ``?`` stand for any characters, to the zoo's names.

    A name without a value is the zoo's own, whatever later lines say. Raises InputError, with file, line and column,
    where the file cannot be read or is not of that form.
    """
    source, findings = read_source(path, path.as_posix())
    tree: Node | None = None
    if source:
        tree, more = read_yaml(source)
        findings += more
    for finding in findings:
        if finding.severity == "error":
            raise InputError(f"{finding.place}: {finding.message}")
    if not isinstance(tree, Mapping):
        raise InputError(f"{path.as_posix()}:1:1: a table of names is a mapping from cards' names to the zoo's")
    rows = []
    for key, value in tree:
        if not isinstance(value, Scalar) or not isinstance(value.value, str | None):
            raise InputError(f"{value.place}: '{key.text}' needs the name of one network, or nothing")
        rows.append((re.compile(translate(key.text)), value.value or ""))
    return Names(tuple(rows))


@cache
def _read_own(path: Path) -> Names:
    return read_names(path)

"""Store of snippet runs: one sealed JSON file per page, valid for as long as its keys hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, field

from cardproof.core.sealed_json import dump_sealed, load_sealed, plain
from cardproof.core.types import Stored
from cardproof.snippets.results import PageRun

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SCHEMA = "cardproof-evidence/snippets/1"


class _Runs(Stored, frozen=True):
    runs: tuple[PageRun, ...]


def dump(runs: Iterable[PageRun]) -> str:
    """Return the text of a file with the runs of one page."""
    return dump_sealed(SCHEMA, plain(_Runs(tuple(runs))))


def load(path: Path) -> tuple[PageRun, ...]:
    """Read the runs of a page; none if there is no file.

    Raises TamperedError if the file is not as this module wrote it.
    """
    try:
        return load_sealed(path, SCHEMA, _Runs).runs
    except FileNotFoundError:
        return ()


FOLDER = "snippets"
"""Folder of the runs, below that of the evidence."""


class SiteRuns(Struct):
    """The runs of a site's pages."""

    by_card: dict[str, list[PageRun]] = field(default_factory=dict)
    outputs: dict[Path, str] = field(default_factory=dict)
    """Files of the store, by path."""
    paths: dict[str, Path] = field(default_factory=dict)
    """The file of the store of each card."""
    tampered: list[Path] = field(default_factory=list)
    ran: int = 0
    recalled: int = 0

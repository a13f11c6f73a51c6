"""Store of snippet runs: one sealed JSON file per page, valid for as long as its keys hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct, field, to_builtins

from cardproof.core.sealed_json import dump_sealed, load_sealed, with_tuples
from cardproof.core.types import Finding, Fix, Place
from cardproof.snippets.results import BlockResult, PageRun

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SCHEMA = "cardproof-evidence/snippets/1"


def dump(runs: Iterable[PageRun]) -> str:
    """Return the text of a file with the runs of one page."""
    return dump_sealed(SCHEMA, {"runs": [to_builtins(run, enc_hook=str) for run in runs]})


def load(path: Path) -> tuple[PageRun, ...]:
    """Read the runs of a page; none where there is no file.

    Raises TamperedError where the file is not as this module wrote it.
    """
    try:
        return load_sealed(path, SCHEMA, lambda record: tuple(_run(entry) for entry in record["runs"]))
    except FileNotFoundError:
        return ()


def _run(entry: dict[str, Any]) -> PageRun:
    blocks = tuple(BlockResult(**with_tuples(block)) for block in entry["blocks"])
    findings = tuple(_finding(finding) for finding in entry["findings"])
    lists = {name: tuple(entry.get(name, ())) for name in ("versions", "starts")}
    return PageRun(**{**entry, **lists, "blocks": blocks, "findings": findings})


def _finding(entry: dict[str, Any]) -> Finding:
    fix = Fix(**entry["fix"]) if entry["fix"] else None
    return Finding(**{**entry, "place": Place(**entry["place"]), "fix": fix})


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

"""Store of snippet runs: one sealed JSON file per page, valid for as long as its keys hold."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from cardproof.sealed import dump_sealed, load_sealed, with_tuples
from cardproof.snippets.results import BlockResult, PageRun
from cardproof.words import Finding, Fix, Place

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SCHEMA = "cardproof-evidence/snippets/1"


def dump(runs: Iterable[PageRun]) -> str:
    """Return the text of a file with the runs of one page."""
    return dump_sealed(SCHEMA, {"runs": [asdict(run) for run in runs]})


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

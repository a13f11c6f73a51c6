"""Store of snippet runs: one sealed JSON file per page, valid for as long as its keys hold."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from cardproof.digests import digest_of_data
from cardproof.evidence import TamperedError
from cardproof.snippets.results import BlockResult, PageRun
from cardproof.words import Finding, Fix, Place

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SCHEMA = "cardproof-evidence/snippets/1"


def dump(runs: Iterable[PageRun]) -> str:
    """Return the text of a file with the runs of one page."""
    record: dict[str, Any] = {"schema": SCHEMA, "runs": [asdict(run) for run in runs]}
    record = json.loads(json.dumps(record))
    record["seal"] = digest_of_data(record)
    return json.dumps(record, indent=2, ensure_ascii=False) + "\n"


def load(path: Path) -> tuple[PageRun, ...]:
    """Read the runs of a page; none where there is no file.

    Raises TamperedError where the file is not as this module wrote it.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record.pop("seal") != digest_of_data(record) or record.pop("schema") != SCHEMA:
            raise TamperedError(path)
        return tuple(_run(entry) for entry in record["runs"])
    except FileNotFoundError:
        return ()
    except (ValueError, KeyError, TypeError, AttributeError) as trouble:
        raise TamperedError(path) from trouble


def _run(entry: dict[str, Any]) -> PageRun:
    blocks = tuple(BlockResult(**_tuples(block)) for block in entry["blocks"])
    findings = tuple(_finding(finding) for finding in entry["findings"])
    return PageRun(**{**entry, "versions": tuple(entry["versions"]), "blocks": blocks, "findings": findings})


def _finding(entry: dict[str, Any]) -> Finding:
    fix = Fix(**entry["fix"]) if entry["fix"] else None
    return Finding(**{**entry, "place": Place(**entry["place"]), "fix": fix})


def _tuples(record: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in record.items()}

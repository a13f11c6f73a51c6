"""Shared by all formats: the lists and findings of one run, and paths from the root of the repository."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Mapping
from operator import attrgetter
from pathlib import Path

from msgspec import Struct

from cardproof.core.paths import show_path
from cardproof.core.types import Claim, Finding, Place
from cardproof.judge.card_report import CardLists, sort_findings, statement
from cardproof.report.run import Run
from cardproof.report.terminal import lists_of

STALE = {"new": "is missing", "removed": "has no template any more", "edited": "was edited by hand"}
"""Messages on files that differ from what would be rendered; others are stale."""


class View(Struct, frozen=True):
    """One run with its lists loaded and its findings ordered."""

    run: Run
    lists: CardLists
    findings: tuple[Finding, ...]
    """Of the run, and of files that are stale under ``--check``; in order of their places."""
    at: Mapping[tuple[str, int, int], list[Finding]]
    """Findings by file, line and column, in order of their messages: thousands of models may inherit one value."""

    def finding_of(self, claim: Claim) -> Finding | None:
        """Return the finding of a refuted or disputed claim."""
        said = statement(claim.field, claim.model, claim.stated)
        found = self.at.get(claim.place.start, [])
        first = bisect_left(found, said, key=attrgetter("message"))
        return found[first] if first < len(found) and found[first].message.startswith(said) else None


def view_of(run: Run) -> View:
    stale = []
    for change in run.changes:
        if run.checked and change.differs:
            message = f"this file of the site {STALE.get(change.status, 'is stale')}"
            place = Place(show_path(change.path), 1, 1)
            stale.append(Finding(place, "stale-page", "error", message, "render the site, and commit what changed"))
    findings = tuple(sort_findings([*run.findings, *stale]))
    at: dict[tuple[str, int, int], list[Finding]] = {}
    for finding in sorted(findings, key=attrgetter("message")):
        at.setdefault(finding.place.start, []).append(finding)
    return View(run, lists_of(run), findings, at)


def in_repository(file: str) -> str | None:
    """Return a file's path from the root of the repository (or the working directory) with ``/``; None outside of it.

    Services use these paths, whatever folder a tool runs in.
    """
    here = Path.cwd()
    root = next((folder for folder in (here, *here.parents) if (folder / ".git").exists()), here)
    path = Path(os.path.normpath(here / file))
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else None

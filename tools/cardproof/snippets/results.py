"""Stored results of snippets: one run of a page's blocks for one model on one device."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct, field

from cardproof.core.json import dump_sealed, load_sealed, to_plain_data
from cardproof.core.measurements import Stored
from cardproof.core.types import Finding, Place
from cardproof.snippets.types import Outcome, Status

SCHEMA = "cardproof-evidence/snippets/1"
FOLDER = "snippets"
"""Folder of the runs, below that of the evidence."""

LONGEST = 2000
"""Characters of a message or of a line of a traceback that are kept."""


class BlockResult(Stored, frozen=True):
    """One block of a page with its result."""

    file: str
    line: int
    """Source line of the first line of code."""
    end: int
    """Line of the page on which the fence closes; 0 if it is not in the page's own text."""
    indent: int
    hidden: bool
    status: Status
    message: str
    expected_file: str | None
    expected_line: int | None
    hint: str | None
    seconds: float
    output: str
    stated: bool
    """The block states its output itself."""
    warnings: tuple[str, ...]
    images: tuple[str, ...]
    """Pictures that the block showed, as base64 of PNG."""
    error_file: str | None = None
    error_line: int | None = None
    """Place of the error in the source."""
    traceback: str = ""
    """Last lines, as a reader would see them."""


class PageRun(Struct, frozen=True):
    """The blocks of one page, run for one model on one device. Runs of earlier versions have more fields."""

    page: str
    """The template, or the Markdown file itself."""
    model: str | None
    device: str
    key: str
    """Digest of all inputs of the run: text, lines, settings, network source, device."""
    random_weights: bool
    """Weights were missing: the networks had random ones, and values that depend on them were not compared."""
    measured: str
    """Time in UTC, ISO 8601."""
    versions: tuple[str, ...]
    blocks: tuple[BlockResult, ...]
    findings: tuple[Finding, ...]
    """Text that only looks like code, and options without effect."""
    code_key: str = ""
    """Like ``key``, without the positions of the blocks: edits of the text around them do not change it."""


def result_of(outcome: Outcome, stated: bool) -> BlockResult:
    """Return an outcome as a result to store."""
    block, ran = outcome.block, outcome.ran
    failed = ran if ran and outcome.status == "fail" else None
    file, line = block.located(failed.error_line) if failed and failed.error_line else (None, None)
    return BlockResult(
        block.file,
        block.line,
        block.end,
        block.indent,
        block.options.hide or block.options.setup,
        outcome.status,
        _shortened(outcome.message),
        outcome.expected_file,
        outcome.expected_line,
        outcome.hint,
        round(ran.seconds, 3) if ran else 0.0,
        "".join(printed.text for printed in ran.printed) if ran else "",
        stated,
        (*outcome.warnings, *(ran.warnings if ran else ())),
        tuple(base64.b64encode(image.png).decode() for image in ran.images) if ran else (),
        file,
        line,
        "\n".join(_shortened(line) for line in failed.traceback.splitlines()) if failed else "",
    )


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else text[:LONGEST] + f"… ({len(text):,} characters)"


def findings_of(run: PageRun) -> list[Finding]:
    """Return the findings of a run: an error for each failed block, and the warnings of blocks."""
    found = list(run.findings)
    model = f" (for {run.model})" if run.model else ""
    for block in run.blocks:
        place = Place(block.file, block.line, 1)
        if block.status == "fail":
            if block.error_file is not None and block.error_line is not None:
                place = Place(block.error_file, block.error_line, 1)
            elif block.expected_line is not None:
                place = Place(block.expected_file or block.file, block.expected_line, 1)
            hint = "\n".join(part for part in (block.hint, *block.traceback.rstrip().splitlines()[-4:]) if part)
            found.append(Finding(place, "snippets", "error", block.message + model, hint or None))
        found += [Finding(place, "snippets", "warning", warning + model) for warning in block.warnings]
    return found


class _Runs(Stored, frozen=True):
    runs: tuple[PageRun, ...]


def dump_runs(runs: Iterable[PageRun]) -> str:
    """Return the text of a file with the runs of one page."""
    return dump_sealed(SCHEMA, to_plain_data(_Runs(tuple(runs))))


def load_runs(path: Path) -> tuple[PageRun, ...]:
    """Read the runs of a page; none if there is no file.

    Raises TamperedError if the file is not as this module wrote it.
    """
    try:
        return load_sealed(path, SCHEMA, _Runs).runs
    except FileNotFoundError:
        return ()


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


class PagesRun(Struct):
    """The result of ``cardproof snippets``."""

    runs: list[PageRun] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    updated: list[Path] = field(default_factory=list)
    """Pages whose stated outputs were rewritten."""

    def add(self, other: PagesRun) -> None:
        self.runs += other.runs
        self.findings += other.findings
        self.updated += other.updated

    @property
    def exit(self) -> int:
        """Exit status by rule 11 of the design."""
        if any(finding.fatal for finding in self.findings):
            return 2
        return 1 if any(finding.severity == "error" for finding in self.findings) else 0

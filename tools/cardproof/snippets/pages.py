"""Snippets of any Markdown pages, without a site around them: ``cardproof snippets PAGE…``."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cardproof.read import InputError
from cardproof.read.source import read_source
from cardproof.snippets.prove import Page, blocks_of, gpu_is_visible, not_run, outcomes_of, run_of
from cardproof.snippets.results import findings_of
from cardproof.snippets.update import update

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from cardproof.snippets.prove import Policy
    from cardproof.snippets.results import PageRun
    from cardproof.snippets.run import Runner
    from cardproof.snippets.words import Outcome
    from cardproof.words import Finding


@dataclass(slots=True)
class PagesRun:
    """What running some pages gave."""

    runs: list[PageRun] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    updated: list[Path] = field(default_factory=list)
    """Pages whose stated outputs were rewritten."""

    @property
    def exit(self) -> int:
        """Exit status by rule 11 of the design."""
        if any(finding.fatal for finding in self.findings):
            return 2
        return 1 if any(finding.severity == "error" for finding in self.findings) else 0


def run_pages(
    paths: Sequence[Path],
    policy: Policy,
    show: Callable[[Path], str],
    *,
    rewrite: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> PagesRun:
    """Run the snippets of pages on each device; with ``rewrite``, write what came out where it was stated otherwise.

    Raises InputError for a path that is no file.
    """
    from cardproof.snippets.run import Runner

    result = PagesRun()
    pages = [(path, page) for path in dict.fromkeys(paths) if (page := _page(path, show, result)) is not None]
    with Runner(policy.limits, policy.preload, policy.devices) as runner:
        for done, (path, page) in enumerate(pages, 1):
            _run_page(path, page, policy, runner, result, rewrite)
            if progress:
                progress(done, len(pages), page.file)
    result.findings.sort(key=lambda finding: (finding.place, finding.message))
    return result


def _page(path: Path, show: Callable[[Path], str], result: PagesRun) -> Page | None:
    if not path.is_file():
        raise InputError(f"{show(path)}: {'a folder; name its pages' if path.is_dir() else 'no such file'}")
    source, findings = read_source(path, show(path))
    result.findings += findings
    if source is None:
        return None
    return Page(source.name, source.text, path.parent)


def _run_page(path: Path, page: Page, policy: Policy, runner: Runner, result: PagesRun, rewrite: bool) -> None:
    own = replace(policy, search_path=(str(page.base.resolve()), *policy.search_path))
    blocks, findings = blocks_of(page, own)
    runs: list[PageRun] = []
    outcomes: list[Outcome] = []
    for device in own.devices:
        if device == "cuda" and not gpu_is_visible():
            runs.append(not_run(page, device, own))
            continue
        found, random = outcomes_of(page, blocks, device, own, runner)
        runs.append(run_of(page, device, own, "", found, findings, random))
        outcomes += found
    if rewrite and (new := update(page.text, outcomes)) != page.text:
        _write(path, new)
        result.updated.append(path)
        _run_page(path, replace(page, text=new), policy, runner, result, rewrite=False)
        return
    result.runs += runs
    result.findings += [finding for run in runs for finding in findings_of(run)]


def _write(path: Path, text: str) -> None:
    """Write a page beside itself and rename it; a byte order mark stays."""
    data = path.read_bytes()
    mark = data[:3] if data.startswith(b"\xef\xbb\xbf") else b""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        beside.write_bytes(mark + text.encode("utf-8"))
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)

"""Snippets of any Markdown pages, without a site around them: ``cardproof snippets PAGE…``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from cardproof.core.errors import InputError
from cardproof.core.files import replace_file, show_path
from cardproof.core.source import read_source
from cardproof.render.output.text import read_stamp
from cardproof.render.page_sources import Sources
from cardproof.render.templates import TemplatesError
from cardproof.snippets.prove import Page, blocks_of, gpu_is_visible, not_run, outcomes_of, run_of
from cardproof.snippets.results import PagesRun, findings_of
from cardproof.snippets.update import update

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cardproof.snippets.prove import Policy
    from cardproof.snippets.results import PageRun
    from cardproof.snippets.run.runner import Runner
    from cardproof.snippets.types import Outcome


def run_pages(
    paths: Sequence[Path],
    policy: Policy,
    show: Callable[[Path], str],
    *,
    rewrite: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> PagesRun:
    """Run the snippets of pages on each device; with ``rewrite``, write what came out where it was stated otherwise.

    A page that was rendered stands for its template: lines are those of the template or include, and those are
    rewritten. Raises InputError for a path that is no file.
    """
    from cardproof.snippets.run.runner import Runner

    result = PagesRun()
    readable = [path for path in dict.fromkeys(paths) if _is_readable(path, show, result)]
    with Runner(policy.limits, policy.preload, policy.devices) as runner:
        for done, path in enumerate(readable, 1):
            _run_file(path, policy, runner, result, rewrite)
            if progress:
                progress(done, len(readable), show(path))
    result.findings.sort(key=lambda finding: (finding.place, finding.message))
    return result


def _is_readable(path: Path, show: Callable[[Path], str], result: PagesRun) -> bool:
    if not path.is_file():
        raise InputError(f"{show(path)}: {'a folder; name its pages' if path.is_dir() else 'no such file'}")
    source, findings = read_source(path, show(path))
    result.findings += findings
    return source is not None


def _run_file(path: Path, policy: Policy, runner: Runner, result: PagesRun, rewrite: bool) -> None:
    try:
        pages = _pages(path, policy)
    except TemplatesError as trouble:
        result.findings += trouble.findings
        return
    runs: list[PageRun] = []
    outcomes: list[Outcome] = []
    for page, own in pages:
        blocks, findings = blocks_of(page, own)
        for device in own.devices:
            if device == "cuda" and not gpu_is_visible():
                runs.append(not_run(page, device, own))
                continue
            found, random = outcomes_of(page, blocks, device, own, runner)
            runs.append(run_of(page, device, own, "", found, findings, random))
            outcomes += found
    if rewrite and (updated := _update(path, [page for page, _ in pages], outcomes)):
        result.updated += updated
        _run_file(path, policy, runner, result, rewrite=False)
        return
    result.runs += runs
    result.findings += [finding for run in runs for finding in findings_of(run)]


def _pages(path: Path, policy: Policy) -> list[tuple[Page, Policy]]:
    """Return the page that a file is, or those of the template that it was rendered from, with how to run them."""
    source = read_source(path, show_path(path))[0]
    assert source is not None  # it was readable a moment ago
    if read_stamp(source.text) is None:
        search = (str(path.parent.resolve()), *policy.search_path)
        return [(Page(source.name, source.text, path.parent), replace(policy, search_path=search))]
    found = Sources(Path.cwd()).of(path)
    search = (*policy.search_path, *found.policy.search_path)
    return [(page, replace(policy, search_path=search, config=found.policy.config)) for page in found.pages]


def _update(path: Path, pages: list[Page], outcomes: list[Outcome]) -> list[Path]:
    """Rewrite the outdated outputs of a page, or of the template and includes behind it; return what changed."""
    if not any(page.origin for page in pages):
        new = update(pages[0].text, outcomes)
        if new == pages[0].text:
            return []
        _write(path, new)
        return [path]
    changed = []
    for file in sorted({file for page in pages for file, _ in page.origin.values()}):
        source, _ = read_source(Path(file), file)
        if source and (new := update(source.text, outcomes, file)) != source.text:
            _write(Path(file), new)
            changed.append(Path(file))
    return changed


def _write(path: Path, text: str) -> None:
    """Give a page a new text; a byte order mark stays."""
    data = path.read_bytes()
    mark = data[:3] if data.startswith(b"\xef\xbb\xbf") else b""
    replace_file(path, mark + text.encode("utf-8"))

"""Snippets of any Markdown files: of the template that a file was rendered from, or else of the file itself."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from cardproof.core.errors import InputError
from cardproof.core.files import replace_files, show_path
from cardproof.core.settings import Settings, load_settings
from cardproof.core.source import read_source
from cardproof.read import read_cards
from cardproof.render.output.paths import relative
from cardproof.render.output.text import stamped_source
from cardproof.render.page_snippets import pages_of
from cardproof.render.templates import TemplatesError
from cardproof.snippets.prove import (
    Page,
    Policy,
    extensions_text,
    gpu_is_visible,
    not_run,
    page_blocks,
    policy_of,
    run_blocks,
    run_of,
)
from cardproof.snippets.results import PagesRun, findings_of
from cardproof.snippets.run.runner import Runner
from cardproof.snippets.update import update

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cardproof.plan.options import Progress
    from cardproof.read import Card, Reading
    from cardproof.render.output.paths import Folders
    from cardproof.render.pages import Site
    from cardproof.snippets.results import PageRun
    from cardproof.snippets.types import Outcome


class Source(Struct, frozen=True):
    """The pages that a Markdown file stands for, one for each model that is run, and how to run them."""

    pages: tuple[Page, ...]
    policy: Policy


class Sources:
    """The sites of Markdown files; each site is read once."""

    def __init__(self, root: Path) -> None:
        """``root`` is the folder whose ``mkdocs.yml`` is that of files with none above them."""
        self._root = root
        self._sites: dict[Path | None, _CardSite] = {}

    def is_template(self, path: Path) -> bool:
        """Return whether a file is a template of its site, or included by one. Raises InputError."""
        return self._site_of(path).holds(path)

    def of(self, path: Path) -> Source:
        """Return what a file is proved from.

        Raises InputError for settings, stamps and cards that mean nothing, and TemplatesError.
        """
        site = self._site_of(path)
        text = path.read_text(encoding="utf-8", errors="replace")
        template = stamped_source(text.rstrip().rpartition("\n")[2] + "\n")
        policy = policy_of(site.settings)
        if template is not None:
            card = site.card_named(template, path)
        elif site.holds(path):
            card = site.card_at(path)
        else:
            base = site.settings.base if policy.config else path.parent
            return Source((Page(show_path(path), text, base),), _beside(policy, path))
        pages = pages_of(site.site, card, site.settings, {}, extensions_text(site.settings))
        return Source(tuple(pages), _beside(policy, card.source.path))

    def _site_of(self, path: Path) -> _CardSite:
        config = config_above(path, self._root)
        if config not in self._sites:
            settings = load_settings(config) if config else replace(Settings(), base=self._root)
            self._sites[config] = _CardSite(settings)
        return self._sites[config]


def config_above(path: Path, root: Path) -> Path | None:
    """Return the nearest ``mkdocs.yml`` above a file, or else that in ``root``; None where there is none."""
    found = (folder / "mkdocs.yml" for folder in (*path.parents, root))
    return next((config for config in found if config.is_file()), None)


class _CardSite:
    """A site whose cards are read when the first page asks for its template."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def site(self) -> Site:
        """The site with the verdicts of its stored evidence; nothing is measured."""
        from cardproof.judge.audit import audit_cards
        from cardproof.render.pages import Site
        from cardproof.zoos import ZooError

        settings, store = self.settings, self.settings.path(self.settings.evidence)
        try:
            audit = audit_cards(self._reading, settings, store=store, wanted=())
        except ZooError:  # only templates that print measured values see it: it is no reason to run nothing
            audit = audit_cards(self._reading, replace(settings, zoo=None), store=store, wanted=())
        return Site(audit, self._folders, show_path, settings)

    def holds(self, path: Path) -> bool:
        """Return whether a file lies among the site's templates, and not among its pages."""
        folders, path = self._folders, path.resolve()
        return path.is_relative_to(folders.root.resolve()) and not path.is_relative_to(folders.out.resolve())

    def card_named(self, template: str, page: Path) -> Card:
        """Return the card that a page's stamp names. Raises InputError."""
        for card in self._reading.cards:
            name = relative(card.source.path, self.settings.base)
            if name.replace("--", "—") == template:  # as the stamp writes it
                return card
        message = f"it was rendered from {template}, which is no template of {show_path(self.settings.base)}"
        raise InputError(f"{show_path(page)}: {message}; render the site, or remove the page")

    def card_at(self, path: Path) -> Card:
        """Return the card whose template a file is. Raises InputError."""
        for card in self._reading.cards:
            if card.source.path.resolve() == path.resolve():
                return card
        raise InputError(f"{show_path(path)}: templates include it, and it is no page itself; name a page instead")

    @cached_property
    def _folders(self) -> Folders:
        from cardproof.render.output.paths import site_folders

        return site_folders(self.settings)

    @cached_property
    def _reading(self) -> Reading:
        from cardproof.render.output.paths import page_templates

        reading = read_cards(page_templates(self._folders, show_path).values(), root=self._folders.bound)
        if fatal := next((finding for finding in reading.findings if finding.fatal), None):
            raise InputError(f"{fatal.place}: {fatal.message}")
        return reading


def _beside(policy: Policy, path: Path) -> Policy:
    """Let a page import the modules that lie beside it, as a program would."""
    return replace(policy, search_path=tuple(dict.fromkeys((str(path.parent.resolve()), *policy.search_path))))


def run_pages(
    paths: Sequence[Path],
    policy: Policy,
    show: Callable[[Path], str],
    *,
    rewrite: bool = False,
    progress: Progress | None = None,
) -> PagesRun:
    """Run the snippets of pages on each device; with ``rewrite``, write what came out where it was stated otherwise.

    A page that was rendered stands for its template: lines are those of the template or include, and those are
    rewritten. Raises InputError for a path that is no file.
    """
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
        blocks, findings = page_blocks(page, own)
        for device in own.devices:
            if device == "cuda" and not gpu_is_visible():
                runs.append(not_run(page, device, own))
                continue
            found, random = run_blocks(page, blocks, device, own, runner)
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
    if stamped_source(source.text) is None:
        return [(Page(source.name, source.text, path.parent), _beside(policy, path))]
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
    replace_files({path: mark + text.encode()})

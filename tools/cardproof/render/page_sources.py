"""Snippets of a site's cards, with their stored runs; and of any Markdown files: those of the file's template if it
was rendered, or else its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from cardproof.core.digests import digest_of_data
from cardproof.core.errors import InputError, TemplatesError
from cardproof.core.json import TamperedError
from cardproof.core.paths import show_path, suggest_file
from cardproof.core.settings import Settings, load_settings
from cardproof.core.source import read_source
from cardproof.core.types import Finding, Place
from cardproof.evidence.records import file_name
from cardproof.render.output.text import read_stamp
from cardproof.snippets.results import FOLDER, PageRun, PagesRun, SiteRuns, dump_runs, findings_of, load_runs
from cardproof.snippets.run.page_runner import Runner
from cardproof.snippets.run_pages import (
    Page,
    Policy,
    extensions_text,
    gpu_is_visible,
    page_blocks,
    policy_of,
    run_blocks,
    run_of,
    run_without_gpu,
    runs_of_pages,
)

if TYPE_CHECKING:  # cards and templates are imported by the pages that were rendered from one
    from cardproof.plan.options import Progress
    from cardproof.read import Card, Reading
    from cardproof.render.output.paths import Folders
    from cardproof.render.pages import Site
    from cardproof.snippets.types import Outcome


class Source(Struct, frozen=True):
    """The pages of a Markdown file, one per model that is run, and how to run them."""

    pages: tuple[Page, ...]
    policy: Policy


class Sources:
    """The sites of Markdown files; each site is read once."""

    def __init__(self, root: Path) -> None:
        """``root`` is the folder whose ``mkdocs.yml`` applies to files that have none above them."""
        self._root = root
        self._sites: dict[Path | None, _CardSite] = {}

    def is_template(self, path: Path) -> bool:
        """Return whether a file is a template of its site, or included by one. Raises InputError."""
        return self._site(path).has_template(path)

    def read(self, path: Path) -> Source:
        """Return the pages of a file. Raises TemplatesError, and InputError for invalid settings, stamps and cards."""
        site = self._site(path)
        text = path.read_text(encoding="utf-8", errors="replace")
        template = read_stamp(text.rstrip().rpartition("\n")[2] + "\n")
        policy = policy_of(site.settings)
        if template is None and not site.has_template(path):
            return Source((_plain_page(path, show_path(path), text, policy),), _with_folder(policy, path))
        card = site.card_of(path, template)
        pages = pages_of(site.site, card, site.settings, {}, extensions_text(site.settings))
        return Source(tuple(pages), _with_folder(policy, card.source.path))

    def _site(self, path: Path) -> _CardSite:
        config = config_of(path, self._root)
        if config not in self._sites:
            settings = load_settings(config) if config else replace(Settings(), base=self._root)
            self._sites[config] = _CardSite(settings)
        return self._sites[config]


def config_of(path: Path, root: Path) -> Path | None:
    """Return the mkdocs.yml of the site that a page belongs to: the nearest one above it, or that in ``root``."""
    places = (folder / "mkdocs.yml" for folder in (*path.absolute().parents, root))
    return next((place for place in places if place.is_file()), None)


def _plain_page(path: Path, file: str, text: str, policy: Policy) -> Page:
    """Return a page that is not rendered from a template; its includes are found in the folders of its site."""
    base = policy.config.parent if policy.config else path.parent
    return Page(file, text, base, folder=path.parent)


class _CardSite:
    """A site whose cards are read when the first page needs its template."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def site(self) -> Site:
        """The site with the verdicts of its stored evidence, without measuring."""
        from cardproof.judge.audit import audit_cards
        from cardproof.render.pages import Site
        from cardproof.zoos import ZooError

        settings, store = self.settings, self.settings.path(self.settings.evidence)
        try:
            audit = audit_cards(self._reading, settings, store=store, wanted=())
        except ZooError:  # affects only templates that print measured values
            audit = audit_cards(self._reading, replace(settings, zoo=None), store=store, wanted=())
        return Site(audit, self._folders, settings, {})

    def has_template(self, path: Path) -> bool:
        """Return whether a file is in the folder of templates, and not in that of the pages."""
        folders, path = self._folders, path.resolve()
        return path.is_relative_to(folders.root.resolve()) and not path.is_relative_to(folders.out.resolve())

    def card_of(self, path: Path, template: str | None) -> Card:
        """Return the card of a page, whose stamp names ``template``, or of a template itself. Raises InputError."""
        from cardproof.render.output.paths import relative

        for card in self._reading.cards:
            name = relative(card.source.path, self.settings.base).replace("--", "—")  # a stamp has no ``--``
            if name == template or (template is None and card.source.path.resolve() == path.resolve()):
                return card
        message = "templates include it, and it is not a page itself; name a page instead"
        if template is not None:
            message = f"it was rendered from {template}, which is not a template of {show_path(self.settings.base)}"
            message += "; render the site, or remove the page"
        raise InputError(f"{show_path(path)}: {message}")

    @cached_property
    def _folders(self) -> Folders:
        from cardproof.render.output.paths import site_folders

        return site_folders(self.settings)

    @cached_property
    def _reading(self) -> Reading:
        from cardproof.read import read_cards
        from cardproof.render.output.paths import page_templates

        reading = read_cards(page_templates(self._folders, {}).values(), root=self._folders.bound)
        if fatal := next((finding for finding in reading.findings if finding.fatal), None):
            raise InputError(f"{fatal.place}: {fatal.message}")
        return reading


def _with_folder(policy: Policy, path: Path) -> Policy:
    """Let a page import the modules in its own folder, as a program would."""
    return replace(policy, search_path=tuple(dict.fromkeys((str(path.parent.resolve()), *policy.search_path))))


def run_pages(
    paths: Sequence[Path],
    policy: Policy,
    *,
    rewrite: bool = False,
    progress: Progress | None = None,
) -> PagesRun:
    """Run the snippets of pages on each device; with ``rewrite``, replace stated outputs that differ.

    For a rendered page, lines are those of its template or include, and those are rewritten. Raises InputError for a
    path that is not a file.
    """
    result = PagesRun()
    if rewrite:
        from cardproof.core.journal import finish_interrupted

        finish_interrupted(Path(), *(path.parent for path in paths))
    readable = [path for path in dict.fromkeys(paths) if _is_readable(path, result)]
    with Runner(policy.limits, policy.preload) as runner:
        for done, path in enumerate(readable, 1):
            _run_file(path, policy, runner, result, rewrite)
            if progress:
                progress(done, len(readable), show_path(path))
    result.findings.sort(key=lambda finding: (*finding.place.start, finding.message))
    return result


def _is_readable(path: Path, result: PagesRun) -> bool:
    if not path.is_file():
        what = "a folder; name its pages" if path.is_dir() else f"no such file{suggest_file(path)}"
        raise InputError(f"{show_path(path)}: {what}")
    source, findings = read_source(path, show_path(path))
    result.findings += findings
    return source is not None


def _run_file(path: Path, policy: Policy, runner: Runner, result: PagesRun, rewrite: bool) -> None:
    try:
        pages = _pages(path, policy)
    except TemplatesError as error:
        result.findings += error.findings
        return
    runs: list[PageRun] = []
    outcomes: list[Outcome] = []
    for page, own in pages:
        blocks, findings = page_blocks(page, own)
        for device in own.devices:
            if device == "cuda" and not gpu_is_visible():
                runs.append(run_without_gpu(page, device, own))
                continue
            found, random = run_blocks(page, blocks, device, own, runner)
            runs.append(run_of(page, device, own, "", found, findings, random))
            outcomes += found
    if rewrite and (updated := _texts_with_new_outputs(path, [page for page, _ in pages], outcomes)):
        from cardproof.core.journal import OutsideError, replace_sources

        try:
            replace_sources(updated)
            result.updated += updated
            _run_file(path, policy, runner, result, rewrite=False)
            return
        except OutsideError as error:
            place = Place(show_path(path), 1, 1)
            result.findings.append(Finding(place, "snippets", "error", f"not updated: {error}", fatal=True))
    result.runs += runs
    result.findings += [finding for run in runs for finding in findings_of(run)]


def _pages(path: Path, policy: Policy) -> list[tuple[Page, Policy]]:
    """Return the pages of a file, or of the template that it was rendered from, with how to run them."""
    source = read_source(path, show_path(path))[0]
    assert source is not None  # checked by run_pages
    if read_stamp(source.text) is None:
        return [(_plain_page(path, source.name, source.text, policy), _with_folder(policy, path))]
    found = Sources(Path.cwd()).read(path)
    search = (*policy.search_path, *found.policy.search_path)
    return [(page, replace(policy, search_path=search, config=found.policy.config)) for page in found.pages]


def _texts_with_new_outputs(path: Path, pages: list[Page], outcomes: list[Outcome]) -> dict[Path, str]:
    """Return the files in which outputs are outdated, with new texts: a page, or its template and includes."""
    origins = {file for page in pages for file, _ in page.origin.values()}
    from cardproof.snippets.update import update_outputs

    changed: dict[Path, str] = {}
    for file in sorted(origins) or [show_path(path)]:
        source, _ = read_source(Path(file) if origins else path, file)
        if source and (new := update_outputs(source.text, outcomes, file if origins else None)) != source.text:
            changed[source.path] = ("\ufeff" if source.bom else "") + new
    return changed


def run_site_snippets(
    site: Site,
    cards: Iterable[Card],
    settings: Settings,
    digests: Mapping[str, str],
    progress: Callable[[int, int, str], None] | None = None,
) -> SiteRuns:
    """Run the snippets of cards. ``digests`` are those of the models' networks.

    Raises TemplatesError with the findings of all templates.
    """
    result = SiteRuns()
    store = settings.path(settings.evidence) / FOLDER
    extensions = extensions_text(settings)
    found: dict[str, list[Page]] = {}
    findings: list[Finding] = []
    for card in cards:
        try:
            found[card.file] = pages_of(site, card, settings, digests, extensions)
        except TemplatesError as error:
            findings += error.findings
    if findings:
        raise TemplatesError(findings)
    paths = {card: store / file_name(card.replace("/", "-").removesuffix(".md")) for card in found}
    runs = (run for card in found for run in _load_runs(paths[card], result.tampered))
    stored = {key: run for run in runs for key in (run.key, run.code_key) if key}
    ran: list[int] = []

    def count(done: int, total: int, name: str) -> None:
        ran[:] = [total]
        if progress:
            progress(done, total, name)

    pages = [page for card in found for page in found[card]]
    proved = runs_of_pages(pages, policy_of(settings), stored, count)
    result.ran = ran[0] if ran else 0
    result.recalled = sum(run.key != "" for run in proved) - result.ran
    for run in proved:
        result.by_card.setdefault(run.page, []).append(run)
    valid = {card: [run for run in card_runs if run.key] for card, card_runs in result.by_card.items()}
    result.paths = paths
    result.outputs = {paths[card]: dump_runs(card_runs) for card, card_runs in valid.items() if card_runs}
    return result


def pages_of(site: Site, card: Card, settings: Settings, digests: Mapping[str, str], extensions: str) -> list[Page]:
    """Return the pages of a card, for its first model or for each; ``extensions`` is :func:`extensions_text`."""
    names: list[str | None] = [model.name for model in card.models] or [None]
    if settings.snippets.models == "first":
        names = names[:1]
    pages = []
    for name in names:
        author = site.author_text(card, name)
        if "```" not in author.text and "~~~" not in author.text and "snippet:" not in author.text:
            continue
        inputs = digest_of_data([extensions, digests.get(name or "", "")])
        pages.append(Page(card.file, author.text, settings.base, author.origin, name, inputs))
    return pages


def _load_runs(path: Path, tampered: list[Path]) -> tuple[PageRun, ...]:
    try:
        return load_runs(path)
    except TamperedError:
        tampered.append(path)
        return ()

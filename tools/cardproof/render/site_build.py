"""The build of a site: changed cards go through the whole flow, until no card shows outdated values of another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from cardproof.core.errors import InputError, TemplatesError, did_you_mean
from cardproof.core.paths import show_path
from cardproof.core.types import Finding, Place
from cardproof.judge.card_report import CardReport, ModelDefinition, definitions_in, duplicates
from cardproof.read import Card, Reading, read_cards
from cardproof.render.incremental import CrossCardDigests, RenderedCard, ReportStore, open_report_store

if TYPE_CHECKING:
    from cardproof.core.settings import Settings
    from cardproof.evidence.records import EvidenceWriter
    from cardproof.judge.audit import Audit
    from cardproof.plan.options import MeasureOptions
    from cardproof.render.output.files import Change
    from cardproof.render.output.paths import Folders
    from cardproof.render.pages import Site
    from cardproof.snippets.results import PageRun

# functions import what a build without changed cards does not need


class SiteBuild:
    """One build of a site."""

    def __init__(self, settings: Settings, options: MeasureOptions, only: tuple[str, ...], check: bool) -> None:
        """Load the stored reports; with ``check`` nothing is stored or written.

        Raises InputError if templates are missing or ``only`` does not match any.
        """
        self.settings = settings
        self.folders = checked_folders(settings)
        self.writer = None if check else _evidence_writer(self.folders)  # first: it completes a build that was killed
        self.report_store = ReportStore() if check else open_report_store(settings, self.folders.out)
        self.options = replace(options, keep=self.writer.write) if self.writer else options
        self.templates = find_templates(self.folders, self.report_store)
        self.only = only
        self.check = check
        self.chosen = chosen_templates(self.templates, only)
        self.reports: dict[str, CardReport] = {}
        """Of the cards that are unchanged, or rendered already."""
        self.rendered: set[str] = set()
        self.lasting: dict[str, RenderedCard] = {}
        """Those of the rendered cards that can be stored: nothing failed that may succeed later."""
        self.defined: set[ModelDefinition] = set()
        """Models of all cards that were read."""
        self._set_reports({} if options.force.words else self.report_store.reports(self.templates))
        self.unrendered: list[CardReport] = []
        """Reports of the cards that could not be rendered."""
        self.findings: list[Finding] = []
        """Of the site, not of a card."""
        self.changes: list[Change] = []
        self.files = self.measured = self.evaluated = self.recalled = self.unmeasured = 0
        self.snippets_ran = self.snippets_recalled = 0

    def run(self, reference: Callable[[Path], dict[Path, str]] | None) -> None:
        """Render the changed cards, and write all files if that succeeds.

        ``reference`` returns the generated pages of the setting ``reference``.
        """
        while todo := self._outdated():
            others = [file for file in self.templates if file not in self.chosen and file not in self.reports]
            if not self._build(todo, others):
                break
        else:
            self._finish(None if self.only else reference)
        remembered = self.remembered
        self.recalled += sum(len(card.totals) for card in remembered)
        self.snippets_recalled += sum(card.runs for card in remembered)
        defined = {model for card in self.reports.values() for model in card.defined} | self.defined
        self.findings += [finding for finding in duplicates(defined) if finding.place.file in self.chosen]

    @property
    def cards(self) -> list[CardReport]:
        """The reports of the chosen cards, in order of their files."""
        found = [*self.unrendered, *(self.reports[file] for file in self.chosen & self.reports.keys())]
        return sorted(found, key=lambda card: card.file)

    @property
    def remembered(self) -> list[CardReport]:
        """The reports of chosen cards that are unchanged since an earlier build."""
        return [self.reports[file] for file in (self.chosen & self.reports.keys()) - self.rendered]

    def _set_reports(self, reports: dict[str, CardReport]) -> None:
        self.reports, self.across = reports, CrossCardDigests(reports)

    def _outdated(self) -> list[str]:
        """Return the cards to render: those without a report, or else those that show outdated values of others."""
        if not (todo := self.chosen - self.reports.keys()):
            todo = (self.report_store.outdated(self.across) & self.chosen) - self.rendered
            if todo:
                self._set_reports({file: report for file, report in self.reports.items() if file not in todo})
        return [file for file in self.templates if file in todo]

    def _build(self, todo: list[str], others: list[str]) -> bool:
        """Build cards; ``others`` are read for tables and explanations. Return whether all could be rendered.

        The findings report a card that cannot be read or a template that cannot be rendered.
        """
        from cardproof.judge.audit import audit_cards
        from cardproof.render.pages import Site

        reading = read_cards(sorted(self.templates[file] for file in (*todo, *others)), root=self.folders.bound)
        totals = {name: found for report in self.reports.values() for name, found in report.totals.items()}
        store = self.folders.evidence
        audit = audit_cards(reading, self.settings, self.options, store=store, wanted=set(todo), others=totals)
        cards = [card for card in reading.cards if card.file in todo]
        self.defined |= {model for card in reading.cards for model in definitions_in(card)}
        self.measured += audit.gathered.measured
        self.evaluated += audit.gathered.evaluated
        self.recalled += audit.recalled(cards)
        self.unmeasured += sum(found.counts is None for card in cards for found in audit.evidence_of(card))
        unplaced = reading.unplaced
        self.findings += [*unplaced, *map(_tampered_finding, audit.gathered.tampered)]
        if not any(f.severity == "error" for f in [*unplaced, *(f for card in cards for f in card.findings)]):
            rows = {file: report.rows for file, report in self.reports.items()}
            try:
                self._render(Site(audit, self.folders, self.settings, rows), cards, audit)
                return True
            except TemplatesError as error:
                self.findings += error.findings
        self.unrendered = [audit.report(card) for card in cards]
        return False

    def _render(self, site: Site, cards: list[Card], audit: Audit) -> None:
        """Run the snippets of cards, render their pages, and compare them with the disk. Raises TemplatesError."""
        from cardproof.render.output.files import change_since, compare, orphaned_badges
        from cardproof.render.page_sources import run_site_snippets
        from cardproof.snippets.results import SiteRuns

        runs = SiteRuns()
        if self.settings.snippets.run:
            runs = run_site_snippets(site, cards, self.settings, audit.gathered.digests, self.options.progress)
        pages = site.render(cards, runs.by_card)
        self.snippets_ran += runs.ran
        self.snippets_recalled += runs.recalled
        self.findings += map(_tampered_finding, runs.tampered)
        reports: dict[str, CardReport] = {}
        before = self.writer.before if self.writer else {}
        for card in cards:
            page, card_runs = site.pages[card.file], runs.by_card.get(card.file, ())
            records = site.files(card)
            texts = {page: pages[card.file], **self._evidence_texts(card, audit)}
            texts |= {path: text for path, text in runs.outputs.items() if path == runs.paths.get(card.file)}
            texts |= records.records
            gone = orphaned_badges(records.folders(), records.badges)
            for change in compare({**texts, **records.badges}, gone, self.folders.targets):
                # evidence may be stored already: the change is relative to the state before the build
                self.changes.append(change_since(change, before[change.path]) if change.path in before else change)
            report = audit.report(card, card_runs, site.rows[card.file])
            report = replace(
                report,
                pages=((show_path(page), card.file),),
                outputs=tuple(show_path(path) for path in texts),
                folders={show_path(folder): number for folder, number in records.folders().items()},
                across={**report.across, **{kind: card.file in files for kind, files in site.looked.items()}},
            )
            reports[card.file] = report
            is_lasting = "--8<--" not in pages[card.file] and _is_lasting(card, audit, card_runs)
            if is_lasting and not any(finding.internal for finding in report.findings):
                read = site.asked[card.file] | set(card.imports) | audit.sources(card)
                read |= set(audit.local[card.file].paths)
                self.lasting[card.file] = RenderedCard(report, set(map(show_path, read)), site.includes(card))
        self.rendered |= reports.keys()
        self._set_reports(self.reports | reports)

    def _evidence_texts(self, card: Card, audit: Audit) -> dict[Path, str]:
        from cardproof.evidence.records import file_name, record_text

        texts = {e.model: record_text(e, self.folders.evidence) for e in audit.evidence_of(card)}
        return {self.folders.evidence / file_name(model): text for model, text in texts.items() if text is not None}

    def _finish(self, reference: Callable[[Path], dict[Path, str]] | None) -> None:
        """Add the files of the site, write all files, and store the reports."""
        from cardproof.render.output.files import asset_texts, compare, write

        settings = self.settings
        listed, made = self._site_files() if settings.catalog and not self.only else ((), False)
        assets = asset_texts(settings.path(settings.assets)) if settings.assets else {}
        self.changes += [change for change in compare(assets, (), self.folders.targets) if change.differs]
        generated = settings.path(settings.reference) if reference and settings.reference else None
        if reference and generated:
            self.changes += compare(reference(generated), (), self.folders.targets)
        self.changes = list({change.path: change for change in self.changes}.values())
        kept = {path for card in self.reports.values() for path in card.outputs}
        kept |= {*listed, *(show_path(path) for path in (*assets, *(change.path for change in self.changes)))}
        if not self.only:
            self.changes += compare({}, self._outdated_files(generated, kept), self.folders.targets)
        if self.check:
            self.changes = [change for change in self.changes if self.folders.is_committed(change.path)]
        badges = sum(number for card in self.reports.values() for number in card.folders.values())
        removed = {show_path(change.path) for change in self.changes if change.status == "removed"}
        self.files = len({path for path in kept | removed if not path.endswith(".svg")}) + badges
        self.findings += _edited_findings(self.changes, self.check)
        if not self.check and all(change.status != "foreign" for change in self.changes):
            write(self.changes, self.folders)
            self.report_store.store(self.lasting, self.across)
            if made:
                self.report_store.store_site_files(self.across.rows, listed)

    def _site_files(self) -> tuple[Sequence[str], bool]:
        """Return the files about all models, and whether they are made in this build."""
        if paths := self.report_store.site_files(self.across.rows):
            return paths, False
        from cardproof.render.catalog.files import site_files
        from cardproof.render.output.files import compare
        from cardproof.render.output.paths import site_urls

        texts = site_files(self.settings, self.folders, site_urls(self.settings, self.folders), self.reports)
        self.changes += compare(texts, (), self.folders.targets)
        return [show_path(path) for path in texts], True

    def _outdated_files(self, generated: Path | None, kept: set[str]) -> Iterator[Path]:
        """Yield the generated files of templates and models that no longer exist."""
        from cardproof.render.output.files import find_orphans, orphaned_model_files

        base = self.folders.base
        yield from find_orphans(_relative(self.folders.out), _relative(self.folders.evidence), base, kept)
        if generated:
            yield from find_orphans(_relative(generated), None, base, kept)
        if self.settings.catalog:
            folders = {folder.rpartition("/")[2] for card in self.reports.values() for folder in card.folders}
            yield from orphaned_model_files(self.settings.path(self.settings.catalog) / "models", folders)


def read_site(settings: Settings, only: tuple[str, ...] = ()) -> tuple[Reading, set[str]]:
    """Read all cards of a site; also return the files of those that match ``only``. Raises InputError."""
    folders = checked_folders(settings)
    templates = find_templates(folders, ReportStore())
    return read_cards(templates.values(), root=folders.bound), chosen_templates(templates, only)


def checked_folders(settings: Settings) -> Folders:
    """Return the folders of a site. Raises InputError if the pages would overwrite their templates."""
    from cardproof.render.output.paths import site_folders

    folders = site_folders(settings)
    if not folders.root.is_dir():
        raise InputError(f"{show_path(folders.root)}: no such folder of templates; {_templates_advice(settings)}")
    if outside := folders.folder_linked_outside():
        message = f"a link leads out of {show_path(folders.base)}; name the folder itself in the settings"
        raise InputError(f"{show_path(outside)}: {message}")
    if any(folder.resolve().is_relative_to(folders.out.resolve()) for folder in (folders.root, folders.cards)):
        raise InputError(
            f"{show_path(folders.out)}: pages cannot be written where their templates are; name another --out"
        )
    return folders


def find_templates(folders: Folders, report_store: ReportStore) -> dict[str, Path]:
    """Return the templates of the site's pages, by their names in reports. Raises InputError if there are none."""
    from cardproof.render.output.paths import page_templates

    templates = page_templates(folders, report_store.includes())
    if not templates:
        raise InputError(f"{show_path(folders.cards)}: no card template (*.md) is in it")
    return templates


def _templates_advice(settings: Settings) -> str:
    """Return what to do without templates, in a site and elsewhere."""
    if (settings.base / "mkdocs.yml").is_file():
        return "the setting 'templates' names it"
    site = "go to the folder of your site, or name its configuration with -f mkdocs.yml"
    return f"there is no mkdocs.yml here: {site}; 'cardproof init' makes a site, 'cardproof audit' needs none"


def chosen_templates(templates: Mapping[str, Path], only: tuple[str, ...]) -> set[str]:
    """Return the names of the templates that ``only`` selects. Raises InputError if one does not exist."""
    if not only:
        return set(templates)
    wanted = {name.removesuffix(".md") for name in only}
    chosen = {shown: path.stem for shown, path in templates.items() if path.stem in wanted}
    if unknown := wanted - set(chosen.values()):
        known = [path.stem for path in templates.values()]
        near = did_you_mean(sorted(unknown)[0], known) or f"; there is {', '.join(known)}"
        raise InputError(f"no card template is named {', '.join(sorted(unknown))}{near}")
    return set(chosen)


def _evidence_writer(folders: Folders) -> EvidenceWriter:
    """Return the writer of evidence, after completing or undoing what killed builds have begun."""
    from cardproof.core.journal import tidy_site
    from cardproof.evidence.records import EvidenceWriter

    outputs = [folders.out, folders.evidence, *folders.generated]
    tidy_site(folders.evidence, folders.base, outputs, folders.docs)
    return EvidenceWriter(folders.evidence)


def _is_lasting(card: Card, audit: Audit, runs: Sequence[PageRun]) -> bool:
    """Return whether nothing failed that may succeed later."""
    names = {model.name for model in card.models}
    reasons = (why for (need, _), why in audit.gathered.unevaluated.items() if need.model in names)
    return (
        all(run.key for run in runs)
        and not any(why.startswith("evaluating failed") for why in reasons)
        and not any(evidence.is_temporary_failure for evidence in audit.evidence_of(card))
    )


def _relative(path: Path) -> Path:
    return Path(show_path(path))


def _edited_findings(changes: Iterable[Change], check: bool) -> Iterator[Finding]:
    what = "and is not what its template renders to" if check else "and was rendered anew"
    for change in changes:
        place = Place(show_path(change.path), 1, 1)
        if change.status == "edited":
            hint = "edit the template instead; the last line of the page names it"
            yield Finding(place, "hand-edit", "warning", f"this page was edited by hand {what}", hint)
        elif change.status == "foreign":
            message = (
                "this file was not rendered, cannot be read, or is a link out of the site; a page would overwrite it"
            )
            hint = "move it away, or name another --out; nothing was written"
            yield Finding(place, "hand-edit", "error", message, hint)


def _tampered_finding(path: Path) -> Finding:
    message = (
        "this record is not as it was written: its seal does not fit, or no measurement gives what it states; "
        "it was not used"
    )
    return Finding(Place(show_path(path), 1, 1), "evidence", "warning", message, "do not edit evidence by hand")

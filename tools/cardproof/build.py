"""The driver: connects read, plan, recall, measure, judge and render, and does nothing else."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from cardproof.core.errors import InputError
from cardproof.core.files import show_path
from cardproof.core.types import Finding, Place, Totals
from cardproof.judge.card_report import CardReport, Defined, defined_in, duplicates
from cardproof.read import Card, Reading, read_cards
from cardproof.render.catalog.site_files import SiteFiles, files_of_gone_models, make_site_files
from cardproof.render.incremental import CrossCardDigests, Memory, open_memory
from cardproof.report.provenance import provenance_of
from cardproof.report.run import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from cardproof.core.settings import Settings
    from cardproof.core.types import Need
    from cardproof.evidence.keeper import EvidenceWriter
    from cardproof.judge.audit import Audit
    from cardproof.judge.online import Links
    from cardproof.measure.gather import MeasureOptions, Progress
    from cardproof.plan.dry_run import DryRun
    from cardproof.render.output.files import Change
    from cardproof.render.output.paths import Folders
    from cardproof.render.pages import Site


def audit(
    paths: Iterable[Path],
    settings: Settings,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
    force: tuple[str, ...] = (),
    engine: str | None = None,
    reading: Reading | None = None,
    arguments: tuple[str, ...] | None = None,
    online: Callable[[Reading], Links] | None = None,
) -> Run:
    """Read, measure and judge any cards; write nothing. Raises InputError where there is no file to read.

    ``reading`` is judged instead of what is in ``paths``; ``arguments`` then say how the command line names it.
    ``online`` asks the addresses of what was read.
    """
    return audit_with_cards(
        paths,
        settings,
        workers=workers,
        progress=progress,
        force=force,
        engine=engine,
        reading=reading,
        arguments=arguments,
        online=online,
    )[0]


def audit_with_cards(
    paths: Iterable[Path],
    settings: Settings,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
    force: tuple[str, ...] = (),
    engine: str | None = None,
    reading: Reading | None = None,
    arguments: tuple[str, ...] | None = None,
    store: Path | None = None,
    online: Callable[[Reading], Links] | None = None,
) -> tuple[Run, Audit]:
    """Do what :func:`audit` does, and return beside the report what was read and proved, for other formats.

    What is on record in the folder ``store`` is not measured again.
    """
    paths = tuple(paths)
    started = time.perf_counter()
    reading = reading or _read_for_audit(paths)
    orders = _orders(force, engine, None)
    orders.force.check(model.name for model in reading.models)
    known = _prove(reading, settings, store, workers, progress, orders)
    run = Run(measured=known.proved.measured, evaluated=known.proved.evaluated)
    run.recalled = len(known.proved.evidence) - run.measured
    run.cards = [known.report(card) for card in reading.cards]
    run.site_findings = [*_of_no_card(reading), *duplicates(model for card in run.cards for model in card.defined)]
    if online:
        run.links = online(reading)
        run.site_findings += run.links.findings
    run.method = provenance_of(arguments or map(show_path, paths), settings, known)
    run.seconds = time.perf_counter() - started
    return run, known


def _read_for_audit(paths: tuple[Path, ...]) -> Reading:
    """Read files and folders. Raises InputError where there is nothing to read."""
    reading = read_cards(paths)
    if not reading.files:
        raise InputError("no Markdown or YAML file is in " + ", ".join(show_path(path) for path in paths))
    return reading


def render(
    settings: Settings,
    *,
    only: tuple[str, ...] = (),
    check: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
    reference: Callable[[Path], dict[Path, str]] | None = None,
    force: tuple[str, ...] = (),
    engine: str | None = None,
) -> Run:
    """Do the whole flow for the site of the settings; with ``check``, write nothing and compare instead.

    ``reference`` makes the generated pages of the setting ``reference``. Cards of which nothing changed since an
    earlier build are remembered; a check remembers nothing. Nothing is written where a card cannot be read or a
    template cannot be rendered; evidence alone is stored as soon as it is there. ``force`` names fields and models
    that are measured again, ``engine`` where. Raises InputError where the templates are not there or ``only`` names
    none of them.
    """
    started = time.perf_counter()
    folders = _folders(settings)
    memory = Memory() if check else open_memory(settings, folders.out)
    keeper = None if check else _keeper(settings, folders)
    templates = _templates(folders, memory)
    chosen = _chosen(templates, only)
    known = {} if force else memory.reports(templates)
    across = CrossCardDigests(known)
    run = Run(checked=check, fatal_is_input=True)
    made: dict[str, RenderedCard] = {}
    flow = _Pass(settings, folders, known, workers, progress, force, engine, keeper)
    while True:
        if not (todo := [file for file in templates if file in chosen and file not in known]):
            if outdated := (memory.outdated(across) & chosen) - set(made):
                known = {file: report for file, report in known.items() if file not in outdated}
                across = CrossCardDigests(known)
                continue
            break
        flow.known = known
        others = [file for file in templates if file not in chosen and file not in known]
        part = flow.run([templates[file] for file in todo], [templates[file] for file in others], run)
        if part is None:
            break
        made |= part
        known = known | {file: one.report for file, one in part.items()}
        across = CrossCardDigests(known)
    if not todo:
        site_files = None if only else make_site_files(run.changes, settings, folders, across, memory)
        if _finish(run, settings, folders, known, reference if not only else None, only, site_files):
            lasting = {file: one for file, one in made.items() if one.lasting}
            memory.keep({file: (one.report, one.read, one.includes) for file, one in lasting.items()}, across)
            if site_files and site_files.changed:
                memory.keep_site_files(site_files.inputs, map(show_path, site_files.paths))
    run.cards += [known[file] for file in chosen & set(known)]
    remembered = [card for card in run.cards if card.file in known and card.file not in made]
    run.remembered = len(remembered)
    run.recalled += sum(len(card.totals) for card in remembered)
    run.snippets_recalled += sum(card.runs for card in remembered)
    run.cards.sort(key=lambda card: card.file)
    defined = {model for card in known.values() for model in card.defined} | flow.seen
    run.site_findings += [finding for finding in duplicates(defined) if finding.place.file in chosen]
    run.seconds = time.perf_counter() - started
    return run


def dry_run_of_render(settings: Settings, *, only: tuple[str, ...] = (), force: tuple[str, ...] = ()) -> DryRun:
    """Say what a render would measure and what it would recall; nothing is written. Raises as :func:`render` does."""
    folders = _folders(settings)
    templates = _templates(folders, Memory())
    chosen = _chosen(templates, only)
    return _dry_run(read_cards(templates.values(), root=folders.bound), settings, folders.evidence, chosen, force)


def dry_run_of_audit(
    paths: Iterable[Path], settings: Settings, *, force: tuple[str, ...] = (), reading: Reading | None = None
) -> DryRun:
    """Say what an audit would measure, which recalls nothing. Raises as :func:`audit` does."""
    reading = reading or read_cards(tuple(paths))
    return _dry_run(reading, settings, None, {card.file for card in reading.cards}, force)


def network_digests_of_site(settings: Settings) -> dict[Need, str]:
    """Return what has to be known of each model of a site's cards, with the digest of its network.

    Raises InputError as :func:`render` does and where no zoo is set; ZooError where it is not here.
    """
    from cardproof.plan.needs import plan
    from cardproof.plan.recall import digests_of
    from cardproof.zoos.aliases import load_names

    if settings.zoo is None:
        raise InputError("no zoo is set: name one in mkdocs.yml (zoo: timm) or with --zoo")
    folders = _folders(settings)
    reading = read_cards(_templates(folders, Memory()).values(), root=folders.bound)
    needs = {need.model: need for need in plan(reading, load_names(settings)).values()}
    digests = digests_of(needs.values(), settings.zoo)
    return {need: digests[name] for name, need in sorted(needs.items())}


class RenderedCard(Struct, frozen=True):
    """One card that went through the whole flow."""

    report: CardReport
    read: set[Path]
    """Files that were read for it."""
    includes: tuple[str, ...]
    """Templates that its own template includes."""
    lasting: bool
    """It says the same again while these files are the same."""


class _Pass:
    """Takes some cards of a site through the flow, up to the texts of their pages; nothing is written here."""

    def __init__(
        self,
        settings: Settings,
        folders: Folders,
        known: Mapping[str, CardReport],
        workers: int | None,
        progress: Progress | None,
        force: tuple[str, ...],
        engine: str | None,
        keeper: EvidenceWriter | None,
    ) -> None:
        self.settings = settings
        self.folders = folders
        self.known = known
        """Reports of cards that need not be read."""
        self.workers = workers
        self.progress = progress
        self.force = force
        self.engine = engine
        self.keeper = keeper
        """Stores evidence at once; None where nothing is written."""
        self.seen: set[Defined] = set()
        """All models that were read."""

    def run(self, todo: list[Path], others: list[Path], run: Run) -> dict[str, RenderedCard] | None:
        """Read, prove and render ``todo``; ``others`` are read for what tables and explanations say of them.

        None where a card cannot be read or a template cannot be rendered: the run then says why.
        """
        from cardproof.render.pages import Site
        from cardproof.render.templates import TemplatesError

        wanted = {show_path(path) for path in todo}
        reading = read_cards(sorted([*todo, *others]), root=self.folders.bound)
        totals = {name: found for report in self.known.values() for name, found in report.totals.items()}
        store = self.folders.evidence
        orders = _orders(self.force, self.engine, self.keeper)
        orders.force.check({model.name for model in self.seen} | {model.name for model in reading.models})
        proved = _prove(reading, self.settings, store, self.workers, self.progress, orders, wanted, totals)
        cards = [card for card in reading.cards if card.file in wanted]
        self.seen |= {model for card in reading.cards for model in defined_in(card)}
        run.measured += proved.proved.measured
        run.evaluated += proved.proved.evaluated
        run.site_findings += [*_of_no_card(reading), *map(_tampered, proved.proved.tampered)]
        broken = any(f.severity == "error" for f in [*_of_no_card(reading), *(f for c in cards for f in c.findings)])
        if not broken:
            rows = {file: report.rows for file, report in self.known.items()}
            try:
                site = Site(proved, self.folders, show_path, self.settings, rows)
                return self._render(site, cards, proved, run)
            except TemplatesError as trouble:
                run.site_findings += trouble.findings
        run.cards += [proved.report(card) for card in cards]
        run.recalled += len(cards) and _recalled(cards, proved)
        return None

    def _render(self, site: Site, cards: list[Card], proved: Audit, run: Run) -> dict[str, RenderedCard]:
        """Run the snippets of the cards, render their pages, and compare them with the disk. Raises TemplatesError."""
        from cardproof.render.output.files import compare
        from cardproof.render.page_snippets import prove_site
        from cardproof.snippets.store import SiteRuns

        runs = SiteRuns()
        if self.settings.snippets.run:
            runs = prove_site(site, cards, self.settings, proved.proved.digests, self.progress)
        pages = {page.template: page for page in site.render([card.source.path for card in cards], runs.by_card)}
        run.snippets_ran += runs.ran
        run.snippets_recalled += runs.recalled
        run.recalled += _recalled(cards, proved)
        run.site_findings += map(_tampered, runs.tampered)
        made: dict[str, RenderedCard] = {}
        for card in cards:
            page = pages[card.source.path]
            texts = {page.path: page.text, **self._records(card, proved)}
            texts |= {path: text for path, text in runs.outputs.items() if path == runs.paths.get(card.file)}
            records = site.files(card)
            texts |= records.texts
            run.changes += _since(self.keeper, compare({**texts, **records.badges}, records.leftovers()))
            report = proved.report(card, runs.by_card.get(card.file, ()), site.rows[card.file])
            full = {**report.full(), "index": records.index}
            report = replace(
                report,
                pages=((show_path(page.path), card.file),),
                outputs=tuple(show_path(path) for path in texts),
                folders=records.folders(show_path),
                full=partial(dict, full),
                across={**report.across, **{kind: card.file in files for kind, files in site.looked.items()}},
            )
            lasting = "--8<--" not in page.text and all(one.key for one in runs.by_card.get(card.file, ()))
            reasons = (why for (need, _), why in proved.proved.unevaluated.items() if need.model in _names(card))
            lasting = lasting and not any(why.startswith("evaluating failed") for why in reasons)
            lasting = lasting and not any(evidence.passing for evidence in proved.evidence_of(card))
            read = site.asked.get(card.file, set()) | set(card.imports) | _sources(card, proved)
            read |= set(proved.at_hand.files.get(card.file, ()))
            made[card.file] = RenderedCard(report, {_seen(path) for path in read}, site.includes(card), lasting)
        return made

    def _records(self, card: Card, proved: Audit) -> dict[Path, str]:
        """Return the records of evidence of a card's models, by their files."""
        from cardproof.evidence.records import file_name, text_of

        texts = {e.model: text_of(e, self.folders.evidence) for e in proved.evidence_of(card)}
        return {self.folders.evidence / file_name(model): text for model, text in texts.items() if text is not None}


def _finish(
    run: Run,
    settings: Settings,
    folders: Folders,
    known: Mapping[str, CardReport],
    reference: Callable[[Path], dict[Path, str]] | None,
    only: tuple[str, ...],
    site_files: SiteFiles | None,
) -> bool:
    """Add what is no card's to the changes of a run, and make the disk as rendered; return whether it is now."""
    from cardproof.render.output.files import asset_texts, compare, find_orphans, write

    assets = asset_texts(settings.path(settings.assets)) if settings.assets else {}
    run.changes += [change for change in compare(assets, ()) if change.differs]
    generated = settings.path(settings.reference) if reference and settings.reference else None
    if reference and generated:
        run.changes += compare(reference(generated), ())
    run.changes = list({change.path: change for change in run.changes}.values())
    kept = {path for card in known.values() for path in card.outputs}
    kept |= {show_path(path) for path in (*assets, *(change.path for change in run.changes))}
    kept |= {show_path(path) for path in (site_files.paths if site_files else ())}
    if not only:
        gone = find_orphans(_seen(folders.out), _seen(folders.evidence), folders.base, show_path, kept)
        gone += find_orphans(_seen(generated), None, folders.base, show_path, kept) if generated else []
        gone += files_of_gone_models(settings, known) if settings.catalog else []
        run.changes += compare({}, gone)
    badges = sum(number for card in known.values() for number in card.folders.values())
    removed = {show_path(change.path) for change in run.changes if change.status == "removed"}
    run.files = len({path for path in kept | removed if not path.endswith(".svg")}) + badges
    run.site_findings += _edited(run.changes, run.checked)
    if run.checked or any(change.status == "foreign" for change in run.changes):
        return False
    write(run.changes, folders.evidence)
    return True


def _folders(settings: Settings) -> Folders:
    """Return the folders of the site. Raises InputError where the pages would be written over their templates."""
    from cardproof.render.output.paths import site_folders

    folders = site_folders(settings)
    if not folders.root.is_dir():
        raise InputError(f"{show_path(folders.root)}: no such folder of templates")
    if any(folder.resolve().is_relative_to(folders.out.resolve()) for folder in (folders.root, folders.cards)):
        raise InputError(
            f"{show_path(folders.out)}: pages cannot be written where their templates are; name another --out"
        )
    return folders


def _templates(folders: Folders, memory: Memory) -> dict[str, Path]:
    """Return the templates of the site's pages, by their names in reports. Raises InputError where there are none."""
    from cardproof.render.output.paths import page_templates

    templates = page_templates(folders, show_path, memory.includes())
    if not templates:
        raise InputError(f"{show_path(folders.cards)}: no card template (*.md) is in it")
    return templates


def _prove(
    reading: Reading,
    settings: Settings,
    store: Path | None,
    workers: int | None,
    progress: Progress | None,
    orders: MeasureOptions,
    wanted: set[str] | None = None,
    totals: Mapping[str, Totals] | None = None,
) -> Audit:
    """Plan, recall, measure and judge what was read; only the models of the cards ``wanted`` are measured."""
    # imported here: a build that remembers all its cards needs none of it
    from cardproof.judge.audit import Audit
    from cardproof.judge.judge import judge
    from cardproof.measure.gather import GatheredEvidence, gather
    from cardproof.measure.speeds import load_speeds
    from cardproof.plan.local_files import look_at_hand
    from cardproof.plan.needs import plan
    from cardproof.read.cited_results import read_cited
    from cardproof.zoos.aliases import load_names

    cited = read_cited(settings.path(settings.cited)) if settings.cited else ()
    needs = plan(reading, load_names(settings))
    unique = list(dict.fromkeys(needs.values()))
    chosen = {need for (file, _), need in needs.items() if wanted is None or file in wanted}
    found = GatheredEvidence()
    if settings.zoo is not None:
        found = gather(unique, chosen, settings, store, workers, progress, orders)
    # a page must not depend on whose files of weights it was rendered beside: only audits look into their folder
    at_hand = look_at_hand(reading, settings if store is None else replace(settings, weights=None))
    verdicts = judge(reading, needs, found, settings, cited, totals, at_hand)
    speeds = load_speeds(settings.path(settings.speed)) if settings.speed else None
    return Audit(reading, needs, found, verdicts, at_hand, speeds)


def _names(card: Card) -> set[str]:
    """Return the names of a card's models."""
    return {model.name for model in card.models}


def _dry_run(
    reading: Reading, settings: Settings, store: Path | None, wanted: set[str], force: tuple[str, ...]
) -> DryRun:
    """Plan and recall as :func:`_prove` does, and stop there."""
    from cardproof.plan.dry_run import DryRun, forecast_of
    from cardproof.plan.force import force_of
    from cardproof.plan.needs import plan
    from cardproof.plan.recall import plan_recall
    from cardproof.zoos.aliases import load_names

    forced = force_of(force)
    forced.check(model.name for model in reading.models)
    if settings.zoo is None:
        return DryRun()
    needs = plan(reading, load_names(settings))
    chosen = {need for (file, _), need in needs.items() if file in wanted}
    outlook = plan_recall(dict.fromkeys(needs.values()), chosen, settings, store, forced)
    return forecast_of(outlook, chosen)


def _orders(force: tuple[str, ...], engine: str | None, keeper: EvidenceWriter | None) -> MeasureOptions:
    """Return how to measure."""
    from cardproof.measure.engines import LOCAL
    from cardproof.measure.gather import MeasureOptions
    from cardproof.plan.force import force_of

    orders = MeasureOptions(force_of(force), engine or LOCAL)
    return replace(orders, keep=keeper.keep) if keeper else orders


def _keeper(settings: Settings, folders: Folders) -> EvidenceWriter:
    """Return what stores evidence at once, in a site from which leftovers of killed builds are removed."""
    from cardproof.core.locks import sweep
    from cardproof.evidence.keeper import EvidenceWriter

    generated = [settings.path(settings.reference)] if settings.reference else []
    sweep(folders.evidence, [folders.out, folders.evidence, *generated])
    return EvidenceWriter(folders.evidence)


def _since(keeper: EvidenceWriter | None, changes: list[Change]) -> list[Change]:
    """Return changes as they are since before the run, of which evidence may be stored already."""
    from cardproof.render.output.files import change_since

    before = keeper.before if keeper else {}
    return [change_since(change, before[change.path]) if change.path in before else change for change in changes]


def _recalled(cards: Iterable[Card], known: Audit) -> int:
    """Return how many models of some cards have evidence that was not measured in this run."""
    needs = {known.needs[card.file, model.name] for card in cards for model in card.models}
    found = {need for need, evidence in known.proved.evidence.items() if evidence.key}
    return len(needs & found) - known.proved.measured


def _sources(card: Card, known: Audit) -> set[Path]:
    """Return the source files that a zoo of the user's own loaded for a card's models."""
    sources = (name for evidence in known.evidence_of(card) for name, _ in evidence.sources)
    return {Path(name) for name in sources if name.endswith(".py")}


def _seen(path: Path) -> Path:
    """Return a path relative to the working directory, where it lies below it."""
    return Path(show_path(path))


def _of_no_card(reading: Reading) -> list[Finding]:
    """Return what was found in files that could not be read as cards."""
    of_cards = {finding for card in reading.cards for finding in card.findings}
    return [finding for finding in reading.findings if finding not in of_cards]


def _chosen(templates: Mapping[str, Path], only: tuple[str, ...]) -> set[str]:
    """Return the names of the templates that ``only`` asks for. Raises InputError where it asks for others."""
    if not only:
        return set(templates)
    wanted = {name.removesuffix(".md") for name in only}
    chosen = {shown: path.stem for shown, path in templates.items() if path.stem in wanted}
    if unknown := wanted - set(chosen.values()):
        known = ", ".join(path.stem for path in templates.values())
        raise InputError(f"no card template is named {', '.join(sorted(unknown))}; there is {known}")
    return set(chosen)


def _edited(changes: list[Change], check: bool) -> Iterator[Finding]:
    what = "and is not what its template renders to" if check else "and was rendered anew"
    for change in changes:
        place = Place(show_path(change.path), 1, 1)
        if change.status == "edited":
            hint = "edit the template instead; the last line of the page names it"
            yield Finding(place, "hand-edit", "warning", f"this page was edited by hand {what}", hint)
        elif change.status == "foreign":
            hint = "move it away, or name another --out; nothing was written"
            yield Finding(
                place, "hand-edit", "error", "this file was not rendered, and a page would overwrite it", hint
            )


def _tampered(path: Path) -> Finding:
    message = (
        "this record is not as it was written: its seal does not fit; it was not used, and the model measured again"
    )
    return Finding(Place(show_path(path), 1, 1), "evidence", "warning", message, "do not edit evidence by hand")

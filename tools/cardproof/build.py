"""The driver: connects read, plan, recall, measure, judge and render, and does nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cardproof.cited import read_cited
from cardproof.evidence import dump, file_name, key_of, recall
from cardproof.judge import Verdicts, judge
from cardproof.plan import plan
from cardproof.read import InputError, Reading, read_cards, show_path
from cardproof.snippets.site import SiteRuns
from cardproof.words import Evidence, Finding, Need, Place
from cardproof.zoos import network_digests

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cardproof.render.pages import Folders, Site
    from cardproof.render.write import Change
    from cardproof.settings import Settings

Progress = Callable[[int, int, str], None]
"""Called with how many models were measured, how many will be, and the name of the last one."""


@dataclass(slots=True)
class Run:
    """What one run read, measured, judged and rendered."""

    reading: Reading
    """The cards that are reported."""
    verdicts: Verdicts
    proved: Verdicts
    """Verdicts of all cards that were read, for tables that show them."""
    needs: dict[tuple[str, str], Need]
    evidence: dict[Need, Evidence]
    digests: dict[str, str]
    """Of the network of each model, by its name."""
    measured: int
    recalled: int
    seconds: float
    changes: list[Change] = field(default_factory=list)
    """Files of the site and what happened to them; with ``checked``, what would happen."""
    page_models: dict[Path, tuple[str, ...]] = field(default_factory=dict)
    templates: dict[Path, Path] = field(default_factory=dict)
    snippets: SiteRuns = field(default_factory=SiteRuns)
    """What ran of the pages' snippets; empty where they are not run."""
    checked: bool = False
    fatal_is_input: bool = False
    """A file that cannot be read ends a render with 2; for an audit it is a finding like others."""

    def add(self, findings: Iterable[Finding]) -> None:
        """Report more findings than the judging found."""
        self.verdicts = replace(self.verdicts, findings=(*self.verdicts.findings, *findings))

    @property
    def findings(self) -> tuple[Finding, ...]:
        return self.verdicts.findings

    @property
    def exit(self) -> int:
        """Exit status by rule 11 of the design."""
        if self.fatal_is_input and any(finding.fatal for finding in self.findings):
            return 2
        stale = self.checked and any(change.differs for change in self.changes)
        return 1 if stale or any(finding.severity == "error" for finding in self.findings) else 0


def audit(
    paths: Iterable[Path], settings: Settings, *, workers: int | None = None, progress: Progress | None = None
) -> Run:
    """Read, measure and judge any cards; write nothing. Raises InputError where there is no file to read."""
    paths = tuple(paths)
    started = time.perf_counter()
    reading = read_cards(paths)
    if not reading.files:
        raise InputError("no Markdown or YAML file is in " + ", ".join(show_path(path) for path in paths))
    run = _prove(reading, settings, None, workers, progress)
    run.seconds = time.perf_counter() - started
    return run


def render(
    settings: Settings,
    *,
    only: tuple[str, ...] = (),
    check: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
    reference: Callable[[Path], dict[Path, str]] | None = None,
) -> Run:
    """Do the whole flow for the site of the settings; with ``check``, write nothing and compare instead.

    ``reference`` makes the generated pages of the setting ``reference``. Nothing is written where a card cannot be
    read or a template cannot be rendered. Raises InputError where the templates are not there or ``only`` names none
    of them.
    """
    from cardproof.render.pages import Site
    from cardproof.render.templates import TemplatesError

    started = time.perf_counter()
    folders, templates = _templates(settings)
    chosen = _chosen(templates, only)
    reading = read_cards(templates, root=folders.bound)
    run = _prove(reading, settings, folders.evidence, workers, progress, {show_path(path) for path in chosen})
    run.checked, run.fatal_is_input = check, True
    if not any(finding.severity == "error" for finding in run.reading.findings):
        generated = settings.path(settings.reference) if reference and settings.reference and not only else None
        others = reference(generated) if reference and generated else {}
        try:
            site = Site(reading, run.proved, run.needs, run.evidence, folders, show_path)
            _run_snippets(run, site, settings, progress)
            _render(run, site, folders, chosen, others)
        except TemplatesError as trouble:
            run.add(trouble.findings)
        if not only and run.page_models:
            _remove(run, folders, generated)
        run.add(_edited(run.changes, check))
        if not check and not any(change.status == "foreign" for change in run.changes):
            _write(run)
    run.seconds = time.perf_counter() - started
    return run


def _templates(settings: Settings) -> tuple[Folders, list[Path]]:
    """Return the folders of the site and the templates of its pages.

    Raises InputError where there are none, and where the pages would be written over them.
    """
    from cardproof.render.pages import folders_of, page_templates

    folders = folders_of(settings)
    if not folders.root.is_dir():
        raise InputError(f"{show_path(folders.root)}: no such folder of templates")
    if any(folder.resolve().is_relative_to(folders.out.resolve()) for folder in (folders.root, folders.cards)):
        raise InputError(
            f"{show_path(folders.out)}: pages cannot be written where their templates are; name another --out"
        )
    templates = page_templates(folders, show_path)
    if not templates:
        raise InputError(f"{show_path(folders.cards)}: no card template (*.md) is in it")
    return folders, templates


def _render(
    run: Run,
    site: Site,
    folders: Folders,
    chosen: list[Path],
    others: dict[Path, str],
) -> None:
    """Render the pages of a run and compare them with the disk."""
    from cardproof.render.write import compare

    pages = site.render(chosen, run.snippets.by_card)
    wanted = {run.needs[card.file, model.name] for card in run.reading.cards for model in card.models}
    found = {need: run.evidence[need] for need in run.needs.values() if need in wanted and need in run.evidence}
    records = {folders.evidence / file_name(n.model): dump(record) for n, record in found.items() if not record.error}
    run.page_models = {page.path: page.models for page in pages}
    run.templates = {page.path: page.template for page in pages}
    texts = {page.path: page.text for page in pages}
    run.changes = compare(texts | records | run.snippets.outputs | others, ())


def _run_snippets(run: Run, site: Site, settings: Settings, progress: Progress | None) -> None:
    """Run the snippets of the cards that are reported, and report what failed."""
    if not settings.snippets.run:
        return
    from cardproof.snippets.results import findings_of
    from cardproof.snippets.site import prove_site

    run.snippets = prove_site(site, run.reading.cards, settings, run.digests, progress)
    run.add(finding for runs in run.snippets.by_card.values() for one in runs for finding in findings_of(one))
    run.add(_tampered(path) for path in run.snippets.tampered)


def _remove(run: Run, folders: Folders, generated: Path | None) -> None:
    """Add to the changes what has to go: pages whose template is gone, and evidence without a model."""
    from cardproof.render.write import compare, orphans

    kept = {change.path for change in run.changes}
    gone = orphans(folders.out, folders.evidence, folders.base)
    gone += orphans(generated, None, folders.base) if generated else []
    run.changes += compare({}, [path for path in gone if path not in kept])


def _write(run: Run) -> None:
    from cardproof.render.write import write

    write(run.changes)


def _prove(
    reading: Reading,
    settings: Settings,
    store: Path | None,
    workers: int | None,
    progress: Progress | None,
    wanted: set[str] | None = None,
) -> Run:
    """Plan, recall, measure and judge what was read; only the cards ``wanted`` are measured and reported."""
    cited = read_cited(settings.path(settings.cited)) if settings.cited else ()
    needs = plan(reading)
    evidence: dict[Need, Evidence] = {}
    digests: dict[str, str] = {}
    missing: list[Need] = []
    tampered: list[Path] = []
    if settings.zoo is not None:
        unique = list(dict.fromkeys(needs.values()))
        digests = network_digests(settings.zoo, {need.model for need in unique})
        keys = {need: key_of(need, settings.zoo, digests[need.model]) for need in unique}
        if store:
            evidence, tampered = recall(unique, keys, store)
        chosen = {need for (file, _), need in needs.items() if wanted is None or file in wanted}
        missing = [need for need in unique if need in chosen and need not in evidence]
        if missing:
            evidence |= _measure(missing, settings.zoo, keys, workers, progress)
    proved = judge(reading, needs, evidence, settings, cited)
    shown = reading if wanted is None else reading.only(wanted)
    others = {card.file for card in reading.cards} - {card.file for card in shown.cards}
    recalled = len({needs[card.file, m.name] for card in shown.cards for m in card.models} & set(evidence)) - len(
        missing
    )
    run = Run(shown, proved.without(others), proved, needs, evidence, digests, len(missing), recalled, 0.0)
    run.add(_tampered(path) for path in tampered)
    return run


def _measure(
    missing: list[Need], zoo: str, keys: dict[Need, str], workers: int | None, progress: Progress | None
) -> dict[Need, Evidence]:
    from cardproof.engine import measure  # it starts processes, and its import costs a warm build 40 ms

    evidence: dict[Need, Evidence] = {}
    for need, found in measure(missing, zoo, keys, workers):
        evidence[need] = found
        if progress:
            progress(len(evidence), len(missing), need.model)
    return evidence


def _chosen(templates: list[Path], only: tuple[str, ...]) -> list[Path]:
    if not only:
        return templates
    wanted = {name.removesuffix(".md") for name in only}
    chosen = [path for path in templates if path.stem in wanted]
    if unknown := wanted - {path.stem for path in chosen}:
        known = ", ".join(path.stem for path in templates)
        raise InputError(f"no card template is named {', '.join(sorted(unknown))}; there is {known}")
    return chosen


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

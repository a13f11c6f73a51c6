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
from cardproof.words import Evidence, Finding, Need, Place
from cardproof.zoos import network_digests

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cardproof.render.pages import Folders
    from cardproof.render.write import Change
    from cardproof.settings import Settings

Progress = Callable[[int, int, str], None]
"""Called with how many models were measured, how many will be, and the name of the last one."""


@dataclass(slots=True)
class Run:
    """What one run read, measured, judged and rendered."""

    reading: Reading
    verdicts: Verdicts
    needs: dict[tuple[str, str], Need]
    evidence: dict[Need, Evidence]
    measured: int
    recalled: int
    seconds: float
    changes: list[Change] = field(default_factory=list)
    """Files of the site and what happened to them; with ``checked``, what would happen."""
    page_models: dict[Path, tuple[str, ...]] = field(default_factory=dict)
    templates: dict[Path, Path] = field(default_factory=dict)
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
    """Read, measure and judge any cards; write nothing."""
    started = time.perf_counter()
    run = _prove(read_cards(paths), settings, None, workers, progress)
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
    started = time.perf_counter()
    folders, templates = _templates(settings)
    reading = read_cards(_chosen(templates, only), root=_common(folders.cards, settings.base))
    run = _prove(reading, settings, folders.evidence, workers, progress)
    run.checked, run.fatal_is_input = check, True
    if not any(finding.severity == "error" for finding in reading.findings):
        generated = settings.path(settings.reference) if reference and settings.reference and not only else None
        pages = reference(generated) if reference and generated else {}
        _render(run, folders, pages, whole=not only, generated=generated)
        if not check:
            _write(run)
    run.seconds = time.perf_counter() - started
    return run


def _templates(settings: Settings) -> tuple[Folders, list[Path]]:
    """Return the folders of the site and the templates of its pages. Raises InputError where there are none."""
    from cardproof.render.pages import folders_of, page_templates

    root = settings.path(settings.templates)
    if not root.is_dir():
        raise InputError(f"{show_path(root)}: no such folder of templates")
    out, store = settings.path(settings.out), settings.path(settings.evidence)
    folders = folders_of(root, out, store, settings.base, settings.path(settings.includes))
    return folders, page_templates(folders, show_path)


def _render(run: Run, folders: Folders, others: dict[Path, str], *, whole: bool, generated: Path | None) -> None:
    """Render the pages of a run and compare them with the disk; a template's trouble becomes findings."""
    from cardproof.render.pages import render_pages
    from cardproof.render.templates import TemplatesError
    from cardproof.render.write import compare

    try:
        pages = render_pages(run.reading, run.verdicts, run.needs, run.evidence, folders, show_path)
    except TemplatesError as trouble:
        run.add(trouble.findings)
        return
    records = {
        folders.evidence / file_name(need.model): dump(found) for need, found in run.evidence.items() if not found.error
    }
    outputs = {page.path: page.text for page in pages} | records | others
    run.page_models = {page.path: page.models for page in pages}
    run.templates = {page.path: page.template for page in pages}
    folders_of_pages = [folders.out, *([generated] if generated else [])]
    run.changes = compare(outputs, _gone(outputs, folders_of_pages, folders.evidence) if whole else ())
    run.add(_edited(run.changes, run.checked))


def _write(run: Run) -> None:
    from cardproof.render.write import write

    write(run.changes)


def _prove(
    reading: Reading, settings: Settings, store: Path | None, workers: int | None, progress: Progress | None
) -> Run:
    """Plan, recall, measure and judge what was read."""
    cited = read_cited(settings.path(settings.cited)) if settings.cited else ()
    needs = plan(reading)
    evidence: dict[Need, Evidence] = {}
    missing: list[Need] = []
    tampered: list[Path] = []
    if settings.zoo and needs:
        unique = list(dict.fromkeys(needs.values()))
        digests = network_digests(settings.zoo, {need.model for need in unique})
        keys = {need: key_of(need, settings.zoo, digests[need.model]) for need in unique}
        if store:
            evidence, tampered = recall(unique, keys, store)
        missing = [need for need in unique if need not in evidence]
        if missing:
            evidence |= _measure(missing, settings.zoo, keys, workers, progress)
    verdicts = judge(reading, needs, evidence, settings, cited)
    run = Run(reading, verdicts, needs, evidence, len(missing), len(evidence) - len(missing), 0.0)
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


def _common(cards: Path, base: Path) -> Path:
    """Return the folder below which an index may import: the site's, or the cards' own where they lie elsewhere."""
    return base if cards.resolve().is_relative_to(base.resolve()) else cards


def _gone(outputs: dict[Path, str], generated: list[Path], store: Path) -> list[Path]:
    """Return rendered pages without a template, and evidence without a model."""
    from cardproof.render.write import rendered_files

    pages = {path for folder in generated for path in rendered_files(folder)}
    records = {path for path in store.glob("*.json") if '"cardproof-evidence/' in path.read_text()}
    return sorted((pages | records) - set(outputs))


def _edited(changes: list[Change], check: bool) -> list[Finding]:
    what = "and is not what its template renders to" if check else "and was rendered anew"
    hint = "edit the template instead; the last line of the page names it"
    return [
        Finding(
            Place(show_path(c.path), 1, 1),
            "hand-edit",
            "warning",
            f"this page was edited by hand {what}",
            hint,
        )
        for c in changes
        if c.status == "edited"
    ]


def _tampered(path: Path) -> Finding:
    message = (
        "this record is not as it was written: its seal does not fit; it was not used, and the model measured again"
    )
    return Finding(Place(show_path(path), 1, 1), "evidence", "warning", message, "do not edit evidence by hand")

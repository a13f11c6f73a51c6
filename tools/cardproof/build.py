"""The driver: connects read, plan, recall, measure, judge and render, and does nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from cardproof.core.errors import InputError
from cardproof.core.paths import show_path
from cardproof.judge.card_report import duplicates
from cardproof.plan.options import DEFAULTS, MeasureOptions
from cardproof.read import Reading, read_cards
from cardproof.render.site_build import SiteBuild, read_site
from cardproof.report.finished_run import Run, provenance_of

if TYPE_CHECKING:
    from cardproof.core.settings import Settings
    from cardproof.judge.online import Links
    from cardproof.plan.dry_run import DryRun


def audit(
    paths: Iterable[Path],
    settings: Settings,
    options: MeasureOptions = DEFAULTS,
    *,
    reading: Reading | None = None,
    arguments: tuple[str, ...] | None = None,
    store: Path | None = None,
    online: Callable[[Reading], Links] | None = None,
) -> Run:
    """Read, measure and judge any cards; write nothing. Raises InputError if there is no file to read.

    ``options`` state what is measured again, where, and by how many processes. ``reading`` is judged instead of the
    files in ``paths``; ``arguments`` are then the command line for the report. Models on record in the folder ``store``
    are not measured again. ``online`` checks the addresses in the cards.
    """
    from cardproof.judge.audit import audit_cards  # a render without changed cards does not need it

    paths = tuple(paths)
    started = time.perf_counter()
    if reading is None:
        reading = read_cards(paths)
        if not reading.files:
            raise InputError("no Markdown, YAML or CSV file is in " + ", ".join(show_path(path) for path in paths))
    found = audit_cards(reading, settings, options, store=store)
    run = Run(measured=found.gathered.measured, evaluated=found.gathered.evaluated, audit=found, zoo=settings.zoo)
    run.recalled = len(found.gathered.recalled)
    run.unmeasured = found.gathered.unmeasured
    run.cards = [found.report(card) for card in reading.cards]
    run.site_findings = [*reading.unplaced, *duplicates(model for card in run.cards for model in card.defined)]
    if online:
        run.links = online(reading)
        run.site_findings += run.links.findings
    run.method = provenance_of(arguments or map(show_path, paths), settings, found)
    run.seconds = time.perf_counter() - started
    return run


def render(
    settings: Settings,
    options: MeasureOptions = DEFAULTS,
    *,
    only: tuple[str, ...] = (),
    check: bool = False,
    reference: Callable[[Path], dict[Path, str]] | None = None,
) -> Run:
    """Measure, judge and render the site of the settings; with ``check``, compare with its files and write nothing.

    ``options`` are those of :func:`audit`; ``reference`` returns the pages of the setting ``reference``. Cards that are
    unchanged since an earlier build are not rendered again, except by a check. If a card cannot be read or a template
    cannot be rendered, only evidence is written. Raises InputError if templates are missing or ``only`` does not match
    any.
    """
    started = time.perf_counter()
    site = SiteBuild(settings, options, only, check)
    site.run(reference)
    return Run(
        cards=site.cards,
        site_findings=site.findings,
        measured=site.measured,
        recalled=site.recalled,
        unmeasured=site.unmeasured,
        evaluated=site.evaluated,
        remembered=len(site.remembered),
        snippets_ran=site.snippets_ran,
        snippets_recalled=site.snippets_recalled,
        changes=site.changes,
        files=site.files,
        seconds=time.perf_counter() - started,
        checked=check,
        fatal_is_input=True,
    )


def dry_run_of_render(settings: Settings, *, only: tuple[str, ...] = (), force: tuple[str, ...] = ()) -> DryRun:
    """Return what a render would measure and recall; nothing is written. Raises as :func:`render` does."""
    from cardproof.plan.dry_run import dry_run

    reading, chosen = read_site(settings, only)
    return dry_run(reading, settings, settings.path(settings.evidence), chosen, force)

"""``cardproof init``: a new site for the models of a zoo."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from msgspec import Struct
from msgspec.structs import replace

from cardproof.build import render
from cardproof.commands.options import ENGINE, JOBS, JSON, QUIET, ZOO_HELP, complete_zoo, epilog
from cardproof.commands.output import Output, progress_bar
from cardproof.commands.render import program_reference
from cardproof.commands.scaffold.site import CITED, COMMON_FILES, site_texts
from cardproof.core.clock import now
from cardproof.core.errors import InputError
from cardproof.core.files import show_path, site_lock
from cardproof.core.journal import finish_interrupted, replace_files
from cardproof.core.json_text import strict_json
from cardproof.core.measurements import Evidence
from cardproof.core.settings import Settings, load_settings
from cardproof.core.terminal import printable, write_data
from cardproof.core.types import Finding, Need
from cardproof.measure.engines import check_engine
from cardproof.plan.options import LOCAL, MeasureOptions
from cardproof.read.claims import file_of_link
from cardproof.zoos import local_zoo

if TYPE_CHECKING:
    from cardproof.zoos.published import ModelList, Published


@click.command(
    "init",
    epilog=epilog(
        "cardproof init --zoo timm 'resnet*' --out site",
        "cardproof init --zoo mynet.py:Zoo",
        "cardproof init --zoo torchvision --limit 20 --dry-run",
    ),
)
@click.argument("patterns", metavar="[PATTERN]...", nargs=-1)
@click.option("--zoo", metavar="ZOO", required=True, shell_complete=complete_zoo, help=ZOO_HELP)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Folder of the site; by default the working directory.",
)
@click.option("--site-name", metavar="TEXT", help="Title of the site.")
@click.option("--limit", type=click.IntRange(min=1), help="Maximum number of models.")
@click.option("--snippets/--no-snippets", default=True, help="Run the code of the pages; this is the default.")
@JOBS
@ENGINE
@click.option("--dry-run", is_flag=True, help="List the models; measure and write nothing.")
@click.option("--force", is_flag=True, help="Overwrite existing files.")
@JSON
@QUIET
def init_command(
    patterns: tuple[str, ...],
    zoo: str,
    out: Path,
    site_name: str | None,
    limit: int | None,
    snippets: bool,
    jobs: int | None,
    engine: str | None,
    dry_run: bool,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Create a site for the models of a zoo.

    It has settings, pages, and a card with measured values for each model. PATTERN is a name or a shell pattern, such
    as 'resnet*'; by default all models are included. The site is then rendered, and 'mkdocs build' builds it.
    """
    check_engine(engine or LOCAL)
    site = NewSite(local_zoo(zoo) or zoo, patterns, out, site_name, limit, force)
    found = _find_models(site, engine)
    if dry_run:
        return _print_models(found, as_json)
    options = MeasureOptions(engine=engine or LOCAL, jobs=jobs)
    with progress_bar(as_json or quiet) as progress:
        created = _create_site(site, found, replace(options, progress=progress))
    if not quiet:
        models = f"{created.models} model{'' if created.models == 1 else 's'} of {found.source}"
        click.echo(f"{models}: {len(created.files)} files written into {show_path(out)}", err=True)
    settings = load_settings(out / "mkdocs.yml")
    settings = replace(settings, snippets=replace(settings.snippets, run=snippets))
    with progress_bar(as_json or quiet) as progress:
        run = render(settings, replace(options, progress=progress), reference=program_reference)
    run.site_findings += created.findings
    if as_json:
        from cardproof.report.terminal import json_of

        data = {"created": [show_path(path) for path in created.files], **json.loads(json_of(run))}
        write_data(f"{strict_json(data, indent=2)}\n")
        return run.exit
    status = Output(quiet=quiet).report(run)
    if not quiet and not status:
        here = "" if out == Path() else f" -f {show_path(out / 'mkdocs.yml')}"
        click.echo(f"Next: mkdocs build --strict{here}", err=True)
    return status


def _print_models(found: ModelList, as_json: bool) -> int:
    names = [published.model for published in found.models]
    if as_json:
        write_data(f"{strict_json({'source': found.source, 'models': names}, indent=2)}\n")
        return 0
    for name in names:
        click.echo(printable(name))
    click.echo(f"{len(names)} models of {found.source}; nothing was measured or written", err=True)
    return 0


class NewSite(Struct, frozen=True):
    """What the command line asks for."""

    zoo: str
    patterns: tuple[str, ...]
    folder: Path
    name: str | None = None
    """Of the site; made from the zoo's if it is None."""
    limit: int | None = None
    force: bool = False


class CreatedSite(Struct, frozen=True):
    """The files of a new site, and its problems."""

    files: tuple[Path, ...]
    models: int
    findings: tuple[Finding, ...]
    """Models that could not be measured, and have no card."""


def _find_models(site: NewSite, engine: str | None) -> ModelList:
    """Return the models of the new site. Raises InputError if there are none, or if its files exist already."""
    from cardproof.measure.list_models import list_models

    finish_interrupted(site.folder)
    _check_overwrite(site, [*COMMON_FILES, CITED])
    found = list_models(site.zoo, site.patterns, engine=engine)
    return replace(found, models=found.models[: site.limit])


def _create_site(site: NewSite, found: ModelList, options: MeasureOptions) -> CreatedSite:
    """Measure the models and write the files of the site, all or none; raises as :func:`_find_models` does."""
    measured, findings = _measure(site.zoo, found.models, options)
    if not measured:
        raise InputError(f"none of {len(found.models)} models could be measured; {findings[0].message}")
    name = site.name or f"Models of {found.title}"
    texts = site_texts(site.zoo, found, measured, name, now()[:10], site.folder)
    _check_overwrite(site, texts)
    paths = {site.folder / path: text for path, text in texts.items()}
    with site_lock(site.folder / "docs" / "evidence"):
        replace_files(paths, roots=[site.folder])
    return CreatedSite(tuple(paths), len(measured), findings)


def _measure(
    zoo: str, models: Sequence[Published], options: MeasureOptions
) -> tuple[list[tuple[Published, Evidence]], tuple[Finding, ...]]:
    """Measure models, each at the size that the zoo states for it."""
    from cardproof.measure.gather import gather

    needs = {published: Need(published.model, file_of_link(published.weights), None, ()) for published in models}
    gathered = gather(list(needs.values()), set(needs.values()), Settings(zoo=zoo), None, options)
    measured, findings = [], []
    for published, need in needs.items():
        evidence = gathered.evidence[need]
        if evidence.counts:
            measured.append((published, evidence))
        else:
            message = f"{published.model} was not measured, and has no card: {evidence.missing}"
            findings.append(Finding(published.place, "unknown-model", "error", message))
    return measured, tuple(findings)


def _check_overwrite(site: NewSite, files: Sequence[str] | dict[str, str]) -> None:
    """Raise InputError if files exist already and ``force`` is not set."""
    existing = [show_path(site.folder / path) for path in files if (site.folder / path).exists()]
    if existing and not site.force:
        more = f" and {len(existing) - 3} more" if len(existing) > 3 else ""
        raise InputError(f"files exist already: {', '.join(existing[:3])}{more}; --force overwrites them")

"""``cardproof init``: a new site for the models of a zoo."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import click
from msgspec.structs import replace

from cardproof.build import render
from cardproof.commands.options import ENGINE, JOBS, JSON, QUIET, ZOO_HELP, PathType, complete_zoo, epilog
from cardproof.commands.output import progress_bar
from cardproof.commands.render import program_reference
from cardproof.commands.scaffold.site import CITED, COMMON_FILES, site_of_cards, site_of_models
from cardproof.core.errors import InputError
from cardproof.core.journal import finish_interrupted, replace_files, site_lock
from cardproof.core.json import strict_json
from cardproof.core.measurements import Evidence
from cardproof.core.paths import show_path
from cardproof.core.settings import Settings, load_settings
from cardproof.core.terminal import printable, write_data
from cardproof.core.types import Finding, Need
from cardproof.measure.engines import check_engine
from cardproof.measure.gather import gather
from cardproof.measure.list_models import list_models
from cardproof.plan.options import MeasureOptions
from cardproof.read.models import file_of_link
from cardproof.report.terminal import json_of, plural, print_report, short_list
from cardproof.zoos import local_zoo
from cardproof.zoos.metadata import Published


@click.command(
    "init",
    epilog=epilog(
        "cardproof init --zoo timm 'resnet*' --out site",
        "cardproof init --zoo mynet.py:Zoo",
        "cardproof init --zoo timm --from cards --out site",
        "cardproof init --zoo torchvision --limit 20 --dry-run",
    ),
)
@click.argument("patterns", metavar="[PATTERN]...", nargs=-1)
@click.option("--zoo", metavar="ZOO", required=True, shell_complete=complete_zoo, help=ZOO_HELP)
@click.option(
    "--from",
    "cards",
    metavar="FOLDER",
    type=PathType(path_type=Path, exists=True, file_okay=False),
    help="Make a site of the cards in this folder, which are copied, in place of new cards.",
)
@click.option(
    "--out",
    type=PathType(path_type=Path, file_okay=False),
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
    cards: Path | None,
    out: Path,
    site_name: str | None,
    limit: int | None,
    snippets: bool,
    jobs: int | None,
    engine: str,
    dry_run: bool,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Create a site for the models of a zoo.

    It has settings, pages, and a card with measured values for each model. PATTERN is a name or a shell pattern, such
    as 'resnet*'; by default all models are included. The site is then rendered, and 'mkdocs build' builds it.

    With --from, the site has the cards of a folder: Markdown files with a model index, or with the header of a Hub
    card. They are copied as they are.
    """
    check_engine(engine)
    zoo = local_zoo(zoo) or zoo
    options = MeasureOptions(engine=engine, jobs=jobs)
    if cards and (patterns or limit):
        raise click.UsageError("--from takes all cards of a folder: leave out PATTERN and --limit")
    finish_interrupted(out)
    findings: list[Finding] = []  # models that could not be measured, and have no card
    if cards:
        new = site_of_cards(zoo, cards, out, site_name)
    else:
        _check_overwrite(out, [*COMMON_FILES, CITED], force)
        found = list_models(zoo, patterns, engine=engine)
        found = replace(found, models=found.models[:limit])
        if dry_run:
            return _print_names(found.source, [published.model for published in found.models], as_json)
        with progress_bar(as_json or quiet) as progress:
            measured, findings = _measure(zoo, found.models, replace(options, progress=progress))
        new = site_of_models(zoo, found, measured, out, site_name)
    _check_overwrite(out, new.texts, force)
    if dry_run:
        return _print_names(new.source, new.models, as_json)
    paths = {out / path: text for path, text in new.texts.items()}
    with site_lock(out / "docs" / "evidence"):
        replace_files(paths, roots=[out])
    if not quiet:
        models = f"{plural(len(new.models), 'model')} of {new.source}"
        click.echo(f"{models}: {len(paths)} files written into {show_path(out)}", err=True)
        if new.note:
            click.echo(printable(new.note), err=True)
    settings = load_settings(out / "mkdocs.yml")
    settings = replace(settings, snippets=replace(settings.snippets, run=snippets))
    with progress_bar(as_json or quiet) as progress:
        run = render(settings, replace(options, progress=progress), reference=program_reference)
    run.site_findings += findings
    if as_json:
        data = {"created": [show_path(path) for path in paths], **json.loads(json_of(run))}
        write_data(f"{strict_json(data, indent=2)}\n")
        return run.exit
    print_report(run, quiet=quiet)
    if not quiet and not run.exit:
        here = "" if out == Path() else f" -f {show_path(out / 'mkdocs.yml')}"
        click.echo(f"Next: mkdocs build --strict{here}", err=True)
    return run.exit


def _print_names(source: str, names: Sequence[str], as_json: bool) -> int:
    if as_json:
        write_data(f"{strict_json({'source': source, 'models': list(names)}, indent=2)}\n")
        return 0
    for name in names:
        click.echo(printable(name))
    click.echo(f"{len(names)} models of {source}; nothing was measured or written", err=True)
    return 0


def _measure(
    zoo: str, models: Sequence[Published], options: MeasureOptions
) -> tuple[list[tuple[Published, Evidence]], list[Finding]]:
    """Measure models, each at the size that the zoo states for it. Raises InputError if none can be measured."""
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
    if not measured:
        raise InputError(f"none of {len(models)} models could be measured; {findings[0].message}")
    return measured, findings


def _check_overwrite(folder: Path, files: Iterable[str], force: bool) -> None:
    existing = [show_path(folder / path) for path in files if (folder / path).exists()]
    if existing and not force:
        raise InputError(f"files exist already: {short_list(existing)}; --force overwrites them")

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
from cardproof.commands.scaffold.cards import CopiedCards, copy_cards, site_of_cards
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
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Make a site of the cards in this folder, which are copied, in place of new cards.",
)
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
    cards: Path | None,
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

    With --from, the site has the cards of a folder: Markdown files with a model index, or with the header of a Hub
    card. They are copied as they are.
    """
    check_engine(engine or LOCAL)
    site = NewSite(local_zoo(zoo) or zoo, patterns, out, site_name, limit, force)
    options = MeasureOptions(engine=engine or LOCAL, jobs=jobs)
    if cards and (patterns or limit):
        raise click.UsageError("--from takes all cards of a folder: leave out PATTERN and --limit")
    if cards:
        copied = _find_cards(site, cards)
        if dry_run:
            return _print_names(show_path(cards), copied.models, as_json)
        created = _copy_cards(site, copied)
        source = show_path(cards)
    else:
        found = _find_models(site, engine)
        if dry_run:
            return _print_names(found.source, [published.model for published in found.models], as_json)
        with progress_bar(as_json or quiet) as progress:
            created = _create_site(site, found, replace(options, progress=progress))
        source = found.source
    if not quiet:
        models = f"{created.models} model{'' if created.models == 1 else 's'} of {source}"
        click.echo(f"{models}: {len(created.files)} files written into {show_path(out)}", err=True)
        for note in created.notes:
            click.echo(printable(note), err=True)
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


def _print_names(source: str, names: Sequence[str], as_json: bool) -> int:
    if as_json:
        write_data(f"{strict_json({'source': source, 'models': list(names)}, indent=2)}\n")
        return 0
    for name in names:
        click.echo(printable(name))
    click.echo(f"{len(names)} models of {source}; nothing was measured or written", err=True)
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
    findings: tuple[Finding, ...] = ()
    """Models that could not be measured, and have no card."""
    notes: tuple[str, ...] = ()
    """What the user should know of the cards that existed before."""


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
    others = _existing_cards(site)
    texts = site_texts(site.zoo, found, measured, name, now()[:10], site.folder, others)
    _check_overwrite(site, texts)
    kept = [card for card in others if f"templates/models/{card}" not in texts]
    note = f"the navigation has the cards that existed before, too: {', '.join(kept[:3])}{_more(kept)}"
    return CreatedSite(_write(site, texts), len(measured), findings, (note,) if kept else ())


def _find_cards(site: NewSite, folder: Path) -> CopiedCards:
    """Return the cards of the new site. Raises InputError if there are none, or if its files exist already."""
    finish_interrupted(site.folder)
    copied = copy_cards(folder)
    _check_overwrite(site, site_of_cards(site.zoo, copied, "", site.folder))
    return copied


def _copy_cards(site: NewSite, copied: CopiedCards) -> CreatedSite:
    """Write the files of a site of existing cards, all or none."""
    texts = site_of_cards(site.zoo, copied, site.name or "Model cards", site.folder)
    raw = copied.raw
    note = f"the braces of {', '.join(raw[:3])}{_more(raw)} are kept as text, in a raw block: they are not run as Jinja"
    return CreatedSite(_write(site, texts), len(copied.models), notes=(note,) if raw else ())


def _write(site: NewSite, texts: dict[str, str]) -> tuple[Path, ...]:
    paths = {site.folder / path: text for path, text in texts.items()}
    with site_lock(site.folder / "docs" / "evidence"):
        replace_files(paths, roots=[site.folder])
    return tuple(paths)


def _more(names: Sequence[str]) -> str:
    return f" and {len(names) - 3} more" if len(names) > 3 else ""


def _existing_cards(site: NewSite) -> list[str]:
    """Return the templates of pages that the folder has already, relative to their folder."""
    from cardproof.render.output.paths import page_templates, site_folders

    folders = site_folders(replace(Settings(), base=site.folder))
    if folders.cards == folders.root:  # templates beside includes: they are not in the folder of the new cards
        return []
    own = {Path(path).name for path in COMMON_FILES}
    names = [path.relative_to(folders.cards).as_posix() for path in page_templates(folders, {}).values()]
    return [name for name in names if name not in own]


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
        raise InputError(f"files exist already: {', '.join(existing[:3])}{_more(existing)}; --force overwrites them")

"""``cardproof init``: a new site for the models of a zoo."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from msgspec.structs import replace

from cardproof.build import render
from cardproof.commands.options import EPILOG, JOBS, JSON, QUIET, complete_zoo
from cardproof.commands.output import Output, progress_bar
from cardproof.commands.render import reference_of_program
from cardproof.core.files import show_path
from cardproof.core.settings import load_settings
from cardproof.measure.engines import check_engine
from cardproof.plan.options import LOCAL, MeasureOptions

if TYPE_CHECKING:
    from cardproof.report.run import Run
    from cardproof.zoos.published import ModelList


@click.command("init", epilog=EPILOG)
@click.argument("patterns", metavar="[PATTERN]...", nargs=-1)
@click.option(
    "--zoo",
    metavar="ZOO",
    required=True,
    shell_complete=complete_zoo,
    help="Where networks come from; see audit.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Folder of the site; the working directory unless given.",
)
@click.option("--site-name", metavar="TEXT", help="Title of the site.")
@click.option("--limit", type=click.IntRange(min=1), help="Take no more models than this.")
@click.option("--snippets/--no-snippets", default=True, help="Run the pages' snippets; they run unless told not to.")
@JOBS
@click.option("--engine", metavar="ENGINE", help="Where networks are measured; see audit.")
@click.option("--dry-run", is_flag=True, help="Say which models there are; measure and write nothing.")
@click.option("--force", is_flag=True, help="Write over files that are there.")
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
    """Make a site for the models of a zoo: settings, pages, and cards with values that are measured now.

    PATTERN is a name or a pattern of shells, such as 'resnet*'; all models are taken without one. Then the site is
    rendered, and 'mkdocs build' builds it.
    """
    from cardproof.commands.scaffold.new_site import Wish, chosen_models, new_site

    check_engine(engine or LOCAL)
    wish = Wish(zoo, patterns, out, site_name, limit, force)
    found = chosen_models(wish, engine)
    if dry_run:
        return _print_models(found, as_json)
    options = MeasureOptions(engine=engine or LOCAL, jobs=jobs)
    with progress_bar(as_json or quiet) as progress:
        made = new_site(wish, found, replace(options, progress=progress))
    if not quiet:
        words = f"{made.models} model{'' if made.models == 1 else 's'} of {found.source}"
        click.echo(f"{words}: {len(made.files)} files written into {show_path(out)}", err=True)
    settings = load_settings(out / "mkdocs.yml")
    settings = replace(settings, snippets=replace(settings.snippets, run=snippets))
    with progress_bar(as_json or quiet) as progress:
        run = render(settings, replace(options, progress=progress), reference=reference_of_program)
    run.site_findings += made.findings
    if as_json:
        return _print_made(run, made.files)
    status = Output(quiet=quiet).report(run)
    if not quiet and not status:
        here = "" if out == Path() else f" -f {show_path(out / 'mkdocs.yml')}"
        click.echo(f"Next: mkdocs build --strict{here}", err=True)
    return status


def _print_made(run: Run, files: tuple[Path, ...]) -> int:
    """Print a run as JSON, with the files that were made before it; return the exit status."""
    from cardproof.report.terminal import json_of

    data = {"created": [show_path(path) for path in files], **json.loads(json_of(run))}
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))
    return run.exit


def _print_models(found: ModelList, as_json: bool) -> int:
    """Print the models of a list; return the exit status, which is 0."""
    names = [published.model for published in found.models]
    if as_json:
        click.echo(json.dumps({"source": found.source, "models": names}, indent=2, ensure_ascii=False))
        return 0
    for name in names:
        click.echo(name)
    click.echo(f"{len(names)} models of {found.source}; nothing was measured or written", err=True)
    return 0

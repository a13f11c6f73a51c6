"""``cardproof render``: measure, judge and render the cards of a site."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import click
from msgspec.structs import replace

from cardproof.build import dry_run_of_render, render
from cardproof.commands.options import PATH, RunOptions, default_config, epilog, parse_devices, run_options
from cardproof.commands.output import progress_bar, report_output
from cardproof.core.paths import show_path
from cardproof.core.settings import Settings
from cardproof.measure.engines import check_engine


@click.command(
    "render",
    epilog=epilog(
        "cardproof render",
        "cardproof render --check",
        "cardproof render --only resnet --watch",
        "cardproof render --dry-run",
    ),
)
@click.option("--only", metavar="NAME", multiple=True, help="Render only this card. May be repeated.")
@click.option("--check", is_flag=True, help="Write nothing; print a diff and fail if a page is not up to date.")
@click.option("--watch", "watching", is_flag=True, help="Render again after every edit, until Ctrl-C.")
@click.option("--templates", type=PATH, help="Folder of card templates.")
@click.option(
    "--out",
    type=PATH,
    help="Folder of the rendered pages; evidence goes to evidence/ in it, and the catalog to catalog/.",
)
@click.option(
    "--snippets/--no-snippets", default=None, help="Run the code of the pages; by default as mkdocs.yml says."
)
@click.option("--all-models", is_flag=True, help="Run the code of a page for every model of its card.")
@click.option("--device", "devices", multiple=True, help="Run the code on cpu, cuda or cpu,cuda.")
@run_options
def render_command(
    options: RunOptions,
    only: tuple[str, ...],
    check: bool,
    watching: bool,
    templates: Path | None,
    out: Path | None,
    snippets: bool | None,
    all_models: bool,
    devices: tuple[str, ...],
) -> int:
    """Build the model pages, and check what they claim.

    Networks that changed are measured; pages and evidence are written, all or none.
    """

    def load() -> Settings:
        settings = options.settings()
        if templates is not None:
            settings = replace(settings, templates=Path(os.path.relpath(templates, settings.base)))
        if out is not None:
            folder = Path(os.path.relpath(out, settings.base))  # as a setting has it, so that records have it too
            catalog = folder / "catalog" if settings.catalog else None
            settings = replace(settings, out=folder, evidence=folder / "evidence", catalog=catalog)
            settings = replace(settings, reference=None, assets=None)
        wanted = settings.snippets
        wanted = replace(wanted, run=wanted.run if snippets is None else snippets)
        wanted = replace(wanted, models="all") if all_models else wanted
        wanted = replace(wanted, devices=parse_devices(devices)) if devices else wanted
        return replace(settings, snippets=wanted)

    output = report_output(options)
    if watching:
        if check or output.kind != "text" or options.dry_run or options.force:
            raise click.UsageError("--watch goes with none of --check, --dry-run, --force, --json and --format")
        from cardproof.plugins.watch import watch

        again = [sys.executable, *(argument for argument in sys.orig_argv[1:] if argument != "--watch")]
        say = (lambda _: None) if options.quiet else lambda text: click.echo(text, err=True)
        return watch(again, load, options.config or default_config(), say)
    settings = load()
    check_engine(options.engine)
    if options.dry_run:
        return output.dry_run(dry_run_of_render(settings, only=only, force=options.force))
    with progress_bar(output.silent) as progress:
        run = render(settings, options.measure_options(progress), only=only, check=check, reference=program_reference)
    templates = settings.path(settings.templates) / "models"
    site = ["--config", show_path(options.config)] if options.config else []
    zoo = ["--zoo", options.zoo] if options.zoo else []
    return output.report(run, settings, shlex.join(["cardproof", "audit", show_path(templates), *site, *zoo, "--fix"]))


def program_reference(folder: Path) -> dict[Path, str]:
    """Return the pages of the reference for this command line."""
    from cardproof.commands.cli import cardproof
    from cardproof.render.generated_reference import reference_pages

    return reference_pages(folder, cardproof)

"""``cardproof audit``: the flow without rendering, on any cards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cardproof.build import audit, dry_run_of_audit
from cardproof.commands.options import EPILOG, PATH, RunOptions, run_options
from cardproof.commands.output import apply_baseline_of, output_of, progress_bar
from cardproof.core.errors import InputError
from cardproof.core.files import show_path, write_report
from cardproof.measure.engines import check_engine
from cardproof.plan.options import LOCAL

if TYPE_CHECKING:
    from collections.abc import Callable

    from cardproof.core.settings import Settings
    from cardproof.judge.online import Links
    from cardproof.read import Reading
    from cardproof.report.run import Run


@click.command("audit", epilog=EPILOG)
@click.argument("paths", metavar="PATH...", nargs=-1, type=PATH)
@click.option(
    "--from-metadata",
    is_flag=True,
    help="Judge what the zoo's own metadata says, of all its weights or those that the patterns PATH name.",
)
@click.option("--report", "summary", type=PATH, help="Write what a report page needs as JSON.")
@click.option("--online", is_flag=True, help="Ask the addresses of the cards whether they are there.")
@click.option(
    "--private-host",
    "private_hosts",
    metavar="HOST",
    multiple=True,
    help="With --online: ask this host although its address is private. May be repeated.",
)
@click.option("--fix", is_flag=True, help="Write measured values in place of refuted ones, then audit again.")
@click.option("--fix-unsafe", is_flag=True, help="Make all fixes, those that somebody should look at too.")
@run_options
def audit_command(
    options: RunOptions,
    paths: tuple[Path, ...],
    from_metadata: bool,
    summary: Path | None,
    online: bool,
    private_hosts: tuple[str, ...],
    fix: bool,
    fix_unsafe: bool,
) -> int:
    """Judge any cards without rendering them: files, or folders with Markdown and YAML files.

    Nothing is written but the files of --write, that of --report, which a page shows with audit_report('FILE'), and
    what --fix asks for; what is reported then is what is left.
    """
    output = output_of(options)
    settings = options.settings()
    check_engine(options.engine or LOCAL)
    if from_metadata and (fix or fix_unsafe):
        raise click.UsageError("--from-metadata goes with neither --fix nor --fix-unsafe: an installed package stays")
    if not from_metadata and not paths:
        raise click.UsageError("Missing argument 'PATH...'.")
    reading, arguments = _metadata(settings, paths, options.engine) if from_metadata else (None, None)
    if options.dry_run:
        return output.dry_run(dry_run_of_audit(paths, settings, force=options.force, reading=reading))
    if private_hosts and not online:
        raise click.UsageError("--private-host needs --online")
    asking = _asking(private_hosts) if online else None
    with progress_bar(output.silent) as progress:
        measuring = options.measuring(progress)
        run = audit(paths, settings, measuring, reading=reading, arguments=arguments, online=asking)
        if (fix or fix_unsafe) and _fix(run, fix_unsafe):
            run = audit(paths, settings, measuring, online=asking)
    apply_baseline_of(options, run)
    if summary:
        _write_summary(run, summary)
    return output.report(run)


def _metadata(settings: Settings, patterns: tuple[Path, ...], engine: str | None) -> tuple[Reading, tuple[str, ...]]:
    """Return what a zoo's metadata says, and the arguments that ask for it. Raises InputError if it says nothing."""
    from cardproof.measure.list_models import list_models
    from cardproof.read.zoo_metadata import read_metadata

    if settings.zoo is None:
        raise InputError("--from-metadata needs a zoo: name it with --zoo")
    names = tuple(str(pattern) for pattern in patterns)
    return read_metadata(list_models(settings.zoo, names, entries=True, engine=engine)), ("--from-metadata", *names)


def _asking(private_hosts: tuple[str, ...]) -> Callable[[Reading], Links]:
    """Return what asks the addresses of cards, with its answers in the private cache."""
    from cardproof.judge.online import check_links

    return lambda reading: check_links(reading, frozenset(host.lower() for host in private_hosts))


def _fix(run: Run, unsafe: bool) -> int:
    """Make the fixes of a run's findings; say on the error stream what was made, and return in how many files."""
    from cardproof.commands.edit import EditError, fix_files

    try:
        made = fix_files(run.findings, unsafe=unsafe)
    except EditError as trouble:
        raise click.ClickException(str(trouble)) from trouble
    for path, fixes in made.items():
        click.echo(f"{show_path(path)}: {len(fixes)} {'fix was' if len(fixes) == 1 else 'fixes were'} made", err=True)
    return len(made)


def _write_summary(run: Run, path: Path) -> None:
    import json

    from cardproof.render.functions.audit_report import summarize, summary_text
    from cardproof.report.terminal import json_of

    write_report(path, summary_text(summarize(json.loads(json_of(run)))))

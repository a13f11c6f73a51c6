"""``cardproof audit``: check cards without building a site."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click
from msgspec.structs import replace

from cardproof.build import audit
from cardproof.commands.edit import fix_files
from cardproof.commands.options import PATH, RunOptions, default_config, epilog, run_options
from cardproof.commands.output import progress_bar, report_output
from cardproof.core.errors import InputError
from cardproof.core.journal import finish_interrupted
from cardproof.core.paths import show_path
from cardproof.core.settings import Settings
from cardproof.core.terminal import printable
from cardproof.measure.engines import check_engine
from cardproof.measure.list_models import list_models
from cardproof.plan.options import Force
from cardproof.read import Reading, read_cards
from cardproof.read.zoo_metadata import read_metadata
from cardproof.report.finished_run import Run
from cardproof.report.terminal import count_fixes


@click.command(
    "audit",
    epilog=epilog(
        "cardproof audit README.md --zoo timm",
        "cardproof audit README.md --zoo mynet.py:create --verbose",
        "cardproof audit cards/ --zoo torchvision --fix",
        "cardproof audit . --zoo timm --baseline known.json --format github",
    ),
)
@click.argument("paths", metavar="PATH...", nargs=-1, type=PATH)
@click.option(
    "--from-metadata",
    is_flag=True,
    help="Check the zoo's own metadata: all its weights, or those that match the patterns PATH.",
)
@click.option("--report", "summary", type=PATH, help="Write the data of an audit page as JSON.")
@click.option("--online", is_flag=True, help="Check that links work.")
@click.option(
    "--private-host",
    "private_hosts",
    metavar="HOST",
    multiple=True,
    help="With --online: also check this host, although its address is private. May be repeated.",
)
@click.option(
    "--online-budget",
    "budget",
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True),
    help="With --online: seconds for all links; the rest is not checked.  [default: 300]",
)
@click.option("--fix", is_flag=True, help="Write measured values in place of refuted ones, then audit again.")
@click.option("--fix-unsafe", is_flag=True, help="Also apply fixes that need review.")
@run_options
def audit_command(
    options: RunOptions,
    paths: tuple[Path, ...],
    from_metadata: bool,
    summary: Path | None,
    online: bool,
    private_hosts: tuple[str, ...],
    budget: float | None,
    fix: bool,
    fix_unsafe: bool,
) -> int:
    """Check cards without building a site.

    PATH is a file, or a folder with Markdown, YAML and CSV files. Measurements are kept in your cache, so that the next
    audit is quick. Cards are changed by --fix and --fix-unsafe only; the remaining findings are then reported. A page
    shows the file of --report with audit_report('FILE').
    """
    output = report_output(options)
    settings = options.settings()
    store = settings.path(settings.evidence) if options.config or default_config() else None
    check_engine(options.engine)
    if from_metadata and (fix or fix_unsafe):
        raise click.UsageError(
            "--from-metadata cannot be used with --fix or --fix-unsafe: an installed package is not edited"
        )
    if not from_metadata and not paths:
        raise click.UsageError("Missing argument 'PATH...'.")
    reading, arguments = _metadata(settings, paths, options.engine) if from_metadata else (None, None)
    if options.dry_run:
        from cardproof.plan.dry_run import dry_run

        reading = reading or read_cards(paths)
        every = {card.file for card in reading.cards}
        return output.dry_run(dry_run(reading, settings, store, every, options.force, remember=True))
    if not online and (private_hosts or budget):
        raise click.UsageError(f"{'--private-host' if private_hosts else '--online-budget'} needs --online")
    if fix or fix_unsafe:
        finish_interrupted(Path(), *(path if path.is_dir() else path.parent for path in paths))
    with progress_bar(output.silent) as progress:
        check = None
        if online:
            from cardproof.judge.online import BUDGET, check_links

            hosts = frozenset(host.lower() for host in private_hosts)
            check = partial(check_links, private_hosts=hosts, budget=budget or BUDGET, progress=progress)
        measuring = replace(options.measure_options(progress), remember=True)
        run = audit(paths, settings, measuring, reading=reading, arguments=arguments, store=store, online=check)
        if (fix or fix_unsafe) and _fix(run, fix_unsafe):
            measuring = replace(measuring, force=Force())  # what was measured again a moment ago is new
            run = audit(paths, settings, measuring, store=store, online=check)
    fixing = "" if from_metadata else "--fix"
    return output.report(run, settings, fixing, () if from_metadata else paths, summary)


def _metadata(settings: Settings, patterns: tuple[Path, ...], engine: str) -> tuple[Reading, tuple[str, ...]]:
    """Return the cards in a zoo's metadata, and the arguments that select them. Raises InputError if there are none."""
    if settings.zoo is None:
        raise InputError("--from-metadata needs a zoo: name it with --zoo")
    names = tuple(str(pattern) for pattern in patterns)
    return read_metadata(list_models(settings.zoo, names, entries=True, engine=engine)), ("--from-metadata", *names)


def _fix(run: Run, unsafe: bool) -> int:
    """Fix a run's findings, report that on standard error, and return the number of changed files."""
    safe, more = count_fixes(run.findings)
    if not safe and (not unsafe or not more):
        others = f"; {more} with --fix-unsafe, which needs a review" if more else ""
        why = f"nothing was fixed: no finding has a {'' if unsafe else 'safe '}fix{others}"
        click.echo(why if run.findings else "nothing to fix", err=True)
        return 0
    fixed = fix_files(run.findings, unsafe=unsafe)
    for path, fixes in fixed.items():
        click.echo(
            f"{printable(show_path(path))}: {len(fixes)} {'fix was' if len(fixes) == 1 else 'fixes were'} made",
            err=True,
        )
    return len(fixed)

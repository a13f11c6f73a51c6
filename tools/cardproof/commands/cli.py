"""The command line: ``cardproof render`` and ``cardproof audit``."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec.structs import replace

from cardproof import __version__
from cardproof.build import audit, dry_run_of_audit, dry_run_of_render, render
from cardproof.core.errors import InputError
from cardproof.core.field_names import normal_field
from cardproof.core.files import show_path
from cardproof.core.settings import Settings, dataset_named, load_settings, parse_tolerance
from cardproof.report.formats import FORMATS
from cardproof.report.run import Run
from cardproof.zoos import ZooError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cardproof.judge.online import Links
    from cardproof.measure.gather import Progress
    from cardproof.plan.dry_run import DryRun
    from cardproof.read import Reading
    from cardproof.zoos.published import ModelList


EPILOG = """Exit status: 0 all holds; 1 refuted claims, other errors in cards, or stale pages under --check;
2 bad input or usage."""


def main() -> None:
    """Run the command line; the console script and ``tools/render_cards.py`` call it."""
    try:
        status = cardproof.main(prog_name="cardproof", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as trouble:
        trouble.show()
        sys.exit(trouble.exit_code)
    except (InputError, ZooError) as trouble:
        click.secho(f"error: {trouble}", err=True, fg="red", bold=True)
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted; no file is half-written", err=True)
        sys.exit(130)
    except OSError as trouble:
        click.secho(f"error: {trouble}", err=True, fg="red", bold=True)
        sys.exit(2)
    sys.exit(status if isinstance(status, int) else 0)


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=EPILOG)
@click.version_option(__version__, message="cardproof %(version)s")
def cardproof() -> None:
    """Render model cards and prove, in the same build, what they say."""


def _completed(what: str) -> Callable[[click.Context, click.Parameter, str], list[Any]]:
    """Return what completes a value in a shell: a function of ``completion``, imported only while one types."""

    def complete(context: click.Context, parameter: click.Parameter, begun: str) -> list[Any]:
        from cardproof.commands import completion

        return list(getattr(completion, what)(begun))

    return complete


def _common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that all commands share."""
    options = [
        click.option(
            "--zoo",
            metavar="ZOO",
            shell_complete=_completed("zoos"),
            help="Where networks come from: res2next, timm, torchvision, transformers, package.module:object or "
            "file.py:object.",
        ),
        click.option(
            "--names",
            type=click.Path(path_type=Path),
            help="YAML file with the zoo's names of models that the cards call otherwise.",
        ),
        click.option(
            "--tolerance",
            "tolerances",
            metavar="FIELD=SPEC",
            multiple=True,
            shell_complete=_completed("tolerances"),
            help="Compare a field by 'exact', 'written', 'N digits', 'N%' or a number. May be repeated.",
        ),
        click.option(
            "--config",
            "-f",
            type=click.Path(path_type=Path),
            help="The site's mkdocs.yml; without it, the one in the working directory where there is one.",
        ),
        click.option(
            "--data",
            "data",
            metavar="NAME=PATH",
            multiple=True,
            shell_complete=_completed("data_sets"),
            help="Where the images of a data set are, such as ImageNet=PATH: results are evaluated. May be repeated.",
        ),
        click.option(
            "--weights",
            type=click.Path(path_type=Path),
            help="Folder with files of weights by their published names, or one file.",
        ),
        click.option("--jobs", "-j", type=click.IntRange(min=1), help="Worker processes; one per core unless given."),
        click.option("--dry-run", is_flag=True, help="Say what would be measured and why; measure and write nothing."),
        click.option(
            "--force",
            metavar="FIELD|MODEL",
            multiple=True,
            shell_complete=_completed("forced"),
            help="Measure again what is on record: flops, parameters, results, a model, or all. May be repeated.",
        ),
        click.option(
            "--engine",
            metavar="ENGINE",
            help="Where networks are measured: local, or a Dask scheduler such as tcp://host:8786.",
        ),
        click.option(
            "--baseline",
            type=click.Path(path_type=Path),
            help="File of known findings: they are shown as notes, and only others fail.",
        ),
        click.option("--update-baseline", is_flag=True, help="Write what is found now into the file of --baseline."),
        click.option(
            "--format",
            "kind",
            metavar="FORMAT",
            type=click.Choice(FORMATS),
            help=f"What is printed: {', '.join(FORMATS[:-1])} or {FORMATS[-1]}.",
        ),
        click.option(
            "--write",
            "writes",
            metavar="FORMAT=FILE",
            multiple=True,
            shell_complete=_completed("targets"),
            help="Write the report into a file too, in any format but text. May be repeated.",
        ),
        click.option("--json", "as_json", is_flag=True, help="The same as --format json."),
        click.option("--quiet", "-q", is_flag=True, help="Print findings only."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@cardproof.command("render", epilog=EPILOG)
@click.option("--only", metavar="NAME", multiple=True, help="Render this card alone. May be repeated.")
@click.option("--check", is_flag=True, help="Write nothing; fail and show a diff where the site is stale.")
@click.option("--watch", "watching", is_flag=True, help="Render again after every edit, until Ctrl-C.")
@click.option("--templates", type=click.Path(path_type=Path), help="Folder of card templates.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder of the rendered pages; evidence goes to evidence/ in it, and the catalog to catalog/.",
)
@click.option(
    "--snippets/--no-snippets", default=None, help="Run the pages' snippets; the settings decide unless given."
)
@click.option("--all-models", is_flag=True, help="Run a page's snippets for every model of its card.")
@click.option("--device", "devices", multiple=True, help="Run snippets on cpu, cuda, or both separated by a comma.")
@_common
def render_command(
    only: tuple[str, ...],
    check: bool,
    watching: bool,
    templates: Path | None,
    out: Path | None,
    snippets: bool | None,
    all_models: bool,
    devices: tuple[str, ...],
    zoo: str | None,
    names: Path | None,
    tolerances: tuple[str, ...],
    config: Path | None,
    data: tuple[str, ...],
    weights: Path | None,
    jobs: int | None,
    dry_run: bool,
    force: tuple[str, ...],
    engine: str | None,
    baseline: Path | None,
    update_baseline: bool,
    kind: str | None,
    writes: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> int:
    """Render the model pages: read the cards, measure the networks, judge the claims, write pages and evidence."""

    def load() -> Settings:
        settings = _with_results(_named(_settings(config, zoo, tolerances), names), data, weights)
        if templates is not None:
            settings = replace(settings, templates=_from_base(templates, settings))
        if out is not None:
            folder = _from_base(out, settings)
            catalog = folder / "catalog" if settings.catalog else None
            settings = replace(settings, out=folder, evidence=folder / "evidence", catalog=catalog)
            settings = replace(settings, reference=None, assets=None)
        wanted = settings.snippets
        wanted = replace(wanted, run=wanted.run if snippets is None else snippets)
        wanted = replace(wanted, models="all") if all_models else wanted
        wanted = replace(wanted, devices=_devices(devices)) if devices else wanted
        return replace(settings, snippets=wanted)

    kind, targets = _outlets(kind, writes, as_json, dry_run)
    if watching:
        if check or kind != "text" or dry_run or force:
            raise click.UsageError("--watch goes with none of --check, --dry-run, --force, --json and --format")
        return _watch(load, config, quiet)
    settings = load()
    _check_engine(engine)
    if dry_run:
        return _say(dry_run_of_render(settings, only=only, force=force), kind == "json")
    with _progress(kind != "text" or quiet) as progress:
        run = render(
            settings,
            only=only,
            check=check,
            workers=jobs,
            progress=progress,
            reference=_reference,
            force=force,
            engine=engine,
        )
    _know(run, baseline, update_baseline)
    return _report(run, kind, targets, quiet)


@cardproof.command("audit", epilog=EPILOG)
@click.argument("paths", metavar="PATH...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--from-metadata",
    is_flag=True,
    help="Judge what the zoo's own metadata says, of all its weights or those that the patterns PATH name.",
)
@click.option("--report", "summary", type=click.Path(path_type=Path), help="Write what a report page needs as JSON.")
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
@_common
def audit_command(
    paths: tuple[Path, ...],
    from_metadata: bool,
    summary: Path | None,
    online: bool,
    private_hosts: tuple[str, ...],
    fix: bool,
    fix_unsafe: bool,
    zoo: str | None,
    names: Path | None,
    tolerances: tuple[str, ...],
    config: Path | None,
    data: tuple[str, ...],
    weights: Path | None,
    jobs: int | None,
    dry_run: bool,
    force: tuple[str, ...],
    engine: str | None,
    baseline: Path | None,
    update_baseline: bool,
    kind: str | None,
    writes: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> int:
    """Judge any cards without rendering them: files, or folders with Markdown and YAML files.

    Nothing is written but the files of --write, that of --report, which a page shows with audit_report('FILE'), and
    what --fix asks for; what is reported then is what is left.
    """
    kind, targets = _outlets(kind, writes, as_json, dry_run)
    settings = _with_results(_named(_settings(config, zoo, tolerances), names), data, weights)
    _check_engine(engine)
    if from_metadata and (fix or fix_unsafe):
        raise click.UsageError("--from-metadata goes with neither --fix nor --fix-unsafe: an installed package stays")
    if not from_metadata and not paths:
        raise click.UsageError("Missing argument 'PATH...'.")
    reading, arguments = _metadata(settings, paths, engine) if from_metadata else (None, None)
    if dry_run:
        return _say(dry_run_of_audit(paths, settings, force=force, reading=reading), kind == "json")
    if private_hosts and not online:
        raise click.UsageError("--private-host needs --online")
    asking = _asking(private_hosts) if online else None
    with _progress(kind != "text" or quiet) as progress:

        def judged() -> Run:
            return audit(
                paths,
                settings,
                workers=jobs,
                progress=progress,
                force=force,
                engine=engine,
                reading=reading,
                arguments=arguments,
                online=asking,
            )

        run = judged()
        if (fix or fix_unsafe) and _fix(run, fix_unsafe):
            run = judged()
    _know(run, baseline, update_baseline)
    if summary:
        _write_summary(run, summary)
    return _report(run, kind, targets, quiet)


def _metadata(settings: Settings, patterns: tuple[Path, ...], engine: str | None) -> tuple[Reading, tuple[str, ...]]:
    """Return what a zoo's metadata says, and the arguments that ask for it. Raises InputError where it says nothing."""
    from cardproof.measure.list_models import list_models
    from cardproof.read.zoo_metadata import read_metadata

    if settings.zoo is None:
        raise InputError("--from-metadata needs a zoo: name it with --zoo")
    names = tuple(str(pattern) for pattern in patterns)
    return read_metadata(list_models(settings.zoo, names, entries=True, engine=engine)), ("--from-metadata", *names)


def _asking(private_hosts: tuple[str, ...]) -> Callable[[Reading], Links]:
    """Return what asks the addresses of cards, with its answers in the user's cache folder."""
    from cardproof.judge.online import check_links

    return lambda reading: check_links(reading, frozenset(host.lower() for host in private_hosts))


def _write_summary(run: Run, path: Path) -> None:
    """Write the summary of an audit."""
    import json

    from cardproof.core.files import write_report
    from cardproof.render.functions.audit_summary import summarize, summary_text
    from cardproof.report.terminal import json_of

    write_report(path, summary_text(summarize(json.loads(json_of(run)))))


def _know(run: Run, baseline: Path | None, update: bool) -> None:
    """Turn the findings that a baseline knows into notes. Raises InputError where it is none."""
    from cardproof.core.files import write_report
    from cardproof.report.baseline import apply_baseline, read_baseline, text_of_baseline

    if baseline is None:
        if update:
            raise click.UsageError("--update-baseline needs --baseline FILE")
        return
    if update:
        write_report(baseline, text_of_baseline(run))
    if gone := apply_baseline(run, read_baseline(baseline)):
        click.echo(f"{show_path(baseline)}: {gone} known findings are gone; --update-baseline forgets them", err=True)


@cardproof.command("explain", epilog=EPILOG)
@click.argument("check", required=False, shell_complete=_completed("checks"))
def explain_command(check: str | None) -> int:
    """Say what a check does and why: by its name, or by the word in brackets of a finding. Without it, list all."""
    from cardproof.judge.checks import all_checks

    for one in all_checks():
        if check in (one.name, *one.findings):
            click.echo(one.page.strip())
            return 0
    if check is not None:
        raise click.UsageError(f"no check is called '{check}'; cardproof explain lists them")
    for one in all_checks():
        _, _, rest = one.page.partition(":")
        click.echo(f"{one.name:16}{' '.join(rest.partition(chr(10) * 2)[0].split())}")
    return 0


def _fix(run: Run, unsafe: bool) -> int:
    """Make the fixes of a run's findings; say on the error stream what was made, and return in how many files."""
    from cardproof.commands.fixes import EditError, fix_files

    try:
        made = fix_files(run.findings, unsafe=unsafe)
    except EditError as trouble:
        raise click.ClickException(str(trouble)) from trouble
    for path, fixes in made.items():
        click.echo(f"{show_path(path)}: {len(fixes)} {'fix was' if len(fixes) == 1 else 'fixes were'} made", err=True)
    return len(made)


@cardproof.command("init", epilog=EPILOG)
@click.argument("patterns", metavar="[PATTERN]...", nargs=-1)
@click.option(
    "--zoo",
    metavar="ZOO",
    required=True,
    shell_complete=_completed("zoos"),
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
@click.option("--jobs", "-j", type=click.IntRange(min=1), help="Worker processes; one per core unless given.")
@click.option("--engine", metavar="ENGINE", help="Where networks are measured; see audit.")
@click.option("--dry-run", is_flag=True, help="Say which models there are; measure and write nothing.")
@click.option("--force", is_flag=True, help="Write over files that are there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@click.option("--quiet", "-q", is_flag=True, help="Print findings only.")
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
    from cardproof.measure.engines import LOCAL

    _check_engine(engine)
    wish = Wish(zoo, patterns, out, site_name, limit, force)
    found = chosen_models(wish, engine)
    if dry_run:
        return _say_models(found, as_json)
    with _progress(as_json or quiet) as progress:
        made = new_site(wish, found, workers=jobs, progress=progress, engine=engine or LOCAL)
    if not quiet:
        words = f"{made.models} model{'' if made.models == 1 else 's'} of {found.source}"
        click.echo(f"{words}: {len(made.files)} files written into {show_path(out)}", err=True)
    settings = load_settings(out / "mkdocs.yml")
    settings = replace(settings, snippets=replace(settings.snippets, run=snippets))
    with _progress(as_json or quiet) as progress:
        run = render(settings, workers=jobs, progress=progress, reference=_reference, engine=engine)
    run.site_findings += made.findings
    if as_json:
        return _print_made(run, made.files)
    status = _report(run, "text", [], quiet)
    if not quiet and not status:
        here = "" if out == Path() else f" -f {show_path(out / 'mkdocs.yml')}"
        click.echo(f"Next: mkdocs build --strict{here}", err=True)
    return status


def _print_made(run: Run, files: tuple[Path, ...]) -> int:
    """Print a run as JSON, with the files that were made before it; return the exit status."""
    import json

    from cardproof.report.terminal import json_of

    data = {"created": [show_path(path) for path in files], **json.loads(json_of(run))}
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))
    return run.exit


def _say_models(found: ModelList, as_json: bool) -> int:
    """Print the models of a list; return the exit status, which is 0."""
    import json

    names = [published.model for published in found.models]
    if as_json:
        click.echo(json.dumps({"source": found.source, "models": names}, indent=2, ensure_ascii=False))
        return 0
    for name in names:
        click.echo(name)
    click.echo(f"{len(names)} models of {found.source}; nothing was measured or written", err=True)
    return 0


@cardproof.command("edit", epilog=EPILOG)
@click.argument("path", type=click.Path(path_type=Path))
@click.argument("edits", metavar="FIELD=VALUE...", nargs=-1, required=True)
def edit_command(path: Path, edits: tuple[str, ...]) -> int:
    """Write values into fields of a page's YAML header; everything else stays byte for byte."""
    from cardproof.commands.fixes import EditError, set_field

    for text in edits:
        field, separator, value = text.partition("=")
        if not separator:
            raise click.UsageError(f"{text}: write FIELD=VALUE")
        try:
            changed = set_field(path, field, value)
        except EditError as trouble:
            raise click.ClickException(str(trouble)) from trouble
        click.echo(f"{show_path(path)}: {field} {'is now' if changed else 'was already'} {value}")
    return 0


@cardproof.command("export", epilog=EPILOG)
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--format",
    "kind",
    type=click.Choice(["mlbom", "hub", "model-index", "cff", "json"]),
    default="mlbom",
    help="mlbom: CycloneDX 1.6; hub: a README for the Hugging Face Hub; model-index: one model-index.yml; "
    "cff: CITATION.cff; json: all claims with their verdicts.",
)
@click.option("--model", "models", metavar="NAME", multiple=True, help="Only this model. May be repeated.")
@click.option(
    "--with",
    "more",
    multiple=True,
    type=click.Choice(["unchecked", "disputed", "refuted"]),
    help="Results with this verdict go into the header for the Hub too; confirmed and cited ones do always.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="File to write, or for several READMEs a folder; the output unless given.",
)
@click.option("--zoo", metavar="ZOO", shell_complete=_completed("zoos"), help="Where networks come from; see audit.")
@click.option("--data", "data", metavar="NAME=PATH", multiple=True, help="Where images are; see audit.")
@click.option("--weights", type=click.Path(path_type=Path), help="Where files of weights are; see audit.")
@click.option("--jobs", "-j", type=click.IntRange(min=1), help="Worker processes; one per core unless given.")
@click.option("--config", "-f", type=click.Path(path_type=Path), help="The site's mkdocs.yml.")
def export_command(
    paths: tuple[Path, ...],
    kind: str,
    models: tuple[str, ...],
    more: tuple[Any, ...],
    out: Path | None,
    zoo: str | None,
    data: tuple[str, ...],
    weights: Path | None,
    jobs: int | None,
    config: Path | None,
) -> int:
    """Write the models of cards, with the verdicts of their claims, in a format of other tools.

    What the site's folder of evidence has on record is not measured again.
    """
    from cardproof.build import audit_with_cards
    from cardproof.read import read_cards
    from cardproof.report.export.formats import chosen_models, export
    from cardproof.report.export.hub import HELD

    settings = _with_results(_settings(config, zoo, ()), data, weights)
    reading = chosen_models(read_cards(paths), models)
    store = settings.path(settings.evidence)
    with _progress(out is None) as progress:
        run, known = audit_with_cards(
            paths,
            settings,
            workers=jobs,
            progress=progress,
            reading=reading,
            store=store if store.is_dir() and settings.weights is None else None,
        )
    _write_export(export(kind, run, known, settings, (*HELD, *more)), out)
    if unread := [finding for finding in run.findings if finding.fatal]:
        from cardproof.report.terminal import print_findings

        print_findings(unread)
    return run.exit


def _write_export(texts: dict[str, str], out: Path | None) -> None:
    """Write one text into a file or to the output, several into a folder. Raises InputError for several at once."""
    from cardproof.core.files import write_report

    if len(texts) > 1:
        if out is None or out.is_file():
            raise InputError(f"{len(texts)} READMEs are made: name a folder with --out, or one model with --model")
        for name, text in texts.items():
            write_report(out / name, text)
        click.echo(f"{show_path(out)}: {len(texts)} files", err=True)
        return
    ((name, text),) = texts.items()
    if out is None:
        click.echo(text, nl=False)
    else:
        write_report(out / name if out.is_dir() else out, text)


@cardproof.command("speed", epilog=EPILOG)
@click.option("--only", metavar="MODEL", multiple=True, help="Time this model alone. May be repeated.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True, help="Where it runs.")
@click.option("--batch", type=click.IntRange(1), default=16, show_default=True, help="Images in one forward pass.")
@click.option("--threads", type=click.IntRange(1), help="Threads of the processor; one per core unless given.")
@click.option("--seconds", type=click.FloatRange(0, 600), default=3.0, show_default=True, help="Least time per model.")
@click.option("--again", is_flag=True, help="Time all models again, those with valid speeds too.")
@click.option("--out", type=click.Path(path_type=Path), help="File of speeds; the setting 'speed' unless given.")
@click.option("--zoo", metavar="ZOO", help="Where networks come from; see render.")
@click.option("--config", "-f", type=click.Path(path_type=Path), help="The site's mkdocs.yml.")
@click.option("--json", "as_json", is_flag=True, help="Print the speeds as JSON.")
@click.option("--quiet", "-q", is_flag=True, help="Print troubles only.")
def speed_command(
    out: Path | None, zoo: str | None, config: Path | None, as_json: bool, quiet: bool, **options: Any
) -> int:
    """Time forward passes of the site's networks, for the pages to show.

    Let nothing else run meanwhile. A model whose network is as it was when it was timed is not timed again; all speeds
    of a file come from one processor, and are measured alike.
    """
    from cardproof.commands.speed import speed_table, time_models
    from cardproof.measure.speeds import dump_speeds

    settings = _settings(config, zoo, ())
    path = out or (settings.path(settings.speed) if settings.speed else None)
    if path is None:
        raise click.UsageError("name the file: --out speed-cpu.json, or the setting 'speed' in mkdocs.yml")
    troubles: list[str] = []
    with _progress(quiet or as_json) as progress:
        speeds = time_models(settings, path, progress=progress, tell=troubles.append, **options)
    for trouble in troubles:
        click.secho(f"not timed: {trouble}", err=True, fg="red")
    if as_json:
        click.echo(dump_speeds(speeds), nl=False)
    elif not quiet:
        from cardproof.report.terminal import new_console

        new_console().print(speed_table(speeds))
    return 1 if troubles else 0


def _check_engine(engine: str | None) -> None:
    """Raise InputError for an engine that nobody knows, whether or not anything has to be measured."""
    from cardproof.measure.engines import LOCAL, check_engine

    check_engine(engine or LOCAL)


def _say(forecast: DryRun, as_json: bool) -> int:
    """Print what a build would do; return the exit status, which is 0."""
    from cardproof.plan.dry_run import json_of_forecast, text_of_forecast

    click.echo(json_of_forecast(forecast) if as_json else text_of_forecast(forecast))
    return 0


def _watch(load: Callable[[], Settings], config: Path | None, quiet: bool) -> int:
    """Run this command again without ``--watch``, once and after every edit. Raises InputError."""
    from cardproof.plugins.watch import watch

    again = [sys.executable, *(argument for argument in sys.orig_argv[1:] if argument != "--watch")]
    if config is None and Path("mkdocs.yml").is_file():
        config = Path("mkdocs.yml")
    return watch(again, load, config, (lambda _: None) if quiet else lambda text: click.echo(text, err=True))


def _reference(folder: Path) -> dict[Path, str]:
    from cardproof.render.reference import reference_pages

    return reference_pages(folder, cardproof)


@cardproof.command("snippets", epilog=EPILOG)
@click.argument("pages", metavar="PAGE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--device", "devices", multiple=True, help="cpu, cuda, or both separated by a comma; cpu unless given.")
@click.option("--network", is_flag=True, help="Let blocks marked .network reach it.")
@click.option("--random-weights", is_flag=True, help="Run with random weights where published ones are not at hand.")
@click.option("--strict-device", is_flag=True, help="Fail a block that finds no GPU instead of skipping it.")
@click.option("--update", "rewrite", is_flag=True, help="Write what came out where a page states another output.")
@click.option("--config", "-f", type=click.Path(path_type=Path), help="The site's mkdocs.yml.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@click.option("--quiet", "-q", is_flag=True, help="Print findings only.")
def snippets_command(
    pages: tuple[Path, ...],
    devices: tuple[str, ...],
    network: bool,
    random_weights: bool,
    strict_device: bool,
    rewrite: bool,
    config: Path | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Run the Python blocks of Markdown pages, in page order, and compare what they print with what they state."""
    from cardproof.commands.snippet_pages import run_pages
    from cardproof.report.terminal import pages_json_of, print_pages_report
    from cardproof.snippets.prove import policy_of

    settings = _settings(config, None, ())
    policy = replace(policy_of(settings), network=network or settings.snippets.network, strict_device=strict_device)
    if random_weights:
        policy = replace(policy, weights="random")
    if devices:
        policy = replace(policy, devices=_devices(devices))
    with _progress(as_json or quiet) as progress:
        run = run_pages(pages, policy, show_path, rewrite=rewrite, progress=progress)
    if as_json:
        click.echo(pages_json_of(run))
    else:
        print_pages_report(run, quiet=quiet)
    return run.exit


def _from_base(given: Path, settings: Settings) -> Path:
    """Return a path of the command line as a setting has it: relative to the site's folder, so that records are too."""
    return Path(os.path.relpath(given, settings.base))


def _devices(given: tuple[str, ...]) -> tuple[Any, ...]:
    """Return the devices of ``--device cpu,cuda``. Raises InputError for others."""
    names = tuple(name.strip() for text in given for name in text.split(","))
    if unknown := set(names) - {"cpu", "cuda"}:
        raise InputError(f"--device {', '.join(sorted(unknown))}: devices are cpu and cuda")
    return tuple(dict.fromkeys(names))


def _with_results(settings: Settings, data: tuple[str, ...], weights: Path | None) -> Settings:
    """Return settings with the paths of ``--data`` and ``--weights``, which are relative to the working directory."""
    found = dict(settings.data)
    for text in data:
        name, separator, path = text.partition("=")
        try:
            if not separator or not path:
                raise ValueError("write NAME=PATH")
            found[dataset_named(name)] = Path(path).expanduser().absolute()
        except ValueError as trouble:
            raise InputError(f"--data {text}: {trouble}") from None
    return replace(settings, data=found, weights=weights.expanduser().absolute() if weights else settings.weights)


def _settings(config: Path | None, zoo: str | None, tolerances: tuple[str, ...]) -> Settings:
    if config is None and Path("mkdocs.yml").is_file():
        config = Path("mkdocs.yml")
    settings = load_settings(config)
    if zoo is not None:
        settings = replace(settings, zoo=zoo)
    for text in tolerances:
        field, separator, spec = text.partition("=")
        try:
            if not separator:
                raise ValueError("write FIELD=SPEC")
            tolerance = parse_tolerance(spec)
        except ValueError as trouble:
            raise InputError(f"--tolerance {text}: {trouble}") from None
        settings = replace(settings, tolerances={**settings.tolerances, normal_field(field): tolerance})
    return settings


def _named(settings: Settings, names: Path | None) -> Settings:
    """Return settings with the table of ``--names``, which is relative to the working directory."""
    return replace(settings, names=names.expanduser().absolute()) if names else settings


@contextmanager
def _progress(silent: bool) -> Iterator[Progress | None]:
    """Show a bar on the terminal while networks are measured; nothing where there is no terminal."""
    if silent or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Bar(TextColumn("measuring"), *columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("importing torch", total=None)

        def step(done: int, total: int, name: str) -> None:
            bar.update(task, completed=done, total=total, description=name)

        yield step


def _outlets(
    kind: str | None, writes: tuple[str, ...], as_json: bool, dry_run: bool
) -> tuple[str, list[tuple[str, Path]]]:
    """Return the format to print, and the formats to write with their files. Raises UsageError."""
    if as_json and kind not in (None, "json"):
        raise click.UsageError(f"--json is --format json; it does not go with --format {kind}")
    kind = "json" if as_json else kind or "text"
    targets = []
    for text in writes:
        name, separator, file = text.partition("=")
        if file == "-":
            raise click.UsageError(f"--write {text}: --format says what is printed, --write names a file")
        if name not in FORMATS[1:] or not separator or not file:
            raise click.UsageError(f"--write {text}: write FORMAT=FILE; formats are {', '.join(FORMATS[1:])}")
        targets.append((name, Path(file)))
    if len({path.absolute() for _, path in targets}) < len(targets):
        raise click.UsageError("--write: two reports cannot be written into one file")
    if dry_run and (targets or kind not in ("text", "json")):
        raise click.UsageError("--dry-run makes no report: it goes with --format json at most")
    return kind, targets


def _report(run: Run, kind: str, targets: list[tuple[str, Path]], quiet: bool) -> int:
    """Write and print what a run found, and return its exit status."""
    from cardproof.report.terminal import print_report

    if targets or kind != "text":
        from cardproof.core.files import write_report
        from cardproof.report.formats import texts_of

        cards = {Path(card.file).resolve() for card in run.cards}
        if over := [path for _, path in targets if path.resolve() in cards]:
            raise InputError(f"{show_path(over[0])}: this is a card of this run; name another file with --write")
        texts = texts_of(run, [*(name for name, _ in targets), *([kind] if kind != "text" else [])])
        for name, path in targets:
            write_report(path, texts[name])
        if kind != "text":
            # bytes of file names that are no text are escapes, which JSON reads back
            click.echo(texts[kind].encode("utf-8", "backslashreplace"), nl=False)
            return run.exit
    if run.checked:
        _print_diffs(run)
    print_report(run, quiet=quiet)
    return run.exit


def _print_diffs(run: Run) -> None:
    from cardproof.report.terminal import new_console

    console = new_console()
    for change in run.changes:
        if change.differs:
            shown = show_path(change.path)
            words = {"new": "is missing", "removed": "has no template", "edited": "was edited by hand"}
            console.print(f"{shown}:1:1: {words.get(change.status, 'is stale')}", style="bold red", soft_wrap=True)
            for line in change.diff(shown).splitlines()[:60]:
                console.print(line, style={"+": "green", "-": "red"}.get(line[:1]), soft_wrap=True)

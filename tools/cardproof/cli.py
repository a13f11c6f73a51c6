"""The command line: ``cardproof render`` and ``cardproof audit``."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from cardproof import __version__
from cardproof.build import Progress, Run, audit, render
from cardproof.fields import normal_field
from cardproof.read import InputError, show_path
from cardproof.settings import Settings, load_settings, parse_tolerance
from cardproof.zoos import ZooError

if TYPE_CHECKING:
    from collections.abc import Iterator

EXIT = """Exit status: 0 all holds; 1 refuted claims, other errors in cards, or stale pages under --check;
2 bad input or usage."""

app = typer.Typer(
    name="cardproof",
    help="Render model cards and prove, in the same build, what they say.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-f", help="The site's mkdocs.yml. [default: mkdocs.yml where there is one]"),
]
ZooOption = Annotated[
    str | None,
    typer.Option(
        "--zoo",
        help="Where networks come from: res2next, timm, torchvision, package.module:object, file.py:object.",
    ),
]
ToleranceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--tolerance",
        metavar="FIELD=SPEC",
        help="Compare a field by 'exact', 'written', 'N digits', 'N%' or a number. Repeatable.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print findings only.")]
JobsOption = Annotated[
    int | None, typer.Option("--jobs", "-j", min=1, help="Worker processes. [default: one per core]")
]


def main() -> None:
    """Run the command line; the console script and ``tools/render_cards.py`` call it."""
    try:
        app(prog_name="cardproof")
    except (InputError, ZooError) as trouble:
        Console(stderr=True).print(f"error: {trouble}", style="bold red", markup=False, soft_wrap=True, highlight=False)
        sys.exit(2)
    except KeyboardInterrupt:
        Console(stderr=True).print("interrupted; nothing was written", markup=False)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cardproof {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command("render", epilog=EXIT)
def render_command(
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="NAME", help="Render this card alone. Repeatable.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail and show a diff where the site is stale.")
    ] = False,
    zoo: ZooOption = None,
    templates: Annotated[Path | None, typer.Option("--templates", help="Folder of card templates.")] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder of the rendered pages; evidence goes to its evidence/."),
    ] = None,
    tolerance: ToleranceOption = None,
    config: ConfigOption = None,
    jobs: JobsOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Render the model pages: read the cards, measure the networks, judge the claims, write pages and evidence."""
    settings = _settings(config, zoo, tolerance)
    if templates is not None:
        settings = replace(settings, templates=templates.absolute())
    if out is not None:
        settings = replace(settings, out=out.absolute(), evidence=out.absolute() / "evidence", reference=None)
    with _progress(json or quiet) as progress:
        run = render(settings, only=tuple(only or ()), check=check, workers=jobs, progress=progress)
    _report(run, json, quiet)


@app.command("audit", epilog=EXIT)
def audit_command(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH", help="Cards: files, or folders with Markdown and YAML files."),
    ],
    zoo: ZooOption = None,
    tolerance: ToleranceOption = None,
    config: ConfigOption = None,
    jobs: JobsOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Judge any cards without rendering them: nothing is written."""
    settings = _settings(config, zoo, tolerance)
    with _progress(json or quiet) as progress:
        run = audit(paths, settings, workers=jobs, progress=progress)
    _report(run, json, quiet)


def _settings(config: Path | None, zoo: str | None, tolerances: list[str] | None) -> Settings:
    if config is None and Path("mkdocs.yml").is_file():
        config = Path("mkdocs.yml")
    settings = load_settings(config)
    if zoo is not None:
        settings = replace(settings, zoo=zoo)
    for text in tolerances or ():
        field, separator, spec = text.partition("=")
        try:
            if not separator:
                raise ValueError("write FIELD=SPEC")
            tolerance = parse_tolerance(spec)
        except ValueError as trouble:
            raise InputError(f"--tolerance {text}: {trouble}") from None
        settings = replace(settings, tolerances={**settings.tolerances, normal_field(field): tolerance})
    return settings


@contextmanager
def _progress(silent: bool) -> Iterator[Progress | None]:
    """Show a bar on the terminal while networks are measured; nothing where there is no terminal."""
    if silent or not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns: list[Any] = [
        TextColumn("measuring"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    ]
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("importing torch", total=None)

        def step(done: int, total: int, name: str) -> None:
            bar.update(task, completed=done, total=total, description=name)

        yield step


def _report(run: Run, json: bool, quiet: bool) -> None:
    from cardproof.report import as_json, print_report

    if json:
        typer.echo(as_json(run))
    else:
        console = Console(highlight=False, markup=False)
        if run.checked:
            _print_diffs(run, console)
        print_report(run, console, quiet=quiet)
    raise typer.Exit(run.exit)


def _print_diffs(run: Run, console: Console) -> None:
    for change in run.changes:
        if change.differs:
            shown = show_path(change.path)
            words = {"new": "is missing", "removed": "has no template", "edited": "was edited by hand"}
            console.print(f"{shown}:1:1: {words.get(change.status, 'is stale')}", style="bold red", soft_wrap=True)
            for line in change.diff(shown).splitlines()[:60]:
                console.print(line, style={"+": "green", "-": "red"}.get(line[:1]), soft_wrap=True)

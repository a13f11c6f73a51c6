"""The output of commands: a progress bar while networks are measured, and reports in the requested formats."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from msgspec import Struct

from cardproof.commands.options import RunOptions
from cardproof.core.errors import InputError
from cardproof.core.journal import write_report
from cardproof.core.paths import file_key, is_regular, show_path, walk
from cardproof.core.settings import Settings
from cardproof.core.terminal import printable, write_data
from cardproof.core.types import Finding
from cardproof.plan.options import Progress
from cardproof.report.baseline import apply_baseline, folder_of_baseline, read_baseline, text_of_baseline
from cardproof.report.finished_run import Run
from cardproof.report.formats import FORMATS, texts_of
from cardproof.report.terminal import count_fixes, json_of, new_console, plural, print_report

if TYPE_CHECKING:
    from cardproof.plan.dry_run import DryRun


@contextmanager
def progress_bar(silent: bool) -> Iterator[Progress | None]:
    """Show a bar while networks are measured, if standard error is a terminal."""
    if silent or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    what = TextColumn("{task.description}", markup=False)
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), what)
    console = Console(file=sys.__stderr__)  # a bar steers the terminal, which text must not
    with Bar(TextColumn("measuring"), *columns, console=console, transient=True) as bar:
        task = bar.add_task("importing torch", total=None)

        def step(done: int, total: int, name: str) -> None:
            bar.update(task, completed=done, total=total, description=printable(name))

        yield step


class Output(Struct, frozen=True):
    """What is printed of a run, and the files that get its report in other formats."""

    options: RunOptions
    kind: str
    """The format that is printed."""
    targets: tuple[tuple[str, Path], ...]

    @property
    def silent(self) -> bool:
        """Whether nothing but the report is printed."""
        return self.kind != "text" or self.options.quiet

    def dry_run(self, found: DryRun) -> int:
        """Print a dry run; return the exit status, which is 0."""
        from cardproof.plan.dry_run import json_of_dry_run, text_of_dry_run

        if self.kind == "json":
            write_data(f"{json_of_dry_run(found)}\n")
        else:
            click.echo(text_of_dry_run(found))
        return 0

    def report(
        self, run: Run, settings: Settings, fix: str = "", inputs: Iterable[Path] = (), summary: Path | None = None
    ) -> int:
        """Write and print the report of a run, after its baseline; return its exit status.

        ``fix`` is the command that makes fixes with the option ``--fix``, or all of it but that; empty without one.
        ``inputs`` are those of the command line; ``summary`` gets the data of an audit page. Raises InputError, before
        anything is written, if a file that is to be written is an input.
        """
        self._check_outputs(run, settings, inputs, summary)
        _apply_baseline(run, self.options.baseline, self.options.update_baseline)
        if summary:
            from cardproof.render.functions.audit_report import summarize, summary_text

            write_report(summary, summary_text(summarize(json.loads(json_of(run)))))
        names = [*(name for name, _ in self.targets), *([self.kind] if self.kind != "text" else [])]
        texts = texts_of(run, names) if names else {}
        for name, path in self.targets:
            write_report(path, texts[name])
        if self.kind != "text":
            write_data(texts[self.kind])
            return run.exit
        if run.checked:
            _print_diffs(run)
        print_report(run, quiet=self.options.quiet, verbose=self.options.verbose)
        if fix and not self.options.quiet:
            _print_fixable(run.findings, fix)
        return run.exit

    def _check_outputs(self, run: Run, settings: Settings, inputs: Iterable[Path], summary: Path | None) -> None:
        outputs = [("--write", path) for _, path in self.targets]
        outputs += [("--report", summary)] if summary else []
        inputs = [*inputs, *inputs_of_run(run)]
        if baseline := self.options.baseline:
            if self.options.update_baseline:
                outputs.append(("--baseline", baseline))
            else:
                inputs.append(baseline)
        protect_inputs(outputs, inputs, settings, self.options.config)


def _print_fixable(findings: Iterable[Finding], command: str) -> None:
    safe, unsafe = count_fixes(findings)
    if safe:
        more = f", {unsafe} more with --fix-unsafe" if unsafe else ""
        click.echo(printable(f"[*] {safe} fixable with {command}{more}"))
    elif unsafe:
        click.echo(printable(f"{unsafe} fixable with {command}-unsafe, which needs a review"))


def report_output(options: RunOptions) -> Output:
    """Return the output that the options ask for. Raises UsageError."""
    kind = options.kind
    if options.as_json and kind not in (None, "json"):
        raise click.UsageError(f"--json is --format json; it cannot be used with --format {kind}")
    kind = "json" if options.as_json else kind or "text"
    targets = []
    for text in options.writes:
        name, separator, file = text.partition("=")
        if file == "-":
            raise click.UsageError(f"--write {text}: --format selects what is printed, --write names a file")
        if name not in FORMATS[1:] or not separator or not file:
            raise click.UsageError(f"--write {text}: write FORMAT=FILE; formats are {', '.join(FORMATS[1:])}")
        targets.append((name, Path(file)))
    if len({file_key(path) for _, path in targets}) < len(targets):
        raise click.UsageError("--write: two reports cannot be written into one file")
    if options.dry_run and (targets or kind not in ("text", "json")):
        raise click.UsageError("--dry-run makes no report: only --format text or json can be used with it")
    return Output(options, kind, tuple(targets))


def protect_inputs(
    outputs: Iterable[tuple[str, Path]], inputs: Iterable[Path], settings: Settings, config: Path | None
) -> None:
    """Raise InputError if an output would overwrite an input, a source of the site or another output, by any name.

    ``outputs`` are options and their files.
    """
    inputs = list(inputs)
    files: dict[object, str] = {}
    for option, path in outputs:
        key = file_key(path)
        if key in files:
            raise InputError(f"{show_path(path)}: {files[key]} and {option} name the same file")
        files[key] = option
        if path.is_dir():
            raise InputError(f"{show_path(path)}: this is a folder; {option} names a file")
        if is_regular(path) and any(file_key(name) == key for name in (*inputs, *_site_inputs(settings, config))):
            raise InputError(f"{show_path(path)}: this is a card of this run, or another input; name another {option}")


def inputs_of_run(run: Run) -> Iterator[Path]:
    """Yield the files that a run has read: cards, and what they import, include and name."""
    yield from (Path(card.file) for card in run.cards)
    if run.audit:
        yield from (path for card in run.audit.reading.cards for path in (card.source.path, *card.imports))
        for files in run.audit.local.values():
            yield from (*files.paths, *(included.path for included in files.includes))


def _site_inputs(settings: Settings, config: Path | None) -> Iterator[Path]:
    """Yield the settings of a site, the files that they name, its templates and its evidence."""
    yield config or settings.base / "mkdocs.yml"
    yield from (settings.path(path) for path in (settings.cited, settings.names, settings.speed) if path)
    if (file := (settings.zoo or "").rpartition(":")[0]).endswith(".py"):
        yield Path(file)
    for folder in (settings.templates, settings.includes, settings.evidence):
        yield from (place / entry.name for place, entries in walk(settings.path(folder)) for entry in entries)


def _apply_baseline(run: Run, baseline: Path | None, update: bool) -> None:
    """Turn the findings that are in the baseline into notes. Raises InputError if it is not a baseline."""
    if baseline is None:
        if update:
            raise click.UsageError("--update-baseline needs --baseline FILE")
        return
    name = printable(show_path(baseline))
    if update:
        write_report(baseline, text_of_baseline(run))
    known = read_baseline(baseline)
    gone = apply_baseline(run, known)
    if update:
        click.echo(f"{plural(known.total(), 'finding')} written to {name}", err=True)
    elif gone and (folder := folder_of_baseline(baseline, known)):
        click.echo(f"{name}: no finding matches: its paths are relative to {printable(folder)}; run there", err=True)
    elif gone:
        verb = "is" if gone == 1 else "are"
        removes = f"--update-baseline removes {'it' if gone == 1 else 'them'}"
        click.echo(f"{name}: {plural(gone, 'known finding')} {verb} gone; {removes}", err=True)


_STALE = {"new": "is missing", "removed": "has no template", "edited": "was edited by hand"}


def _print_diffs(run: Run) -> None:
    console = new_console()
    for change in run.changes:
        if change.differs:
            shown = printable(show_path(change.path))
            console.print(f"{shown}:1:1: {_STALE.get(change.status, 'is stale')}", style="bold red", soft_wrap=True)
            for line in change.diff(shown).splitlines()[:60]:
                console.print(printable(line), style={"+": "green", "-": "red"}.get(line[:1]), soft_wrap=True)

"""``cardproof export``: models and verdicts in the formats of other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cardproof.build import audit
from cardproof.commands.options import CONFIG, DATA, JOBS, PATH, WEIGHTS, ZOO, epilog, site_settings
from cardproof.commands.output import inputs_of_run, progress_bar, protect_inputs
from cardproof.core.errors import InputError
from cardproof.core.journal import finish_interrupted, replace_files, write_report
from cardproof.core.paths import show_path
from cardproof.core.terminal import printable, write_data
from cardproof.plan.options import MeasureOptions
from cardproof.read import read_cards
from cardproof.report.export.formats import FORMATS, chosen_models, export
from cardproof.report.export.hub import HELD
from cardproof.report.terminal import print_findings


@click.command(
    "export",
    epilog=epilog(
        "cardproof export templates/models --format hub --out hub/",
        "cardproof export templates/models --format mlbom --out models.cdx.json",
        "cardproof export README.md --zoo timm --format json",
    ),
)
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=PATH)
@click.option(
    "--format",
    "kind",
    type=click.Choice(tuple(FORMATS)),
    default="mlbom",
    help="; ".join(f"{name}: {what}" for name, what in FORMATS.items()) + ".",
)
@click.option("--model", "models", metavar="NAME", multiple=True, help="Only this model. May be repeated.")
@click.option(
    "--with",
    "more",
    multiple=True,
    type=click.Choice(["unchecked", "disputed", "refuted"]),
    help="Put results with this verdict into the header for the Hub too; confirmed and cited ones are always there.",
)
@click.option("--out", type=PATH, help="File to write; for hub a folder, or one README.md; standard output by default.")
@ZOO
@DATA
@WEIGHTS
@JOBS
@CONFIG
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
    """Export models for other tools, with their checked claims.

    Models on record in the site's folder of evidence are not measured again.
    """
    settings = site_settings(config, zoo, data=data, weights=weights)
    reading = chosen_models(read_cards(paths), models)
    evidence = settings.path(settings.evidence)
    store = evidence if evidence.is_dir() and settings.weights is None else None
    with progress_bar(out is None) as progress:
        run = audit(paths, settings, MeasureOptions(jobs=jobs, progress=progress), reading=reading, store=store)
    assert run.audit
    texts = export(kind, run.audit, settings, (*HELD, *more))
    files = _files(texts, out, folder=kind == "hub")
    protect_inputs((("--out", path) for path in files), (*paths, *inputs_of_run(run)), settings, config)
    if out is None:
        for text in texts.values():
            write_data(text)
    elif out in files:
        write_report(out, files[out])
    else:
        finish_interrupted(out)
        replace_files(files, roots=[out])
    if out and len(texts) > 1:
        click.echo(f"{printable(show_path(out))}: {len(texts)} files", err=True)
    if unread := [finding for finding in run.findings if finding.fatal]:
        print_findings(unread, err=True)
    return run.exit


def _files(texts: dict[str, str], out: Path | None, *, folder: bool) -> dict[Path, str]:
    """Return the texts by the files that they are written into; none for standard output.

    ``folder``: ``out`` is a folder unless it is named like a Markdown file. Raises InputError if several texts have no
    folder.
    """
    folder = folder and out is not None and out.suffix.lower() != ".md"
    if len(texts) > 1 and (not folder or (out and out.is_file())):
        raise InputError(f"{len(texts)} READMEs are made: name a folder with --out, or one model with --model")
    return {out / name if folder or out.is_dir() else out: text for name, text in texts.items()} if out else {}

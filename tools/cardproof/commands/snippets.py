"""``cardproof snippets``: run the snippets of any Markdown pages, with or without a site."""

from __future__ import annotations

from pathlib import Path

import click
from msgspec.structs import replace

from cardproof.commands.options import CONFIG, EPILOG, JSON, PATH, QUIET, parse_devices, site_settings
from cardproof.commands.output import progress_bar
from cardproof.core.terminal import write_data


@click.command("snippets", epilog=EPILOG)
@click.argument("pages", metavar="PAGE...", nargs=-1, required=True, type=PATH)
@click.option("--device", "devices", multiple=True, help="cpu, cuda, or both separated by a comma; cpu by default.")
@click.option("--network", is_flag=True, help="Let blocks marked .network use the network.")
@click.option("--random-weights", is_flag=True, help="Run with random weights if published ones are missing.")
@click.option("--strict-device", is_flag=True, help="Fail a block that finds no GPU instead of skipping it.")
@click.option("--update", "rewrite", is_flag=True, help="Replace stated outputs that differ from the real ones.")
@CONFIG
@JSON
@QUIET
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
    """Run the Python blocks of Markdown pages, in page order, and compare their output with the stated output."""
    from cardproof.render.page_sources import run_pages
    from cardproof.report.terminal import pages_json_of, print_pages_report
    from cardproof.snippets.prove import policy_of

    settings = site_settings(config)
    policy = replace(policy_of(settings), network=network or settings.snippets.network, strict_device=strict_device)
    if random_weights:
        policy = replace(policy, weights="random")
    if devices:
        policy = replace(policy, devices=parse_devices(devices))
    with progress_bar(as_json or quiet) as progress:
        run = run_pages(pages, policy, rewrite=rewrite, progress=progress)
    if as_json:
        write_data(f"{pages_json_of(run)}\n")
    else:
        print_pages_report(run, quiet=quiet)
    return run.exit

"""``cardproof snippets``: run the snippets of any Markdown pages, with or without a site."""

from __future__ import annotations

from pathlib import Path

import click
from msgspec.structs import replace

from cardproof.commands.options import CONFIG, JSON, PATH, QUIET, epilog, parse_devices, site_settings
from cardproof.commands.output import progress_bar
from cardproof.core.paths import show_path
from cardproof.core.terminal import write_data
from cardproof.render.page_sources import config_of, run_pages
from cardproof.report.terminal import pages_json_of, print_pages_report
from cardproof.snippets.results import PagesRun
from cardproof.snippets.run_pages import policy_of, with_timeout


@click.command(
    "snippets",
    epilog=epilog(
        "cardproof snippets README.md docs/*.md",
        "cardproof snippets README.md --update",
        "cardproof snippets docs/usage.md --random-weights --timeout 20",
    ),
)
@click.argument("pages", metavar="PAGE...", nargs=-1, required=True, type=PATH)
@click.option("--device", "devices", multiple=True, help="cpu, cuda or cpu,cuda; cpu by default.")
@click.option("--network", is_flag=True, help="Let blocks marked .network use the network.")
@click.option("--random-weights", is_flag=True, help="Run with random weights if published ones are missing.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Limit of each block; that of a page is at least five times as long. 60 by default, or the site's setting.",
)
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
    timeout: float | None,
    strict_device: bool,
    rewrite: bool,
    config: Path | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Run the code of Markdown pages and compare its output.

    The Python blocks of a page are run in their order, and what they print is compared with the output that the page
    states.
    """
    sites: dict[Path | None, list[Path]] = {}
    for page in pages:
        sites.setdefault(config or config_of(page, Path.cwd()), []).append(page)
    run = PagesRun()
    for site, own in sites.items():
        settings = site_settings(Path(show_path(site)) if site else None)  # messages show it like that
        policy = replace(policy_of(settings), network=network or settings.snippets.network, strict_device=strict_device)
        policy = with_timeout(policy, timeout) if timeout else policy
        policy = replace(policy, weights="random") if random_weights else policy
        policy = replace(policy, devices=parse_devices(devices)) if devices else policy
        with progress_bar(as_json or quiet) as progress:
            run.add(run_pages(own, policy, rewrite=rewrite, progress=progress))
    if as_json:
        write_data(f"{pages_json_of(run)}\n")
    else:
        print_pages_report(run, quiet=quiet)
    return run.exit

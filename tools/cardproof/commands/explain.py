"""``cardproof explain``: what a check does and why."""

from __future__ import annotations

import click

from cardproof.commands.options import EPILOG, completed


@click.command("explain", epilog=EPILOG)
@click.argument("check", required=False, shell_complete=completed("checks"))
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

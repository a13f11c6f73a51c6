"""``cardproof explain``: what a check does and why."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from cardproof.commands.options import EPILOG


def _complete_check(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Return the checks and the words in brackets of findings, each with what its check is about."""
    from cardproof.judge.checks import all_checks

    words = {word: check for check in all_checks() for word in (check.name, *check.findings)}
    return [
        CompletionItem(word, help=check.page.partition(":")[0].strip())
        for word, check in sorted(words.items())
        if word.startswith(begun)
    ]


@click.command("explain", epilog=EPILOG)
@click.argument("check", required=False, shell_complete=_complete_check)
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

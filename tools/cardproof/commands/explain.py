"""``cardproof explain``: the documentation of the checks."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from cardproof.commands.options import epilog
from cardproof.core.errors import did_you_mean
from cardproof.judge.checks import all_checks, checks_by_word
from cardproof.render.generated_reference import terminal_page


def _complete_check(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a check, or of a finding (its word in brackets)."""
    return [
        CompletionItem(word, help=check.page.partition(":")[0].strip())
        for word, check in sorted(checks_by_word().items())
        if word.startswith(incomplete)
    ]


@click.command("explain", epilog=epilog("cardproof explain", "cardproof explain flops", "cardproof explain dead-link"))
@click.argument("check", required=False, shell_complete=_complete_check)
def explain_command(check: str | None) -> int:
    """Explain a check, or list all.

    CHECK is the name of a check or the word in brackets of a finding.
    """
    if check is None:
        for known in all_checks():
            summary = known.page.partition(":")[2].partition("\n\n")[0]
            click.echo(f"{known.name:16}{' '.join(summary.split())}")
        return 0
    checks = checks_by_word()
    if check not in checks:
        near = did_you_mean(check, checks) or "; 'cardproof explain' lists them"
        raise click.UsageError(f"no check is called '{check}'{near}")
    click.echo(terminal_page(checks[check]))
    return 0

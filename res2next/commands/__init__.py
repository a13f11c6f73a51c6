"""The commands of ``python -m res2next``, one module each, imported when it is called.

Exit status: 0 done; 1 a result is not what was asked for; 2 bad input or usage; 130 interrupted.
"""

from __future__ import annotations

import sys
from importlib import import_module
from io import TextIOWrapper
from typing import TYPE_CHECKING

import click

from res2next.errors import Res2NextError

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = ("classify", "datasets", "evaluate", "models", "train")
"""Names of modules; each has a click command of the same name with an underscore after it."""

ENGINE = click.option(
    "--engine",
    type=click.Choice(["torch", "onnxruntime", "openvino", "auto"]),
    default="torch",
    show_default=True,
    help="What computes the network on a CPU; auto: the fastest that is installed.",
)


class _Commands(click.Group):
    """Loads a command when it is called, since most import torch."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"res2next.commands.{cmd_name}"), f"{cmd_name}_")
        return command


@click.group(cls=_Commands, name="res2next", context_settings={"help_option_names": ["-h", "--help"]})
def res2next() -> None:
    """Res2Net and Res2NeXt image classifiers: classify, evaluate, train."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # None if it is closed
            stream.reconfigure(errors="backslashreplace")
    try:
        status = res2next.main(arguments, prog_name="python -m res2next", standalone_mode=False)
        if sys.stdout:
            sys.stdout.flush()
    except click.ClickException as trouble:
        trouble.show()
        sys.exit(trouble.exit_code)
    except (Res2NextError, OSError) as trouble:
        click.secho(f"error: {trouble}", err=True, fg="red", bold=True)
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        sys.exit(130)
    sys.exit(status if isinstance(status, int) else 0)

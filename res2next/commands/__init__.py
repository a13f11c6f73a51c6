"""The commands of ``python -m res2next``, whose modules are imported when they are called, and what they share.

Exit status: 0 done; 1 a result is not what was asked for; 2 bad input or usage; 130 interrupted.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from importlib import import_module
from io import TextIOWrapper
from typing import TYPE_CHECKING

import click

from res2next.errors import Res2NextError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.progress import Progress, ProgressColumn
    from rich.table import Table

COMMANDS = {"classify": "classify", "datasets": "lists", "evaluate": "evaluate", "models": "lists", "train": "train"}
"""Modules by the names of commands; the click command has the same name with an underscore after it."""

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
        command: click.Command = getattr(import_module(f"res2next.commands.{COMMANDS[cmd_name]}"), f"{cmd_name}_")
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


# --- Output on a terminal ---


@contextmanager
def progress_bar(*columns: ProgressColumn | str, shown: bool = True, quiet: bool = False) -> Iterator[Progress]:
    """A bar on standard error that disappears at the end; hidden unless ``shown`` and on a terminal.

    If ``quiet``, nothing is printed.
    """
    from rich.console import Console
    from rich.progress import Progress

    hidden = quiet or not (shown and sys.stderr.isatty())
    console = Console(stderr=True, quiet=quiet)
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        yield bar


def print_table(table: Table) -> None:
    """Print to standard output, without markup in names."""
    from rich.console import Console

    Console(highlight=False, markup=False).print(table)

"""The command line: its commands, each imported when it is used, and the exit status of each error."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import cast

import click

from cardproof import __version__
from cardproof.commands.options import epilog
from cardproof.core.errors import REPORT, InputError, describe_error
from cardproof.core.signals import exit_status, orderly_end
from cardproof.core.terminal import set_up_streams
from cardproof.zoos import ZooError

NAMES = ("audit", "edit", "explain", "export", "init", "render", "snippets", "speed")


class Commands(Mapping[str, click.Command]):
    """The commands by name: ``name_command`` in the module ``name``."""

    def __getitem__(self, name: str) -> click.Command:
        if name not in NAMES:
            raise KeyError(name)
        command: click.Command = getattr(import_module(f"cardproof.commands.{name}"), f"{name}_command")
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(NAMES)

    def __len__(self) -> int:
        return len(NAMES)


@click.group(
    commands=cast("MutableMapping[str, click.Command]", Commands()),
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=epilog(
        "cardproof audit README.md --zoo timm        check a README",
        "cardproof init --zoo timm 'resnet*'         make a site",
        "cardproof render                            check and build the pages of a site",
        "cardproof explain flops                     explain a finding",
    ),
)
@click.version_option(__version__, message="cardproof %(version)s")
def cardproof() -> None:
    """Check what model cards claim, and build a site of them."""


def main() -> None:
    """Run the command line; any error ends it with one line on standard error and exit status 2."""
    set_up_streams()
    try:
        with orderly_end():
            status = cardproof.main(prog_name="cardproof", standalone_mode=False)
            sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (InputError, ZooError, OSError) as error:
        click.secho(f"error: {error}", err=True, fg="red", bold=True)
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort) as interrupt:
        click.echo("interrupted; no file is half-written", err=True)
        sys.exit(exit_status(interrupt))
    except Exception as error:
        click.echo(f"error: internal error: {describe_error(error)}; this is {REPORT}", err=True)
        sys.exit(2)
    sys.exit(status if isinstance(status, int) else 0)

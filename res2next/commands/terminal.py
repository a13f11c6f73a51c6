"""What commands show on a terminal: bars on standard error while they go on, tables at the end."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import ProgressColumn
    from rich.table import Table


@contextmanager
def progress_bar(*columns: ProgressColumn | str, shown: bool = True) -> Iterator[Progress]:
    """A bar that is gone at the end; without one if it is not to be shown, or nobody watches."""
    hidden = not (shown and sys.stderr.isatty())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=hidden) as bar:
        yield bar


def print_table(table: Table) -> None:
    """To standard output, with names as they are."""
    Console(highlight=False, markup=False).print(table)

"""How an audit was made, for who wants to make it again."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from msgspec import Struct

from cardproof import __version__
from cardproof.core.files import show_path

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cardproof.core.settings import Settings
    from cardproof.judge.audit import Audit


class Provenance(Struct, frozen=True):
    """How an audit was made, for who wants to make it again."""

    command: str
    zoo: str
    """Name and version of the distribution that the networks come from; empty if none was measured."""
    torch: str
    cardproof: str
    date: str
    """Day of the last measurement, in UTC."""


def provenance_of(arguments: Iterable[str], settings: Settings, known: Audit) -> Provenance:
    """Return how an audit was made; ``arguments`` are the paths on its command line."""
    zoo = ["--zoo", settings.zoo] if settings.zoo else []
    names = ["--names", show_path(settings.path(settings.names))] if settings.names else []
    command = shlex.join(["cardproof", "audit", *arguments, *zoo, *names])
    ran = [evidence.environment for evidence in known.proved.evidence.values() if evidence.counts]
    last = max(ran, key=lambda where: where.measured, default=None)
    if last is None:
        return Provenance(command, "", "", __version__, "")
    return Provenance(command, last.zoo, last.torch, __version__, last.measured[:10])

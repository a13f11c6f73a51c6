"""A run: a report for each card, what belongs to no card, and how it was made."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from msgspec import Struct, field

from cardproof import __version__
from cardproof.core.files import show_path
from cardproof.judge.card_report import CardReport, sort_findings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cardproof.core.settings import Settings
    from cardproof.core.types import Finding
    from cardproof.judge.audit import Audit
    from cardproof.judge.online import Links
    from cardproof.render.output.files import Change


class Provenance(Struct, frozen=True):
    """How an audit was made, for who wants to make it again."""

    command: str
    zoo: str
    """Name and version of the distribution that the networks come from; empty if none was measured."""
    torch: str
    cardproof: str
    date: str
    """Day of the last measurement, in UTC."""


class Run(Struct):
    """What one run says: a report for each card, and what belongs to no card."""

    cards: list[CardReport] = field(default_factory=list)
    """In order of their files."""
    site_findings: list[Finding] = field(default_factory=list)
    """Findings that belong to no card, or to several."""
    measured: int = 0
    """Models whose counts were measured."""
    recalled: int = 0
    """Models whose evidence was on record."""
    evaluated: int = 0
    """Results on data sets that were measured."""
    remembered: int = 0
    """Cards that are as an earlier build left them."""
    snippets_ran: int = 0
    snippets_recalled: int = 0
    changes: list[Change] = field(default_factory=list)
    """Files of the site and what happened to them; with ``checked``, what would happen."""
    files: int = 0
    """Files of the site, of remembered cards too."""
    seconds: float = 0.0
    links: Links | None = None
    """What asking the addresses of the cards gave; None if nobody asked for it."""
    method: Provenance | None = None
    """How an audit was made; None for a render."""
    audit: Audit | None = None
    """What an audit read and found out, for other formats; None for a render."""
    checked: bool = False
    fatal_is_input: bool = False
    """A file that cannot be read ends a render with 2; for an audit it is a finding like others."""

    @property
    def findings(self) -> list[Finding]:
        """All findings, in order of their places."""
        return sort_findings([*(finding for card in self.cards for finding in card.findings), *self.site_findings])

    @property
    def exit(self) -> int:
        """Exit status by rule 11 of the design."""
        if self.fatal_is_input and any(finding.fatal for finding in self.findings):
            return 2
        stale = self.checked and any(change.differs for change in self.changes)
        return 1 if stale or any(finding.severity == "error" for finding in self.findings) else 0


def provenance_of(arguments: Iterable[str], settings: Settings, audit: Audit) -> Provenance:
    """Return how an audit was made; ``arguments`` are the paths on its command line."""
    zoo = ["--zoo", settings.zoo] if settings.zoo else []
    names = ["--names", show_path(settings.path(settings.names))] if settings.names else []
    command = shlex.join(["cardproof", "audit", *arguments, *zoo, *names])
    ran = [evidence.environment for evidence in audit.gathered.evidence.values() if evidence.counts]
    last = max(ran, key=lambda where: where.measured, default=None)
    if last is None:
        return Provenance(command, "", "", __version__, "")
    return Provenance(command, last.zoo, last.torch, __version__, last.measured[:10])

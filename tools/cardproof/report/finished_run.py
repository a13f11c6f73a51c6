"""A finished run: the report on each card, findings on the site, its provenance, and its view for the formats."""

from __future__ import annotations

import shlex
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from cardproof import __version__
from cardproof.core.paths import show_path
from cardproof.core.types import Claim, Finding, Judgement, Place
from cardproof.judge.card_report import CardLists, CardReport, sort_findings, statement

if TYPE_CHECKING:
    from cardproof.core.settings import Settings
    from cardproof.judge.audit import Audit
    from cardproof.judge.online import Links
    from cardproof.render.output.files import Change
else:
    Audit = Change = Links = Any  # help() reads the types of a Run, and a warm render needs none of these modules

STALE = {"new": "is missing", "removed": "has no template any more", "edited": "was edited by hand"}
"""Messages on files that differ from what would be rendered; others are stale."""


class Provenance(Struct, frozen=True):
    """All that is needed to repeat an audit."""

    command: str
    zoo: str
    """Name and version of the networks' distribution; empty if none was measured."""
    torch: str
    cardproof: str
    date: str
    """Day of the last measurement, in UTC."""


class Run(Struct):
    """The result of one run: the report on each card, and findings on the site."""

    cards: list[CardReport] = field(default_factory=list)
    """In order of their files."""
    site_findings: list[Finding] = field(default_factory=list)
    """Findings that belong to no card, or to several."""
    measured: int = 0
    """Models whose counts were measured."""
    recalled: int = 0
    """Models whose evidence was on record."""
    unmeasured: int = 0
    """Models that could not be measured: not in the zoo, or without the zoo."""
    evaluated: int = 0
    """Results on data sets that were measured."""
    remembered: int = 0
    """Cards unchanged since an earlier build."""
    snippets_ran: int = 0
    snippets_recalled: int = 0
    changes: list[Change] = field(default_factory=list)
    """Files of the site and what was done to them; with ``checked``, what would be done."""
    files: int = 0
    """Number of files of the site, those of remembered cards included."""
    seconds: float = 0.0
    links: Links | None = None
    """Answers for the addresses of the cards; None without ``--online``."""
    method: Provenance | None = None
    """Of an audit; None for a render."""
    audit: Audit | None = None
    """The audit itself, for exports; None for a render."""
    zoo: str | None = None
    """The zoo of an audit, if one was named."""
    checked: bool = False
    fatal_is_input: bool = False
    """Whether an unreadable file ends the run with 2, as in a render; in an audit it is a finding."""

    @property
    def judgements(self) -> list[Judgement]:
        """The verdict on each claim, card by card."""
        return [judgement for card in self.cards for judgement in card.full().claims]

    @property
    def findings(self) -> list[Finding]:
        """All findings, by their places."""
        return sort_findings([*(finding for card in self.cards for finding in card.findings), *self.site_findings])

    @property
    def not_checkable(self) -> Counter[str]:
        """Number of claims that no check judges, by their fields."""
        return sum((Counter(card.not_checkable) for card in self.cards), Counter())

    @property
    def exit(self) -> int:
        """The exit status: 0, 1 for errors and stale files, 2 for an input that cannot be read."""
        if any(finding.internal for finding in self.findings):
            return 2
        if self.fatal_is_input and any(finding.fatal for finding in self.findings):
            return 2
        stale = self.checked and any(change.differs for change in self.changes)
        return 1 if stale or any(finding.severity == "error" for finding in self.findings) else 0


def provenance_of(arguments: Iterable[str], settings: Settings, audit: Audit) -> Provenance:
    """Return the provenance of an audit; ``arguments`` are the paths on its command line."""
    zoo = ["--zoo", settings.zoo] if settings.zoo else []
    names = ["--names", show_path(settings.path(settings.names))] if settings.names else []
    command = shlex.join(["cardproof", "audit", *arguments, *zoo, *names])
    ran = [evidence.environment for evidence in audit.gathered.evidence.values() if evidence.built]
    last = max(ran, key=lambda where: where.measured, default=None)
    if last is None:
        return Provenance(command, "", "", __version__, "")
    return Provenance(command, last.zoo, last.torch, __version__, last.measured[:10])


class View(Struct, frozen=True):
    """One run with its lists loaded and its findings ordered."""

    run: Run
    lists: CardLists
    findings: tuple[Finding, ...]
    """Of the run, and of files that are stale under ``--check``; in order of their places."""
    at: Mapping[tuple[str, int, int], list[Finding]]
    """Findings by file, line and column, in order of their messages: thousands of models may inherit one value."""

    def finding_of(self, claim: Claim) -> Finding | None:
        """Return the finding of a refuted or disputed claim."""
        said = statement(claim.field, claim.model, claim.stated)
        found = self.at.get(claim.place.start, [])
        first = bisect_left(found, said, key=attrgetter("message"))
        return found[first] if first < len(found) and found[first].message.startswith(said) else None


def load_lists(run: Run) -> CardLists:
    """Return the long lists of a report; those of a card are loaded once."""
    cards = [card.full() for card in run.cards]
    names = ("claims", "published", "blocks", "models", "headers")
    lists: dict[str, Any] = {name: tuple(row for card in cards for row in getattr(card, name)) for name in names}
    return CardLists(**lists)


def view_of(run: Run) -> View:
    stale = []
    for change in run.changes:
        if run.checked and change.differs:
            message = f"this file of the site {STALE.get(change.status, 'is stale')}"
            place = Place(show_path(change.path), 1, 1)
            stale.append(Finding(place, "stale-page", "error", message, "render the site, and commit what changed"))
    findings = tuple(sort_findings([*run.findings, *stale]))
    at: dict[tuple[str, int, int], list[Finding]] = {}
    for finding in sorted(findings, key=attrgetter("message")):
        at.setdefault(finding.place.start, []).append(finding)
    return View(run, load_lists(run), findings, at)

"""Checks: one module per kind; its docstring is its page in the documentation. Adding a check is adding a module.

A module offers ``CHECK``. A check judges the claims of some fields, or reports findings about a card, or both. It
gets what was read and what was measured, returns verdicts and findings, and prints nothing.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cache

from msgspec import Struct, field
from msgspec.structs import replace

from cardproof.core.field_names import spellings_of
from cardproof.core.measurements import Counts, Evidence, Recipe, Totals, Unrun
from cardproof.core.settings import Settings
from cardproof.core.types import Claim, Finding, Judgement, LocalCode, LocalFile, Number, Place
from cardproof.plan.local_files import LocalFiles
from cardproof.read import Card
from cardproof.read.cited_results import CitedSource
from cardproof.read.models import Model
from cardproof.read.table_subject import Subject


class Context(Struct, frozen=True):
    """One model, with all that a check may use."""

    model: Model
    claims: tuple[Claim, ...]
    """All claims of this model."""
    settings: Settings
    evidence: Evidence | None
    others: Mapping[str, Totals] = field(default_factory=dict)
    """Counts of all models of the site, by name."""
    cited: tuple[CitedSource, ...] = ()
    unevaluated: Mapping[str, str] = field(default_factory=dict)
    """Why a data set has no result, by its own name."""
    recipe: Recipe | None = None
    """Of the weights' training, as the zoo states it."""
    weights: LocalFile | None = None
    """The file of weights that the card names, if it is on this machine."""
    code: LocalCode | None = None
    """The source file that the card links, if the repository is on this machine."""
    network: str = ""
    """The zoo's name of the model, if a table of names has it."""
    subjects: Mapping[Place, Subject] = field(default_factory=dict)
    """What the tables of its card are about, by the heads of their columns."""
    neighbours: tuple[Context, ...] = ()
    """All models of its card, this one among them; without neighbours of their own."""
    decided: Collection[Place] = ()
    """Places of claims of which it is known whether they are about the zoo's network; empty while claims are judged."""

    @property
    def missing(self) -> str:
        """Why there are no counts, empty if there are; follows the words "not measured: "."""
        if self.evidence:
            return self.evidence.missing
        zoo = self.settings.zoo
        return "no zoo was named (--zoo)" if zoo is None else f"nothing was measured with zoo '{zoo}'"

    @property
    def counts(self) -> Counts | None:
        return self.evidence.counts if self.evidence else None

    @property
    def run_counts(self) -> Counts:
        """The counts, for callers that know that they are not missing."""
        assert self.counts
        return self.counts

    @property
    def built(self) -> Counts | Unrun | None:
        """What is known of the network without a run; None if it could not be built."""
        return self.evidence.built if self.evidence else None

    def stated(self, kind: str) -> Iterator[Claim]:
        """Yield the claims about the model itself in fields of a kind."""
        return (claim for claim in self.claims if claim.kind == kind and claim.is_field)

    def subject(self, claim: Claim) -> Subject | None:
        """Return what the table of a claim is about; None if it does not stand in one."""
        return self.subjects.get(claim.column) if claim.column else None

    def numbers(self, kind: str) -> Iterator[tuple[Claim, Number]]:
        """Yield the claims of a kind that state a number, with it."""
        return ((claim, claim.number) for claim in self.stated(kind) if claim.number)


class CardContext(Struct, frozen=True):
    """One card, with all that a check may use."""

    card: Card
    models: tuple[Context, ...]
    files: LocalFiles = field(default_factory=LocalFiles)
    """Local files that it names."""
    has_zoo: bool = False
    """Whether a zoo is named."""


class Check(Struct, frozen=True):
    """One kind of check."""

    name: str
    """Its word in reports and the name of its page."""
    kinds: tuple[str, ...] = ()
    """Kinds of fields that it judges."""
    judge: Callable[[Claim, Context], Judgement] | None = None
    results: bool = False
    """Judges the metrics of results."""
    needs_run: bool = False
    """Judges claims only if a network ran that is the card's."""
    check_model: Callable[[Context], Iterable[Finding]] | None = None
    """Reports findings about a model as a whole."""
    check_card: Callable[[CardContext], Iterable[Finding]] | None = None
    """Reports findings about a card: its text, its header, its models compared."""
    findings: tuple[str, ...] = ()
    """Further names of findings that its page describes."""
    page: str = ""
    """Its documentation: the docstring of its module, set by :func:`all_checks`."""

    @property
    def fields(self) -> frozenset[str]:
        """The fields that it judges, in all their normal spellings."""
        return spellings_of(*self.kinds)


@cache
def all_checks() -> tuple[Check, ...]:
    """Return the checks of all modules of this package, in order of their names."""
    found = []
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        if check := getattr(module, "CHECK", None):
            found.append(replace(check, page=module.__doc__ or ""))
    return tuple(sorted(found, key=lambda check: check.name))


@cache
def checks_by_word() -> dict[str, Check]:
    """Return each check by its name and by the words that its findings have in brackets."""
    return {word: check for check in all_checks() for word in (check.name, *check.findings)}


def check_of(claim: Claim) -> Check | None:
    """Return the check that judges a claim."""
    return _checks_by_kind().get(None if claim.metric else claim.kind)


@cache
def _checks_by_kind() -> dict[str | None, Check]:
    """Return the checks that judge claims by the kind of their field, and under None the one of results."""
    return {kind: check for check in all_checks() for kind in ([None] if check.results else check.kinds)}

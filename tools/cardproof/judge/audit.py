"""Audit: the chain from cards that were read to verdicts on their claims, and all that it found out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from cardproof.judge.card_report import CardReport, ModelRow, card_report
from cardproof.judge.ignores import apply_ignores
from cardproof.judge.judge import Verdicts, judge
from cardproof.measure.gather import GatheredEvidence, gather
from cardproof.measure.speeds import Speed, Speeds, load_speeds
from cardproof.plan.local_files import AtHand, look_at_hand
from cardproof.plan.needs import plan
from cardproof.plan.options import DEFAULTS
from cardproof.read.cited_results import read_cited
from cardproof.snippets.results import findings_of
from cardproof.zoos.aliases import names_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from cardproof.core.settings import Settings
    from cardproof.core.types import Evidence, Judgement, Need, Recipe, Totals
    from cardproof.plan.options import MeasureOptions
    from cardproof.read import Card, Model, Reading
    from cardproof.snippets.results import PageRun


def audit_cards(
    reading: Reading,
    settings: Settings,
    options: MeasureOptions = DEFAULTS,
    *,
    store: Path | None = None,
    wanted: Collection[str] | None = None,
    others: Mapping[str, Totals] | None = None,
) -> Audit:
    """Plan, recall, measure and judge what was read.

    What is on record in the folder ``store`` is not measured again. Only models of the cards ``wanted`` are measured,
    those of all cards for None; ``others`` are the counts of models of cards that were not read. Raises InputError for
    a word of ``options.force`` that means nothing here, and as :func:`gather` does.
    """
    options.force.check(model.name for model in reading.models)
    cited = read_cited(settings.path(settings.cited)) if settings.cited else ()
    needs = plan(reading, names_of(settings))
    unique = list(dict.fromkeys(needs.values()))
    chosen = {need for (file, _), need in needs.items() if wanted is None or file in wanted}
    gathered = gather(unique, chosen, settings, store, options)
    # a page must not depend on the files of weights of the machine that renders it: only audits look into their folder
    local = look_at_hand(reading, settings if store is None else replace(settings, weights=None))
    verdicts = judge(reading, needs, gathered, settings, cited, others, local)
    speeds = load_speeds(settings.path(settings.speed)) if settings.speed else None
    return Audit(reading, needs, gathered, verdicts, local, speeds)


class Audit(Struct, frozen=True):
    """Cards that were read, with all that was found out about their models."""

    reading: Reading
    needs: Mapping[tuple[str, str], Need]
    """By the card's file and the model's name."""
    gathered: GatheredEvidence
    verdicts: Verdicts
    local: AtHand
    """Files beside the cards that verdicts rest on."""
    speeds: Speeds | None
    """How long the networks take; None if nobody measured it."""

    def evidence(self, card: Card, model: Model) -> Evidence | None:
        """Return the evidence of one model; None if there is none."""
        return self.gathered.evidence.get(self.needs[card.file, model.name])

    def recipe(self, need: Need) -> Recipe | None:
        """Return how a model was trained, as its zoo says it; None if nobody says it."""
        found = self.gathered.evidence.get(need)
        return self.gathered.recipes.get(need) or (found.recipe if found else None)

    def speed(self, model: Model) -> Speed | None:
        """Return how long a model's network takes; None if that was not measured with the network of today."""
        return self.speeds.of(model.name, self.gathered.digests.get(model.name)) if self.speeds else None

    def evidence_of(self, card: Card) -> list[Evidence]:
        """Return the evidence that there is of a card's models."""
        return [found for model in card.models if (found := self.evidence(card, model))]

    def recalled(self, cards: Iterable[Card]) -> int:
        """Return how many models of the cards that were wanted have evidence that was not measured in this run."""
        needs = {self.needs[card.file, model.name] for card in cards for model in card.models}
        found = {need for need, evidence in self.gathered.evidence.items() if evidence.key}
        return len(needs & found) - self.gathered.measured

    def sources(self, card: Card) -> set[Path]:
        """Return the source files that a zoo of the user's own loaded for a card's models."""
        names = (name for evidence in self.evidence_of(card) for name, _ in evidence.sources)
        return {Path(name) for name in names if name.endswith(".py")}

    def report(self, card: Card, runs: Iterable[PageRun] = (), rows: tuple[ModelRow, ...] = ()) -> CardReport:
        """Put together what is reported of one card; ``runs`` are those of its snippets."""
        runs, file, verdicts = tuple(runs), card.file, self.verdicts
        evidence = {model.name: one for model in card.models if (one := self.evidence(card, model))}
        found = (*verdicts.findings[file], *(finding for run in runs for finding in findings_of(run)))
        undecided = {one.claim.place.line for one in verdicts.judgements[file] if one.verdict == "unchecked"}
        proved = bool(evidence) and all(one.counts for one in evidence.values()) and len(evidence) == len(card.models)
        findings = tuple(apply_ignores(card.source, found, undecided, proved))
        return card_report(card, findings, verdicts.judgements[file], verdicts.published[file], evidence, runs, rows)


def by_model(judgements: Iterable[Judgement]) -> dict[str, list[Judgement]]:
    """Return judgements by the name of the model that they are about."""
    found: dict[str, list[Judgement]] = {}
    for judgement in judgements:
        found.setdefault(judgement.claim.model, []).append(judgement)
    return found

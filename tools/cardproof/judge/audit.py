"""What is known of some cards: what was read, what was proved, and the verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, field

from cardproof.judge.card_report import CardReport, ModelRow, card_report
from cardproof.plan.local_files import AtHand

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cardproof.core.types import Evidence, Need, Recipe
    from cardproof.judge.judge import Verdicts
    from cardproof.measure.gather import GatheredEvidence
    from cardproof.measure.speeds import Speed, Speeds
    from cardproof.read import Card, Model, Reading
    from cardproof.snippets.results import PageRun


class Audit(Struct, frozen=True):
    """Cards that were read, with all that is known of their models."""

    reading: Reading
    needs: Mapping[tuple[str, str], Need]
    """By the card's file and the model's name."""
    proved: GatheredEvidence
    verdicts: Verdicts
    at_hand: AtHand = field(default_factory=AtHand)
    """Files beside the cards that verdicts rest on."""
    speeds: Speeds | None = None
    """How long the networks take; None where nobody measured it."""

    def evidence(self, card: Card, model: Model) -> Evidence | None:
        """Return the evidence of one model; None where there is none."""
        return self.proved.evidence.get(self.needs[card.file, model.name])

    def recipe(self, need: Need) -> Recipe | None:
        """Return how a model was trained, as its zoo says it; None where nobody says it."""
        found = self.proved.evidence.get(need)
        return self.proved.recipes.get(need) or (found.recipe if found else None)

    def speed(self, model: Model) -> Speed | None:
        """Return how long a model's network takes; None where that was not measured with the network of today."""
        return self.speeds.of(model.name, self.proved.digests.get(model.name)) if self.speeds else None

    def evidence_of(self, card: Card) -> list[Evidence]:
        """Return the evidence that there is of a card's models."""
        return [found for model in card.models if (found := self.evidence(card, model))]

    def report(self, card: Card, runs: Iterable[PageRun] = (), rows: tuple[ModelRow, ...] = ()) -> CardReport:
        """Put together what is reported of one card; ``runs`` are those of its snippets."""
        from cardproof.judge.ignores import apply_ignores
        from cardproof.snippets.results import findings_of

        runs, file, verdicts = tuple(runs), card.file, self.verdicts
        evidence = {model.name: one for model in card.models if (one := self.evidence(card, model))}
        found = (*verdicts.findings[file], *(finding for run in runs for finding in findings_of(run)))
        undecided = {one.claim.place.line for one in verdicts.judgements[file] if one.verdict == "unchecked"}
        proved = bool(evidence) and all(one.counts for one in evidence.values()) and len(evidence) == len(card.models)
        findings = tuple(apply_ignores(card.source, found, undecided, proved))
        return card_report(card, findings, verdicts.judgements[file], verdicts.published[file], evidence, runs, rows)

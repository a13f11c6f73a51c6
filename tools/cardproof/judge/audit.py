"""What is known of some cards: what was read, what was proved, and the verdicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct, field

from cardproof.core.types import Evidence, Need, Recipe, Totals
from cardproof.judge.card_report import CardLists, CardReport, ModelRow, block_row, defined_in, model_row
from cardproof.plan.local_files import AtHand
from cardproof.read.hub import header_facts

if TYPE_CHECKING:
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
    """How long the networks take; None if nobody measured it."""

    def evidence(self, card: Card, model: Model) -> Evidence | None:
        """Return the evidence of one model; None if there is none."""
        return self.proved.evidence.get(self.needs[card.file, model.name])

    def recipe(self, need: Need) -> Recipe | None:
        """Return how a model was trained, as its zoo says it; None if nobody says it."""
        found = self.proved.evidence.get(need)
        return self.proved.recipes.get(need) or (found.recipe if found else None)

    def speed(self, model: Model) -> Speed | None:
        """Return how long a model's network takes; None if that was not measured with the network of today."""
        return self.speeds.of(model.name, self.proved.digests.get(model.name)) if self.speeds else None

    def evidence_of(self, card: Card) -> list[Evidence]:
        """Return the evidence that there is of a card's models."""
        return [found for model in card.models if (found := self.evidence(card, model))]

    def report(self, card: Card, runs: Iterable[PageRun] = (), rows: tuple[ModelRow, ...] = ()) -> CardReport:
        """Put together what is reported of one card; ``runs`` are those of its snippets."""
        from cardproof.judge.ignores import apply_ignores
        from cardproof.snippets.results import findings_of

        runs, file = tuple(runs), card.file
        judgements, published = self.verdicts.judgements[file], self.verdicts.published[file]
        evidence = {model.name: one for model in card.models if (one := self.evidence(card, model))}
        counts = {name: one.counts for name, one in evidence.items() if one.counts}
        found = (*self.verdicts.findings[file], *(finding for run in runs for finding in findings_of(run)))
        undecided = {one.claim.place.line for one in judgements if one.verdict == "unchecked"}
        proved = bool(evidence) and len(counts) == len(evidence) == len(card.models)
        tally: dict[str, Counter[str]] = {}
        for judgement in judgements:
            tally.setdefault(judgement.claim.field, Counter())[judgement.verdict] += 1
        lists = CardLists(
            judgements,
            published,
            tuple(block_row(run, block) for run in runs for block in run.blocks),
            tuple(model_row(card, model) for model in card.models),
            ({"file": file, "fields": header_facts(card.header)},) if card.header else (),
        )
        return CardReport(
            file,
            defined_in(card),
            tuple(apply_ignores(card.source, found, undecided, proved)),
            {name: dict(counter) for name, counter in tally.items()},
            sum(judgement.explained for judgement in judgements),
            dict(Counter(block.status for run in runs for block in run.blocks)),
            tuple(sorted({run.model for run in runs if run.model})),
            tuple(sorted({run.device for run in runs})),
            len(runs),
            {name: Totals(one.parameters, one.multiply_adds) for name, one in counts.items()},
            rows,
            across={"totals": any(judgement.verdict == "refuted" for judgement in (*judgements, *published))},
            full=lambda: lists,
        )

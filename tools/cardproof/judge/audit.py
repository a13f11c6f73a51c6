"""The audit: the chain from cards to verdicts on their claims, and the comments of cards that ignore a finding.

``# cardproof: ignore[flops] reason`` in a model index, ``<!-- cardproof: ignore[closed-site] reason -->`` in the text:
after a value it is about its own line, alone on a line about the next one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from cardproof.core.errors import InputError, did_you_mean
from cardproof.core.json import NewerError
from cardproof.core.measurements import Evidence, Recipe, Totals
from cardproof.core.source import Source
from cardproof.core.types import Finding, Need, Place
from cardproof.evidence.records import source_files
from cardproof.judge.card_report import (
    CardLists,
    CardReport,
    ModelRow,
    block_row,
    definitions_in,
    is_checkable,
    is_generated,
    model_row,
)
from cardproof.judge.checks import checks_by_word
from cardproof.judge.verdicts import Verdicts, judge
from cardproof.measure.gather import GatheredEvidence, gather
from cardproof.measure.speeds import Speed, Speeds, load_speeds
from cardproof.plan.local_files import LocalFiles, find_local_files
from cardproof.plan.options import DEFAULTS, MeasureOptions
from cardproof.plan.recall import plan
from cardproof.read.cited_results import read_cited
from cardproof.read.hub_header import header_facts
from cardproof.read.markdown import lines_of
from cardproof.snippets.results import PageRun, findings_of
from cardproof.zoos.name_tables import load_names

if TYPE_CHECKING:
    from cardproof.core.settings import Settings
    from cardproof.read import Card, Model, Reading

_IGNORE = re.compile(r"(?P<before>.*?)(?:#|<!--)[ \t]{0,8}cardproof:[ \t]{0,8}ignore(?P<rest>[^\r\n]*)")
_REST = re.compile(r"\[(?P<words>[a-z0-9., -]{1,200})\][ \t]*(?P<reason>.*)")


def audit_cards(
    reading: Reading,
    settings: Settings,
    options: MeasureOptions = DEFAULTS,
    *,
    store: Path | None = None,
    wanted: Collection[str] | None = None,
    others: Mapping[str, Totals] | None = None,
) -> Audit:
    """Plan, recall, measure and judge cards.

    Evidence in the folder ``store`` is used again. Only models of the cards ``wanted`` are measured (None: all);
    ``others`` are the counts of models of cards that were not read. Raises InputError for an invalid word of
    ``options.force``, and as :func:`gather` does.
    """
    options.force.check(model.name for model in reading.models)
    cited = read_cited(settings.path(settings.cited)) if settings.cited else ()
    faults: list[Finding] = []
    needs = plan(reading, load_names(settings), faults.append)
    unique = list(dict.fromkeys(needs.values()))
    chosen = {need for (file, _), need in needs.items() if wanted is None or file in wanted}
    gathered = gather(unique, chosen, settings, store, options)
    of_audit = store is None or options.remember
    # a page must not depend on the files of weights of the machine that renders it: only audits look into their folder
    local = find_local_files(reading, settings if of_audit else replace(settings, weights=None), faults.append)
    verdicts = judge(reading, needs, gathered, settings, cited, others, local, faults)
    speeds = None
    if settings.speed:
        path = settings.path(settings.speed)
        try:
            speeds = load_speeds(path)
        except NewerError:
            raise
        except InputError:  # it is not as it was written, and is reported like a record of evidence
            gathered = replace(gathered, tampered=(*gathered.tampered, path))
    return Audit(reading, needs, gathered, verdicts, local, speeds)


class Audit(Struct, frozen=True):
    """Cards with the evidence on their models and the verdicts on their claims."""

    reading: Reading
    needs: Mapping[tuple[str, str], Need]
    """By the card's file and the model's name."""
    gathered: GatheredEvidence
    verdicts: Verdicts
    local: Mapping[str, LocalFiles]
    """Local files that verdicts depend on, by the card's file."""
    speeds: Speeds | None
    """Times of the networks; None without a file of times."""

    def evidence(self, card: Card, model: Model) -> Evidence | None:
        return self.gathered.evidence.get(self.needs[card.file, model.key])

    def recipe(self, need: Need) -> Recipe | None:
        """Return the recipe that the zoo states for a model; None if missing."""
        found = self.gathered.evidence.get(need)
        return self.gathered.recipes.get(need) or (found.recipe if found else None)

    def speed(self, model: Model) -> Speed | None:
        """Return the time of a model's network; None if it was not measured with the current network."""
        return self.speeds.of(model.name, self.gathered.digests.get(model.name)) if self.speeds else None

    def evidence_of(self, card: Card) -> list[Evidence]:
        """Return all evidence on a card's models."""
        return [found for model in card.models if (found := self.evidence(card, model))]

    def recalled(self, cards: Iterable[Card]) -> int:
        """Return how many models of these cards have evidence from earlier runs."""
        needs = {self.needs[card.file, model.key] for card in cards for model in card.models}
        return len(needs & self.gathered.recalled)

    def sources(self, card: Card) -> set[Path]:
        """Return the files that the user's own zoo loaded or read for a card's models."""
        found = self.evidence_of(card)
        sources = [one.sources for one in found] + [result.sources for one in found for result in one.evaluations]
        return {path for loaded in sources for path in source_files(loaded)}

    def report(self, card: Card, runs: Iterable[PageRun] = (), rows: tuple[ModelRow, ...] = ()) -> CardReport:
        """Return the report on one card; ``runs`` are those of its snippets."""
        runs, file = tuple(runs), card.file
        judgements, published = self.verdicts.judgements[file], self.verdicts.published[file]
        evidence = [self.evidence(card, model) for model in card.models]
        counts = {found.model: found.counts for found in evidence if found and found.counts}
        found = (*self.verdicts.findings[file], *(finding for run in runs for finding in findings_of(run)))
        undecided = {one.claim.place.line for one in judgements if one.verdict == "unchecked"}
        proved = bool(evidence) and all(found and found.counts for found in evidence)
        tally: dict[str, Counter[str]] = {}
        for judgement in judgements:
            tally.setdefault(judgement.claim.field, Counter())[judgement.verdict] += 1
        nobody = Counter(judgement.claim.field for judgement in judgements if not is_checkable(judgement))
        lists = CardLists(
            judgements,
            published,
            tuple(block_row(run, block) for run in runs for block in run.blocks),
            tuple(model_row(card, model) for model in card.models),
            ({"file": file, "fields": header_facts(card.header)},) if card.header else (),
        )
        return CardReport(
            file,
            definitions_in(card),
            tuple(apply_ignores(card.source, found, undecided, proved)),
            {name: dict(counter) for name, counter in tally.items()},
            sum(judgement.explained for judgement in judgements),
            dict(Counter(block.status for run in runs for block in run.blocks)),
            tuple(sorted({run.model for run in runs if run.model})),
            tuple(sorted({run.device for run in runs})),
            len(runs),
            {name: Totals(one.parameters, one.multiply_adds) for name, one in counts.items()},
            rows,
            generated=sum(is_generated(card, judgement) for judgement in judgements),
            across={"totals": any(judgement.verdict == "refuted" for judgement in (*judgements, *published))},
            not_checkable=dict(nobody),
            full=lambda: lists,
        )


class Ignore(Struct, frozen=True):
    """One comment: the findings that it accepts, and the reason."""

    place: Place
    line: int
    """The line that it is about."""
    words: tuple[str, ...]
    reason: str


def apply_ignores(
    source: Source, findings: Iterable[Finding], undecided: Collection[int], proved: bool
) -> list[Finding]:
    """Return a card's findings with the ignored ones as notes, and with findings about the ignores.

    An ignore without a finding is a warning, except on the lines ``undecided``, and for checks that need a network if
    the card's networks were not all ``proved``.
    """
    findings = list(findings)
    if "cardproof:" not in source.text:
        return findings
    ignores, troubles = _read_ignores(source)
    used: set[Ignore] = set()
    for index, finding in enumerate(findings):
        if finding.place.file != source.name or finding.fatal or finding.internal:
            continue
        for ignore in ignores:
            if finding.place.line == ignore.line and finding.check in ignore.words:
                used.add(ignore)
                hint = f"ignored here: {ignore.reason}"
                findings[index] = replace(finding, severity="note", hint=hint, fix=None, settled="ignored")
    for ignore in ignores:
        decided = ignore.line not in undecided and (proved or _needs_no_network(ignore.words))
        if ignore not in used and decided:
            message = f"unused ignore: {', '.join(ignore.words)} finds nothing on line {ignore.line}"
            troubles.append(Finding(ignore.place, "ignore", "warning", message, "remove it"))
    return findings + troubles


def _read_ignores(source: Source) -> tuple[list[Ignore], list[Finding]]:
    ignores: list[Ignore] = []
    troubles: list[Finding] = []
    known = checks_by_word()
    markdown = source.path.suffix.lower() in (".md", ".mdx")
    for number, (start, line, is_code) in enumerate(lines_of(source.text), 1):
        text = "" if markdown and is_code else line.rstrip("\r\n")  # in code, an ignore is only an example
        match = _IGNORE.match(text) if "cardproof:" in text and len(text) < 5000 else None
        if match is None:
            continue
        place = source.place(start + match.end("before"), start + len(text))
        rest = _REST.match(match["rest"])
        words = tuple(word.strip() for word in rest["words"].split(",") if word.strip()) if rest else ()
        reason = rest["reason"].strip().removesuffix("-->").strip() if rest else ""
        unknown = [word for word in words if word not in known]
        if not words or unknown:
            what = f"no check is called {', '.join(unknown)}" if unknown else "an ignore names what it ignores"
            what += did_you_mean(unknown[0], sorted(known)) if unknown else ""
            hint = "write ignore[check] and a reason; checks are the words in brackets of reports"
            troubles.append(Finding(place, "ignore", "error", what, hint))
        elif not reason:
            message = "an ignore needs a reason; this one ignores nothing"
            troubles.append(Finding(place, "ignore", "error", message, "give the reason behind the brackets"))
        else:
            alone = not match["before"].strip()
            ignores.append(Ignore(place, number + 1 if alone else number, words, reason))
    return ignores, troubles


def _needs_no_network(words: tuple[str, ...]) -> bool:
    checks = [checks_by_word()[word] for word in words]
    return all(check.judge is None and check.check_model is None and check.check_card for check in checks)

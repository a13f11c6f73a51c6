"""Pages of a site: the text that each card's template renders to."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from cardproof.core.errors import TemplatesError
from cardproof.core.types import Finding, Place, ShownVerdict
from cardproof.evidence.records import file_name
from cardproof.judge.card_report import ModelRow, is_checkable, is_generated
from cardproof.read.markdown import find_header, split_at_section
from cardproof.render.catalog.model_files import CardFiles, card_files
from cardproof.render.catalog.model_summary import CONCERNS, model_summary_text, summarize_models
from cardproof.render.functions.audit_report import audit_report
from cardproof.render.functions.model_lists import COLUMNS, compare_table, family_cards, model_table
from cardproof.render.output.paths import Folders, relative, site_templates, site_urls
from cardproof.render.output.text import add_stamp, fence_for, is_expanded, page_link, plain_text
from cardproof.render.views.claims import MEANING, NOT_MEASURED, ModelView, count_verdicts, model_view, split_shared
from cardproof.render.views.comparison import ModelsBySize, top1_scores
from cardproof.render.views.comparison_view import ComparisonView, comparison_view
from cardproof.render.views.evidence import RecordView, Sources, claim_records
from cardproof.render.views.paper_and_licence import BIBTEX, About, Citation, about, citations, first_paragraph, json_ld
from cardproof.render.views.snippets import insert_results, snippets_summary
from cardproof.render.views.summary import (
    Link,
    PublishedGroup,
    family_facts,
    page_links,
    page_verdict,
    published_groups,
    verdict_sentence,
    wrong_fields,
)
from cardproof.render.views.svg import DiagramView, diagram_view
from cardproof.render.views.training import TrainingView, training_view
from cardproof.zoos.metadata import diagram_of

if TYPE_CHECKING:
    from cardproof.core.settings import Settings
    from cardproof.judge.audit import Audit
    from cardproof.read import Card
    from cardproof.render.views.claims import ClaimView, Fact
    from cardproof.snippets.results import PageRun

MOST_INDEX = 1500
"""Characters of a model index that a page repeats; for a longer one it names the file."""


SHORT_NAMES = {"Top 1 Accuracy": "Top-1", "Top 5 Accuracy": "Top-5"}
"""Headings of columns of variants, which are narrow."""


class PageView(Struct, frozen=True):
    """The variable ``page`` of the layout."""

    title: str
    template: str
    header: str
    head: str
    """The author's text before the first second-level heading."""
    body: str
    models: tuple[ModelView, ...]
    """Without shared claims."""
    shared: tuple[ClaimView, ...]
    """Claims that all of several models share."""
    verdicts: tuple[tuple[ShownVerdict, int], ...]
    claims: int
    ran: str
    columns: tuple[str, ...]
    column_names: Mapping[str, str]
    """Heading of a column, if it is not the field as the cards write it."""
    sentence: str
    """What became of the claims, in one sentence."""
    verdict: ShownVerdict
    """The verdict that needs attention first."""
    first: Mapping[ShownVerdict, str]
    """Verdict -> anchor of the first claim with it."""
    refuted: tuple[tuple[str, ClaimView], ...]
    """Name of the model, and the claim."""
    disputed: tuple[tuple[str, ClaimView], ...]
    facts: tuple[Fact, ...]
    """Tiles: of the model, or the ranges of several."""
    links: tuple[Link, ...]
    """Buttons: weights, licence, recipe, paper, evidence."""
    published: tuple[PublishedGroup, ...]
    """Other values that sources publish."""
    index: str
    index_fence: str
    is_long: bool
    """Whether the index is too long for the page, or has text that other plugins would replace."""
    snippets: str
    """Results of the page's snippets, in words."""
    records: tuple[RecordView, ...]
    """Evidence of the verdicts."""
    stands: ComparisonView | None
    """Comparison with the other models of the site."""
    about: About
    description: str
    """The first paragraph, as plain text."""
    linked_data: str
    """JSON-LD."""
    citations: tuple[Citation, ...]
    """Of the card's papers; empty if the author's text has one."""
    training: TrainingView
    diagram: DiagramView | None
    """How the blocks of all models are built, if the zoo describes it."""


class AuthorText(Struct, frozen=True):
    """A card's text after Jinja, with the source of each of its lines."""

    header: str
    text: str
    """Without header and model index; line numbers are those of the template."""
    origin: Mapping[int, tuple[str, int]]


Rows = Mapping[str, tuple[ModelRow, ...]]


class Site:
    """The cards of one run with their views, and the templates that render them."""

    def __init__(self, audit: Audit, folders: Folders, settings: Settings, remembered: Rows) -> None:
        """``remembered`` are the rows of cards that were not read, by file."""
        self._cards = audit.reading.cards
        self._folders = folders
        self._templates = site_templates(folders)
        self.pages = {card.file: folders.out / card.source.path.relative_to(folders.cards) for card in self._cards}
        """Paths of the pages by the card's file."""
        self._records = {card.file: _records(card, audit, folders) for card in self._cards}
        self._views = {card.file: self._model_views(card, audit) for card in self._cards}
        self._authors: dict[tuple[str, str | None], AuthorText] = {}
        self._audit, self._settings = audit, settings
        self._summaries = {card.file: summarize_models(card, audit, settings) for card in self._cards}
        own = {card.file: self._rows(card) for card in self._cards}
        self.rows = dict(sorted({**remembered, **own}.items()))
        """Rows of tables by the card's file, of all cards of the site."""
        self._all_rows = [row for rows in self.rows.values() for row in rows]
        self._standings = ModelsBySize(self._all_rows)
        self.asked: defaultdict[str, set[Path]] = defaultdict(set)
        """Files that the templates of a card read or looked for, by the card's file."""
        self.looked: dict[str, set[str]] = {"rows": set(), "standing": set()}
        """Cards that show models of other cards: as ``rows`` of a list, or in a comparison."""

    def files(self, card: Card) -> CardFiles:
        page, summaries = self.pages[card.file], self._summaries[card.file]
        return card_files(card, page, summaries, self._audit, self._folders, self._settings)

    def includes(self, card: Card) -> tuple[str, ...]:
        return tuple(sorted(self._templates.includes(card.source.text)))

    def author_text(self, card: Card, model: str | None) -> AuthorText:
        """Render a card's own text for one of its models, once. Raises TemplatesError."""
        from cardproof.render.line_origins import trace

        if (card.file, model) not in self._authors:
            header, text = _author_text(card)
            rendered, origin = trace(self._templates, text, str(card.source.path), self._variables(card, model))
            self._authors[card.file, model] = AuthorText(header, rendered, origin)
            self.asked[card.file] |= self._templates.requested()
        return self._authors[card.file, model]

    def render(self, cards: Iterable[Card], runs: Mapping[str, Sequence[PageRun]]) -> dict[str, str]:
        """Return the texts of the pages of some cards, by the card's file; ``runs`` are the snippet runs likewise.

        Raises TemplatesError with the findings of all templates.
        """
        rendered, findings = {}, []
        for card in cards:
            try:
                _check_name(card, self._folders)
                text = self._page(card, runs.get(card.file, ()))
                template = relative(card.source.path, self._folders.base)
                rendered[card.file] = add_stamp(text, template, card.source.text)
            except TemplatesError as error:
                findings += error.findings
        if findings:
            raise TemplatesError(findings)
        return rendered

    def _model_views(self, card: Card, audit: Audit) -> tuple[ModelView, ...]:
        views = []
        for model, records in zip(card.models, self._records[card.file], strict=True):
            found = audit.evidence(card, model)
            file = relative(self._folders.evidence / file_name(model.name), self.pages[card.file].parent)
            verdicts, link = audit.verdicts.of_model(card.file, model.key), page_link(file) if found else None
            views.append(model_view(model, verdicts, found, link, records, partial(is_generated, card)))
        return tuple(views)

    def _variables(self, card: Card, model: str | None) -> dict[str, Any]:
        page, urls = self.pages[card.file], site_urls(self._settings, self._folders)

        def all_rows() -> list[ModelRow]:
            self.looked["rows"].add(card.file)
            return self._all_rows

        catalog = self._settings.path(self._settings.catalog) if self._settings.catalog else None
        variables: dict[str, Any] = {
            "models": self._views[card.file],
            "model_table": model_table(all_rows, page),
            "compare_table": compare_table(all_rows, page, urls, catalog),
            "family_cards": family_cards(all_rows, page, urls),
            "audit_report": audit_report(self._folders.base, self.asked[card.file].add),
        }
        return variables if model is None else {**variables, "model_name": model}

    def _comparison(self, card: Card) -> ComparisonView | None:
        found = self._standings.of(self.rows[card.file])
        if any(row.scores for row in self.rows[card.file]):
            self.looked["standing"].add(card.file)
        conditions = self._audit.speeds.conditions if self._audit.speeds else None
        return comparison_view(found, self.pages[card.file], conditions) if found else None

    def _rows(self, card: Card) -> tuple[ModelRow, ...]:
        page, summaries = self.pages[card.file], self._summaries[card.file]
        rows = []
        for model, view in zip(card.models, self._views[card.file], strict=True):
            found = self._audit.evidence(card, model)
            counts = found.counts if found else None
            speed = self._audit.speed(model)
            row = ModelRow(
                view.name,
                view.anchor,
                page,
                view.collections,
                view.values,
                found.built.parameters if found and found.built else None,
                counts.all_multiply_adds if counts else None,
                speed.milliseconds if speed else None,
                top1_scores(self._audit.verdicts.of_model(card.file, model.key).own),
                view.verdicts,
                view.marks,
                {claim.verdict: claim.anchor for claim in reversed(view.claims) if claim.verdict in CONCERNS},
                model_summary_text(summaries[view.name]),
            )
            rows.append(row)
        return tuple(rows)

    def _page(self, card: Card, runs: Sequence[PageRun]) -> str:
        views = self._views[card.file]
        first = views[0].name if views else None
        source = self.author_text(card, first)
        author = insert_results(source.text, [run for run in runs if run.model == first]).strip("\n") + "\n"
        if not views:
            return source.header + author
        page = self._view(card, source.header, author, runs)
        variables = {**self._variables(card, first), "page": page, "meaning": MEANING}
        looked = {folder / "page.md" for folder in (self._folders.root, self._folders.fallback) if folder}
        own = any(path.is_file() for path in looked)
        text = self._templates.render_file("page.md" if own else "cardproof/page.md", variables)
        self.asked[card.file] |= looked | self._templates.requested()
        return text

    def _view(self, card: Card, header: str, author: str, runs: Sequence[PageRun]) -> PageView:
        views, index = self._views[card.file], _index_text(card)
        shared, models = split_shared(views)
        head, body = split_at_section(author)
        title, description, facts = _title(author) or card.source.path.stem, first_paragraph(head), about(card)
        title = plain_text(title)
        verdicts = count_verdicts(sum((Counter(dict(view.verdicts)) for view in views), Counter()))
        training = training_view(card, self._audit)
        rows = [row for model in models for row in model.claims] + list(shared)
        return PageView(
            title=title,
            template=relative(card.source.path, self._folders.base),
            header=header,
            head=head.strip("\n"),
            body=body.strip("\n"),
            models=models,
            shared=shared,
            verdicts=verdicts,
            claims=sum(count for view in views for _, count in view.verdicts),
            ran=_measured_text(views),
            columns=tuple(column for column in COLUMNS if _is_column(column, views)),
            column_names={**SHORT_NAMES, **({"FLOPs": "Multiply-adds"} if _are_multiply_adds(views) else {})},
            sentence=verdict_sentence(verdicts, wrong_fields(views), card.generated, self._not_checkable(card)),
            verdict=page_verdict(verdicts),
            first={row.verdict: row.anchor for row in reversed(rows)},
            refuted=tuple((view.name, claim) for view in views for claim in view.refuted),
            disputed=tuple((view.name, claim) for view in views for claim in view.disputed),
            facts=family_facts(views),
            links=page_links(views, facts, body, bool(training.recipes)),
            published=published_groups(views),
            index=index,
            index_fence=fence_for(index)[3:],  # the layout has the first three
            is_long=len(index) > MOST_INDEX or is_expanded(index),
            snippets=snippets_summary(runs),
            records=tuple({r.anchor: r for kinds in self._records[card.file] for r in kinds.values()}.values()),
            stands=self._comparison(card),
            about=facts,
            description=description,
            linked_data=json_ld(title, description, facts, views),
            citations=() if BIBTEX.search(author) else tuple(c for paper in facts.papers for c in citations(paper)),
            training=training,
            diagram=self._diagram(card),
        )

    def _not_checkable(self, card: Card) -> int:
        own = (self._audit.verdicts.of_model(card.file, model.key).own for model in card.models)
        return sum(not is_checkable(judgement) for judgements in own for judgement in judgements)

    def _diagram(self, card: Card) -> DiagramView | None:
        """Return how the blocks of a card's models are built; None if they differ, or the zoo does not say."""
        found = {
            diagram_of(self._settings.zoo, self._audit.needs[card.file, model.key].in_zoo) for model in card.models
        }
        return diagram_view(found.pop()) if len(found) == 1 else None


def _author_text(card: Card) -> tuple[str, str]:
    """Return the header, and the text with blank lines in place of header and model index."""
    text = card.source.text
    header = ""
    for span in reversed(card.indexes):
        text = text[: span.start] + "\n" * text.count("\n", span.start, span.end) + text[span.end :]
    if card.header is not None:
        at = find_header(card.source)
        assert at is not None
        end = at.end
        header = text[:end].replace("\r\n", "\n").rstrip("\n") + "\n"
        text = "\n" * text.count("\n", 0, end) + text[end:]
    return header, text


def _index_text(card: Card) -> str:
    texts = (card.source.text[span.yaml_start : span.yaml_end] for span in card.indexes)
    return "\n".join(text.replace("\r\n", "\n").rstrip() for text in texts)


def _title(text: str) -> str | None:
    found = next((line[2:].strip() for line in text.splitlines() if line.startswith("# ")), None)
    return re.sub(r"<[^<>]*>", "", found).strip() if found else None


def _records(card: Card, audit: Audit, folders: Folders) -> list[dict[str, RecordView]]:
    """Return for each model of a card the evidence of its verdicts, by kind."""
    found = []
    for model, claims in zip(card.models, card.claims_of, strict=True):
        need, evidence = audit.needs[card.file, model.key], audit.evidence(card, model)
        template = relative(card.source.path, folders.base)
        found.append(claim_records(claims, Sources(template, need, evidence, audit.recipe(need))))
    return found


def _is_column(field: str, views: tuple[ModelView, ...]) -> bool:
    """Return whether the table of variants has a column: not for an image size that all models share."""
    values = {view.values.get(field) for view in views}
    return values != {None} and (field != "Image Size" or len(values) > 1)


def _are_multiply_adds(views: tuple[ModelView, ...]) -> bool:
    """Return whether the column FLOPs shows measured multiply-adds only."""
    found = [fact for view in views for fact in view.facts if fact.kind == "flops"]
    return all(
        fact.label.startswith("Multiply-adds") and fact.verdict in ("confirmed", "generated", "refuted")
        for fact in found
    )


def _measured_text(views: tuple[ModelView, ...]) -> str:
    measured = [view.ran for view in views if view.ran != NOT_MEASURED]
    last = f" · {max(measured)}" if measured else ""
    return f"{len(measured)} of {len(views)} models measured{last}"


def _check_name(card: Card, folders: Folders) -> None:
    """Raise TemplatesError for a name that themes would show as HTML, and that no line of a page can hold."""
    name = relative(card.source.path, folders.cards)
    if wrong := sorted({letter for letter in name if letter in "<>" or not letter.isprintable()}):
        message = f"the name of a page cannot have {', '.join(map(ascii, wrong))}"
        hint = "it becomes an address and, in most themes, a title without escapes; rename the file or its folder"
        raise TemplatesError([Finding(Place(card.file, 1, 1), "template", "error", message, hint)])

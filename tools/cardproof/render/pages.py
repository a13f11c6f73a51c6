"""Pages of a site: which templates there are, and the text that each renders to."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cardproof.evidence import file_name
from cardproof.read.blocks import find_header
from cardproof.read.fences import split_at_section
from cardproof.render.stamp import stamped, template_of
from cardproof.render.strips import shown_runs, stamp_of, with_strips
from cardproof.render.tables import COLUMNS, model_table
from cardproof.render.templates import Templates, TemplatesError
from cardproof.render.views import MEANING, NOT_MEASURED, ModelView, model_view
from cardproof.words import VERDICTS, Evidence, Judgement, Need, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence

    from cardproof.judge import Verdicts
    from cardproof.read import Card, Reading
    from cardproof.settings import Settings
    from cardproof.snippets.results import PageRun

LAYOUTS = Path(__file__).parent.parent / "layouts"


@dataclass(frozen=True, slots=True)
class Folders:
    """Where a site's templates and outputs lie."""

    root: Path
    """Templates and what they include."""
    cards: Path
    """Templates of pages: ``models`` below the root, or the root itself where there is no such folder."""
    out: Path
    evidence: Path
    base: Path
    """Paths on pages are written relative to it."""
    fallback: Path | None = None
    """A second folder in which includes are looked for."""

    @property
    def bound(self) -> Path:
        """The folder below which an index may import: the site's, or the cards' own where they lie elsewhere."""
        return self.base if self.cards.resolve().is_relative_to(self.base.resolve()) else self.cards


@dataclass(frozen=True, slots=True)
class PageView:
    """What the layout of a page sees."""

    title: str
    template: str
    header: str
    head: str
    """The author's text before the first second-level heading."""
    body: str
    models: tuple[ModelView, ...]
    verdicts: tuple[tuple[Verdict, int], ...]
    claims: int
    ran: str
    columns: tuple[str, ...]
    index: str
    index_fence: str
    snippets: str
    """What ran of the page's snippets, in words."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """One page: where it goes, its text, and the models that it shows."""

    path: Path
    template: Path
    text: str
    models: tuple[str, ...]


def folders_of(settings: Settings) -> Folders:
    """Return the folders of a site; templates of pages are in ``models`` where there is such a folder."""
    root, includes = settings.path(settings.templates), settings.path(settings.includes)
    return Folders(
        root=root,
        cards=root / "models" if (root / "models").is_dir() else root,
        out=settings.path(settings.out),
        evidence=settings.path(settings.evidence),
        base=settings.base,
        fallback=includes if includes != root else None,
    )


def page_templates(folders: Folders, show: Callable[[Path], str]) -> list[Path]:
    """Return the templates that become pages: not layouts, not what another template includes."""
    found = [path for path in sorted(folders.cards.rglob("*.md")) if _is_template(path, folders)]
    templates = _templates(folders, show)
    included: set[Path] = set()
    for path in found:
        for name in templates.includes(_text(path)):
            included |= {(folder / name).resolve() for folder in (folders.root, folders.cards)} - {path.resolve()}
    layout = (folders.root / "page.md").resolve()
    return [
        path for path in found if path.resolve() not in included and path.resolve() != layout and path.name[0] != "_"
    ]


def _is_template(path: Path, folders: Folders) -> bool:
    """Return whether a file may be a template: not an output, wherever that lies."""
    return path.is_file() and not path.is_relative_to(folders.out) and template_of(_text(path)) is None


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


@dataclass(frozen=True, slots=True)
class AuthorText:
    """A card's text after Jinja, with the source of each of its lines."""

    header: str
    text: str
    """Without header and model index; every line of the template still has its place."""
    origin: Mapping[int, tuple[str, int]]


class Site:
    """The pages of one run: all cards that were read, with their views, and the templates that render them."""

    def __init__(
        self,
        reading: Reading,
        verdicts: Verdicts,
        needs: Mapping[tuple[str, str], Need],
        evidence: Mapping[Need, Evidence],
        folders: Folders,
        show: Callable[[Path], str],
    ) -> None:
        judged = _by_model(verdicts.judgements), _by_model(verdicts.published)
        self._cards = reading.cards
        self._folders = folders
        self._templates = _templates(folders, show)
        self._views = {card.file: _views(card, judged, needs, evidence, folders) for card in reading.cards}
        self._pages = {card.file: _page_path(card, folders) for card in reading.cards}
        self._authors: dict[tuple[str, str | None], AuthorText] = {}

    def author_text(self, card: Card, model: str | None) -> AuthorText:
        """Render a card's own text for one of its models, once. Raises TemplatesError."""
        from cardproof.snippets.origin import trace

        known = self._authors.get((card.file, model))
        if known is None:
            header, text = _author_text(card)
            rendered, origin = trace(self._templates, text, str(card.source.path), self._variables(card, model))
            known = self._authors[card.file, model] = AuthorText(header, rendered, origin)
        return known

    def render(self, chosen: Container[Path], runs: Mapping[str, Sequence[PageRun]]) -> list[Rendered]:
        """Render the chosen templates; tables show all models. ``runs`` are the snippet runs by the card's file.

        Raises TemplatesError with what is wrong in all templates.
        """
        rendered, trouble = [], []
        for card in self._cards:
            if card.source.path not in chosen:
                continue
            try:
                text = self._page(card, runs.get(card.file, ()))
            except TemplatesError as error:
                trouble += error.findings
                continue
            page, template = self._pages[card.file], _relative(card.source.path, self._folders.base)
            names = tuple(model.name for model in card.models)
            rendered.append(Rendered(page, card.source.path, stamped(text, template), names))
        if trouble:
            raise TemplatesError(trouble)
        return rendered

    def _variables(self, card: Card, model: str | None) -> dict[str, Any]:
        models = [(view, self._pages[file]) for file, found in self._views.items() for view in found]
        variables: dict[str, Any] = {
            "models": self._views[card.file],
            "model_table": model_table(models, self._pages[card.file]),
        }
        return variables if model is None else {**variables, "model_name": model}

    def _page(self, card: Card, runs: Sequence[PageRun]) -> str:
        views = self._views[card.file]
        first = views[0].name if views else None
        source = self.author_text(card, first)
        author = with_strips(source.text, shown_runs(runs, first)).strip("\n") + "\n"
        if not views:
            return source.header + author
        page = _page_view(card, views, source.header, author, runs, self._folders)
        own = (self._folders.root / "page.md").is_file() or _in(self._folders.fallback, "page.md")
        variables = {**self._variables(card, first), "page": page, "meaning": MEANING}
        return self._templates.render_file("page.md" if own else "cardproof/page.md", variables)


def _page_view(
    card: Card, views: tuple[ModelView, ...], header: str, author: str, runs: Sequence[PageRun], folders: Folders
) -> PageView:
    head, body = split_at_section(author)
    return PageView(
        title=_title(author) or card.source.path.stem,
        template=_relative(card.source.path, folders.base),
        header=header,
        head=head.strip("\n"),
        body=body.strip("\n"),
        models=views,
        verdicts=_sum_verdicts(views),
        claims=sum(len(view.claims) for view in views),
        ran=_ran(views),
        columns=tuple(column for column in COLUMNS if any(column in view.values for view in views)),
        index=_index_text(card),
        index_fence="`" * _longest_fence(_index_text(card)),
        snippets=stamp_of(runs),
    )


def _in(folder: Path | None, name: str) -> bool:
    return folder is not None and (folder / name).is_file()


def _templates(folders: Folders, show: Callable[[Path], str]) -> Templates:
    search = [folders.root, folders.cards, *([folders.fallback] if folders.fallback else [])]
    return Templates(list(dict.fromkeys(search)), LAYOUTS, show)


def _author_text(card: Card) -> tuple[str, str]:
    """Return the header, and the text without header and model index but with every line where it was."""
    text = card.source.text
    header = ""
    if card.index:
        text = (
            text[: card.index.start]
            + "\n" * text.count("\n", card.index.start, card.index.end)
            + text[card.index.end :]
        )
    if card.header is not None:
        span = find_header(card.source)
        assert span is not None
        end = span.end
        header = text[:end].replace("\r\n", "\n").rstrip("\n") + "\n"
        text = "\n" * text.count("\n", 0, end) + text[end:]
    return header, text


def _index_text(card: Card) -> str:
    if not card.index:
        return ""
    return card.source.text[card.index.yaml_start : card.index.yaml_end].replace("\r\n", "\n").rstrip()


def _longest_fence(text: str) -> int:
    """Return how many backticks a fence around a text needs beyond three."""
    runs = [len(run) for run in re.findall(r"`{3,}", text)]
    return max(runs) - 2 if runs else 0


def _title(text: str) -> str | None:
    return next((line[2:].strip() for line in text.splitlines() if line.startswith("# ")), None)


def _views(
    card: Card,
    judged: tuple[Mapping[tuple[str, str], list[Judgement]], Mapping[tuple[str, str], list[Judgement]]],
    needs: Mapping[tuple[str, str], Need],
    evidence: Mapping[Need, Evidence],
    folders: Folders,
) -> tuple[ModelView, ...]:
    page = _page_path(card, folders)
    views = []
    for model in card.models:
        found = evidence.get(needs[card.file, model.name])
        link = _relative(folders.evidence / file_name(model.name), page.parent) if found else None
        own = [by_model.get((card.file, model.name), []) for by_model in judged]
        views.append(model_view(model, own[0], own[1], found, link))
    return tuple(views)


def _by_model(judgements: tuple[Judgement, ...]) -> dict[tuple[str, str], list[Judgement]]:
    found: dict[tuple[str, str], list[Judgement]] = {}
    for judgement in judgements:
        found.setdefault((judgement.card, judgement.claim.model), []).append(judgement)
    return found


def _sum_verdicts(views: tuple[ModelView, ...]) -> tuple[tuple[Verdict, int], ...]:
    total: Counter[Verdict] = Counter()
    for view in views:
        total.update(dict(view.verdicts))
    return tuple((verdict, total[verdict]) for verdict in VERDICTS if total[verdict])


def _ran(views: tuple[ModelView, ...]) -> str:
    measured = [view.ran for view in views if view.ran != NOT_MEASURED]
    last = f" · {max(measured)}" if measured else ""
    return f"{len(measured)} of {len(views)} models measured{last}"


def _page_path(card: Card, folders: Folders) -> Path:
    return folders.out / card.source.path.relative_to(folders.cards)


def _relative(path: Path, start: Path) -> str:
    return Path(os.path.relpath(path, start)).as_posix()

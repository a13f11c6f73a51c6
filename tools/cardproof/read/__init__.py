"""Read cards: from files and folders to cards with their models and claims. Imports neither torch nor Jinja2."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import replace

from cardproof.core.errors import InputError, boundary
from cardproof.core.paths import (
    files_below,
    is_inside,
    is_regular,
    root_of_argument,
    show_path,
    suggest_file,
)
from cardproof.core.source import Source, read_source
from cardproof.core.types import Claim, Finding, Place
from cardproof.core.yaml import Mapping
from cardproof.read.hub_header import model_of_results
from cardproof.read.index_repair import is_index, read_index
from cardproof.read.markdown import Page, Span, read_page
from cardproof.read.model_index import MARKDOWN, IndexReader
from cardproof.read.models import Model, Table, UnreadTable, claims_of

__all__ = ["Card", "Model", "Reading", "Span", "read_cards"]

_DATA = (".yml", ".yaml", ".json")
_INDEX_NAMES = ("model-index", "metafile")
_LOOKS_LIKE_INDEX = re.compile(
    r"^(?:models|collections)[ \t]*:|^type[ \t]*:[ \t]*model-index", re.IGNORECASE | re.MULTILINE
)
_RESULTS_FOLDER = ".eval_results"
_GENERATED = re.compile(r"^# cardproof: generated (\d{4}-\d{2}-\d{2})\b", re.MULTILINE)
"""A comment in the model index of a card that ``cardproof init`` wrote."""
_SKIPPED_FOLDERS = {".git", ".venv", "node_modules", "__pycache__", "site"}


class Card(Struct, frozen=True, eq=False):
    """One file with its models."""

    source: Source
    header: Mapping | None
    indexes: tuple[Span, ...]
    """The comments of a Markdown file with a model index."""
    models: tuple[Model, ...]
    claims_of: tuple[tuple[Claim, ...], ...]
    """For each model, its claims."""
    findings: tuple[Finding, ...] = ()
    """Of the file, and of the files that its index imports."""
    imports: tuple[Path, ...] = ()
    """Files that its index imports."""
    tables: tuple[Table, ...] = ()
    """The tables of models in its text."""
    unread: tuple[UnreadTable, ...] = ()
    """Tables that may state something of models and are not read."""

    @property
    def claims(self) -> tuple[Claim, ...]:
        return tuple(claim for claims in self.claims_of for claim in claims)

    @property
    def file(self) -> str:
        return self.source.name

    @property
    def generated(self) -> str:
        """The day on which ``cardproof init`` copied its values from measurements; empty if it did not."""
        return _generated_on(self.source.text)


@lru_cache(maxsize=8)  # asked for each claim of a card
def _generated_on(text: str) -> str:
    found = _GENERATED.search(text)
    return found[1] if found else ""


class Reading(Struct):
    """All cards in order of their paths, with the findings about them."""

    cards: list[Card] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    files: int = 0

    @property
    def unplaced(self) -> list[Finding]:
        """Findings in files that could not be read as cards."""
        of_cards = {finding for card in self.cards for finding in card.findings}
        return [finding for finding in self.findings if finding not in of_cards]

    @property
    def models(self) -> list[Model]:
        return [model for card in self.cards for model in card.models]

    @property
    def claims(self) -> list[Claim]:
        return [claim for card in self.cards for claim in card.claims]


def read_cards(paths: Iterable[Path], *, root: Path | None = None) -> Reading:
    """Read the given files and folders.

    A folder means its Markdown files, its ``model-index.yml``, and the YAML and CSV files below it that hold
    models. A Markdown page that an index imports is a card of its own.
    ``root`` bounds what is read, and what an index may import; without it, that is each path's own folder, or the
    working directory if it lies inside, and a link that is given itself may lead anywhere. Raises InputError for a path
    that does not exist.
    """
    reading = Reading()
    seen: set[Path] = set()
    for given in paths:
        if not given.exists() and not (root and given.is_symlink()):
            raise InputError(f"{show_path(given)}: no such file or folder{suggest_file(given)}")
        bound = (root or root_of_argument(given)).resolve()
        explicit = root is not None or given.is_file()
        for path in [given] if explicit else _files_below(given, reading):
            with boundary(
                reading.findings.append, Place(show_path(path), 1, 1), "reading", "in reading this file", fatal=True
            ):
                if (root or not explicit) and (refused := _refuse_file(path, bound, root is not None)):
                    reading.files += 1
                    reading.findings.append(refused)
                elif path.resolve() not in seen:
                    seen |= _read_file(path, bound, reading, explicit, seen)
    reading.findings.sort(key=lambda one: (*one.place.start, one.check, one.message))
    return reading


def _files_below(folder: Path, reading: Reading) -> list[Path]:
    """Return the Markdown, YAML and CSV files below a folder, an index before what it may import."""

    def report(error: OSError) -> None:
        place, message = Place(show_path(Path(error.filename)), 1, 1), f"this folder cannot be read: {error.strerror}"
        reading.findings.append(Finding(place, "encoding", "error", message, fatal=True))

    endings = (*MARKDOWN, ".yml", ".yaml", ".csv")
    found = files_below(folder, endings, skipped=_SKIPPED_FOLDERS, on_error=report) if folder.is_dir() else []
    return sorted(found, key=lambda path: (*(path.stem.lower() != name for name in _INDEX_NAMES), path.as_posix()))


def _refuse_file(path: Path, root: Path, of_site: bool) -> Finding | None:
    """Return why a file of a folder is not read: a link leads out of ``root``, or it is a device or pipe."""
    place = Place(show_path(path), 1, 1)
    if not is_regular(path):
        message = "not read: this is a link to nothing, a device or a pipe"
        return Finding(place, "encoding", "error" if of_site else "warning", message, "remove it", fatal=of_site)
    if not is_inside(path, [root]):
        message = f"not read: a link leads out of {show_path(root)}"
        return Finding(place, "encoding", "error", message, "put the file itself here", fatal=True)
    return None


def _read_file(path: Path, root: Path, reading: Reading, explicit: bool, seen: set[Path]) -> set[Path]:
    """Add the cards of a file and of the pages that it imports to a reading, and return the files that were read.

    Pages in ``seen`` are cards already.
    """
    reading.files += 1
    source, findings = read_source(path, show_path(path))
    if source is None or any(finding.fatal for finding in findings):
        reading.findings += findings
        return {path.resolve()}
    if path.suffix.lower() == ".csv":
        return _read_results(source, findings, reading, explicit)
    reader = IndexReader(root)
    page = None if path.suffix.lower() in _DATA else read_page(source)
    findings += page.findings if page else ()
    found = _page_models(page, reader, findings) if page else _data_models(source, reader, findings, explicit)
    if found is None:
        return set()
    imported = {page.source.name: page for file, page in reader.pages.items() if file not in seen}
    pages = {page.source.name for page in reader.pages.values()}
    own = tuple(model for model in found if model.place.file not in pages)
    card = _page_card(page, own) if page else Card(source, None, (), own, _claims(own))
    every = (*findings, *reader.findings, *card.findings)
    cards = [replace(card, findings=every, imports=tuple(sorted(reader.read_files)))]
    for name, other in imported.items():
        card = _page_card(other, tuple(model for model in found if model.place.file == name))
        cards.append(replace(card, findings=(*other.findings, *card.findings)))
    reading.cards += cards
    reading.files += len(imported)
    reading.findings += [finding for card in cards for finding in card.findings]
    return {path.resolve(), *reader.read_files}


def _read_results(source: Source, findings: list[Finding], reading: Reading, explicit: bool) -> set[Path]:
    """Read a CSV file of results; one of something else is read only if it was named itself."""
    from cardproof.read.tables import is_results_file

    if not explicit and not is_results_file(source):
        return set()
    card = _table_card(source)
    card = replace(card, findings=(*findings, *card.findings))
    reading.cards.append(card)
    reading.findings += card.findings
    return {source.path.resolve()}


def _page_models(page: Page, reader: IndexReader, findings: list[Finding]) -> tuple[Model, ...]:
    """Return the models of the indexes of a page; one of a comment wins over the same one of the header."""
    models = reader.models(page.roots, page.source)
    if page.hub:
        own = {model.name for model in models}
        models += tuple(model for model in reader.models([page.hub], page.source) if model.name not in own)
    if page.roots and not models and not any(f.severity == "error" for f in findings + reader.findings):
        place, hint = page.source.place(page.indexes[0].start), "list them under Models"
        findings.append(Finding(place, "model-index", "error", "the model index holds no model", hint))
    return models


def _page_card(page: Page, models: tuple[Model, ...]) -> Card:
    """Return the card of a page with its models, and those of its text unless it has an index."""
    if page.indexes:
        return Card(page.source, page.header, page.indexes, models, _claims(models))
    return _table_card(page.source, page.header, models, page.header_end)


def _table_card(source: Source, header: Mapping | None = None, models: tuple[Model, ...] = (), start: int = 0) -> Card:
    """Return a card with the models that the text itself describes; a template has its index instead."""
    from cardproof.read.model_stats import WORDS, read_model_stats
    from cardproof.read.models import merge_models
    from cardproof.read.tables import TableContents, read_tables

    text = source.text.lower()
    is_csv = source.path.suffix.lower() == ".csv"
    found = {model.key: model for model in models}
    tables = read_tables(source, start) if is_csv or "|" in text or "<table" in text else TableContents()
    only = models[0].name if len(models) == 1 else ""  # a card of the Hub is about one model, whatever its title says
    has_lists = not is_csv and any(word in text for word in WORDS)
    of_page, lists = read_model_stats(source, start, header, only) if has_lists else (None, [])
    for model in (*([of_page] if of_page else ()), *tables.models):
        earlier = found.get(model.key)
        found[model.key] = merge_models(earlier, model) if earlier else model
    models = tuple(found.values())
    return Card(
        source, header, (), models, _claims(models), tuple(tables.findings),
        tables=tuple(tables.tables), unread=(*tables.unread, *lists),
    )  # fmt: skip


def _data_models(
    source: Source, reader: IndexReader, findings: list[Finding], explicit: bool
) -> tuple[Model, ...] | None:
    """Return the models of a YAML or JSON file; None for a file in a folder that is something else."""
    tree, more = read_index(source)
    if source.path.parent.name == _RESULTS_FOLDER:
        findings += more
        models, more = model_of_results(tree, source) if tree is not None else ((), [])
        findings += more
        return models
    named = explicit or source.path.stem.lower() in _INDEX_NAMES
    if not named and not (is_index(tree) if tree is not None else _LOOKS_LIKE_INDEX.search(source.text)):
        return None
    findings += more
    if tree is None:
        return ()
    if not is_index(tree) and (model := reader.nameless(tree)):
        return (model,)
    return reader.models([tree], source)


def _claims(models: tuple[Model, ...]) -> tuple[tuple[Claim, ...], ...]:
    return tuple(tuple(claims_of(model)) for model in models)

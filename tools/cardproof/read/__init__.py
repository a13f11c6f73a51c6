"""Read cards: from files and folders to cards with their models and claims. Imports neither torch nor Jinja2."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import replace

from cardproof.core.errors import InputError
from cardproof.core.files import show_path
from cardproof.core.source import Source, read_source
from cardproof.core.types import Claim, Finding
from cardproof.core.yaml import Mapping, Node, Scalar, read_yaml
from cardproof.read.claims import claims_of
from cardproof.read.hub import as_index, check_results, model_of_results
from cardproof.read.markdown import Span, doubled_fence, find_header, find_index_comments
from cardproof.read.model_index import IndexReader, Model, Table, UnreadTable

__all__ = ["Card", "Model", "Reading", "Span", "read_cards"]

_SKIPPED_FOLDERS = {".git", ".venv", "node_modules", "__pycache__", "site"}


class Card(Struct, frozen=True, eq=False):
    """One file with its models; ``index`` is the span of the model index in a Markdown file."""

    source: Source
    header: Mapping | None
    index: Span | None
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


def read_cards(
    paths: Iterable[Path], *, root: Path | None = None, show: Callable[[Path], str] | None = None
) -> Reading:
    """Read the given files and folders.

    A folder stands for its Markdown files, its ``model-index.yml``, and YAML and CSV files below it that hold models.
    ``root`` bounds what an index may import (by default each path's own folder, or the working directory if it
    lies inside). Raises InputError for a path that does not exist.
    """
    reading = Reading()
    show = show or show_path
    seen: set[Path] = set()
    for given in paths:
        if not given.exists():
            raise InputError(f"{show(given)}: no such file or folder")
        bound = (root or _root_of(given)).resolve()
        explicit = given.is_file()
        for path in [given] if explicit else _files_below(given):
            if path.resolve() not in seen:
                seen |= _read_file(path, bound, show, reading, explicit)
    reading.findings.sort(key=lambda finding: (finding.place, finding.check, finding.message))
    return reading


def _root_of(given: Path) -> Path:
    folder = given if given.is_dir() else given.parent
    cwd = Path.cwd()
    return cwd if folder.resolve().is_relative_to(cwd) else folder


def _files_below(folder: Path) -> list[Path]:
    """Return the Markdown, YAML and CSV files below a folder, an index before what it may import."""
    files = []
    for path in folder.rglob("*"):
        if path.suffix.lower() not in (".md", ".mdx", ".yml", ".yaml", ".csv") or not path.is_file():
            continue
        if not _SKIPPED_FOLDERS.intersection(path.relative_to(folder).parts):
            files.append(path)
    return sorted(files, key=lambda path: (path.stem.lower() != "model-index", path.as_posix()))


def _read_file(path: Path, root: Path, show: Callable[[Path], str], reading: Reading, explicit: bool) -> set[Path]:
    reading.files += 1
    source, findings = read_source(path, show(path))
    if source is None or any(finding.fatal for finding in findings):
        reading.findings += findings
        return {path.resolve()}
    indexes = IndexReader(root, show)
    if path.suffix.lower() in (".yml", ".yaml"):
        tree, more = read_yaml(source)
        is_index = isinstance(tree, Mapping) and any(tree.get(key) for key in ("Models", "Collections", "Import"))
        if not is_index and not explicit and path.parent.name != ".eval_results":
            return set()
        findings += more
        models = _yaml_models(tree, source, indexes, findings) if tree is not None else ()
        card = Card(source, None, None, models, _claims(models))
    elif path.suffix.lower() == ".csv":
        from cardproof.read.tables import is_results_file

        if not explicit and not is_results_file(source):
            return set()
        card = _table_card(source)
    else:
        card = _markdown_card(source, indexes, findings)
    found = (*findings, *indexes.findings)
    reading.cards.append(replace(card, findings=found, imports=tuple(sorted(indexes.read_files))))
    reading.findings += found
    return {path.resolve(), *indexes.read_files}


def _yaml_models(tree: Node, source: Source, indexes: IndexReader, findings: list[Finding]) -> tuple[Model, ...]:
    if source.path.parent.name != ".eval_results":
        return indexes.models(tree, source)
    models, more = model_of_results(tree, source)
    findings += more
    return models


def _markdown_card(source: Source, indexes: IndexReader, findings: list[Finding]) -> Card:
    header_span = find_header(source)
    header: Node | None = None
    if header_span:
        header, more = read_yaml(source, header_span.yaml_start, header_span.yaml_end)
        findings += more
        if note := doubled_fence(source, header_span):
            findings.append(note)
    spans, more = find_index_comments(source, header_span.end if header_span else 0)
    findings += more
    for extra in spans[1:]:
        message = "a second model index in one file; only the first is read"
        findings.append(Finding(source.place(extra.start), "model-index", "error", message, "join the two"))
    models: tuple[Model, ...] = ()
    span = spans[0] if spans else None
    index = header.get("model-index") if isinstance(header, Mapping) else None
    if index is not None and not (isinstance(index, Scalar) and index.value is None):
        findings += check_results(index)
        models = indexes.models(as_index(index), source)
    if span:
        tree, more = read_yaml(source, span.yaml_start, span.yaml_end)
        findings += more
        if tree is not None:
            own = indexes.models(tree, source)
            models = (*own, *(model for model in models if model.name not in {model.name for model in own}))
        if tree is not None and not models and not any(f.severity == "error" for f in findings + indexes.findings):
            message = "the model index holds no model"
            findings.append(
                Finding(source.place(span.start), "model-index", "error", message, "list them under Models")
            )
    if span is None:
        return _table_card(source, header if isinstance(header, Mapping) else None, models, header_span)
    return Card(source, header if isinstance(header, Mapping) else None, span, models, _claims(models))


def _table_card(
    source: Source, header: Mapping | None = None, models: tuple[Model, ...] = (), before: Span | None = None
) -> Card:
    """Return a card with the models that the text itself describes; a template has its index instead."""
    start, text = before.end if before else 0, source.text.lower()
    if source.path.suffix.lower() != ".csv" and not any(mark in text for mark in ("|", "<table", "model stats")):
        return Card(source, header, None, models, _claims(models))
    from cardproof.read.details import merged, model_in_details
    from cardproof.read.tables import read_tables

    found = {model.key: model for model in models}
    tables = read_tables(source, start)
    details = model_in_details(source, start)
    for model in (*([details] if details else ()), *tables.models):
        earlier = found.get(model.key)
        found[model.key] = merged(earlier, model) if earlier else model
    models = tuple(found.values())
    return Card(source, header, None, models, _claims(models), tables=tuple(tables.tables), unread=tuple(tables.unread))


def _claims(models: tuple[Model, ...]) -> tuple[tuple[Claim, ...], ...]:
    return tuple(tuple(claims_of(model)) for model in models)

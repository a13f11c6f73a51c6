"""Models that plain Markdown describes: in tables (a row a model, a column a field), or in timm's list "Model Stats".

Only a table whose head names a column of models and a column of parameters, multiply-adds or accuracies is read; a
column that is unknown, two columns for one thing, and a cell that holds no number are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise

from msgspec import Struct

from cardproof.core.names import ACCURACIES, FIELDS, canonical_dataset, kind_of, normal_field, scale_of
from cardproof.core.numbers import parse_number
from cardproof.core.source import Source
from cardproof.core.types import Place
from cardproof.core.yaml import Mapping, Node, Scalar
from cardproof.read.markdown import Line, text_lines
from cardproof.read.model_index import Form, Model, Result, Table

COLUMNS = ("parameters", "flops", "image size", *ACCURACIES)
"""Kinds of fields that a column may state."""
_NAMES = ("model", "model name", "models", "network", "architecture", "arch", "variant", "name")
"""Heads of the column with the models, the clearest first; the last four need a column of counts in the table."""
_CLEAR = 4

SMALLEST = 100_000
"""If neither head nor cell has a unit, the unit of a smaller count is unknown."""
MOST_CELLS = 100
"""Columns of a table; a wider one is data and is not read."""

_NAME = re.compile(r"[A-Za-z0-9][\w .+/@:(),&×-]{0,199}")
_BAR = re.compile(r"\\.|\|")
_WRAPPED = (
    re.compile(r"(\*\*|__|\*|_|`)(?P<inner>[^*_`\n].{0,500})\1", re.DOTALL),
    re.compile(r"\[(?P<inner>[^\[\]\n]{1,500})\](?:\([^()\n]{0,2000}\)|\[[^\[\]\n]{0,200}\])?"),
)
_TITLE = re.compile(r" {0,3}# {1,5}Model card for (`?)(?P<name>[\w./-]{1,200})\1 {0,5}\r?\n?", re.IGNORECASE)
_STATS = re.compile(r"\s{0,8}[-*+] \*\*Model Stats:?\*\*:?\s{0,20}", re.IGNORECASE)
_ITEM = re.compile(r"\s{0,12}[-*+] (?P<key>[\w() ]{1,40}): {1,5}(?P<value>\S[^\r\n]{0,200})")
_STATED = ("params (m)", "gmacs", "activations (m)", "image size")
_SIZES = re.compile(r"(?:(?P<when>train|test) ?= ?)?(?P<size>\d{1,5} ?x ?\d{1,5})")


class _Column(Struct, frozen=True):
    """A column that states a field, or names the models."""

    index: int
    kind: str
    """Kind of its field; ``name`` for the column with the models."""
    field: str
    """Its head, which claims use as their field."""
    at: tuple[int, int]
    dataset: str | None = None


def models_in_tables(source: Source, start: int, tables: list[Table] | None = None) -> list[Model]:
    """Return the models of all tables, in order; rows of one name are one model. The tables are added to ``tables``."""
    found: dict[str, list[Model]] = {}
    for row in _rows(source, start, [] if tables is None else tables):
        rows = found.setdefault(row.name, [])
        if addition := _addition(rows[0], row) if rows else row:
            rows.append(addition)
    return [merged(*rows) for rows in found.values()]


def merged(model: Model, *others: Model) -> Model:
    """Return a model with the fields and results that other places of the same file state for it."""
    if not others:
        return model
    every = (model, *others)
    metadata: dict[str, tuple[Scalar, Node]] = {}
    for key, entry in (pair for one in every if one.metadata for pair in one.metadata.entries.items()):
        metadata[key if key not in metadata else f"{key} {entry[1].start}"] = entry
    name, own = next(one.fields.entries["metadata"] for one in (*others, model) if one.metadata)
    entries = {**model.fields.entries, "metadata": (name, Mapping(own.source, own.start, own.end, metadata))}
    fields = Mapping(model.fields.source, model.fields.start, model.fields.end, entries)
    results = tuple(result for one in every for result in one.results)
    return Model(model.name, model.place, model.collections, fields, results, model.form)


def stated_model(source: Source, name: Scalar, cells: Iterable[tuple[Scalar, Scalar]], form: Form) -> Model:
    """Return a model with pairs of field and value as its metadata."""
    metadata: dict[str, tuple[Scalar, Node]] = {}
    for key, value in cells:
        metadata[key.text.lower() if key.text.lower() not in metadata else f"{key.text} {value.start}"] = (key, value)
    inner = Mapping(source, name.start, name.end, metadata)
    key = Scalar(source, name.start, name.start, "Metadata", "Metadata", "")
    fields = Mapping(source, name.start, name.end, {"metadata": (key, inner)})
    return Model(name.text, name.place, (), fields, (), form)


def _addition(first: Model, row: Model) -> Model | None:
    """Return what a second row adds: only its parameters if it is about another image size."""
    sizes = [{v.text for k, v in _scalars(model) if kind_of(k.text) == "image size"} for model in (first, row)]
    if sizes[0] == sizes[1]:
        cells = [(key, value) for key, value in _scalars(row) if kind_of(key.text) != "image size"]
        results = row.results
    else:
        cells = [(key, value) for key, value in _scalars(row) if kind_of(key.text) == "parameters"]
        results = ()
    if not cells and not results:
        return None
    name = Scalar(row.fields.source, row.fields.start, row.fields.end, row.name, row.name, "")
    only = stated_model(row.fields.source, name, cells, row.form)
    return Model(only.name, only.place, (), only.fields, results, only.form)


def _scalars(model: Model) -> Iterator[tuple[Scalar, Scalar]]:
    for key, value in model.metadata or ():
        if isinstance(value, Scalar):
            yield key, value


def _rows(source: Source, start: int, tables: list[Table]) -> Iterator[Model]:
    """Yield the rows of all tables of models."""
    columns: list[_Column] = []
    before: Line | None = None
    head: list[tuple[int, int]] | None = None
    headings: dict[int, str] = {}
    caption: list[str] = []
    for line in text_lines(source, start):
        if "|" not in line.text:
            before, head, columns = None, None, []
            if heading := re.match(r" {0,3}(#{1,6}) (.*)", line.text):
                level = len(heading[1])
                headings = {key: text for key, text in headings.items() if key < level} | {level: heading[2].strip()}
            caption = [] if heading else [*caption, line.text.strip()] if line.text.strip() else caption
        elif head is not None:
            if columns and (model := _row(source, line, columns)):
                yield model
        elif before is not None and _is_rule(line, cells := _cells(before)):
            head, columns = cells, _columns(source, cells)
            if columns:
                heads = tuple(_stated_head(source, *cell) for cell in cells)
                tables.append(Table(heads[0][1], heads, " ".join(caption), tuple(headings.values())))
            caption = []
        else:
            before = line


def _stated_head(source: Source, first: int, last: int) -> tuple[str, Place]:
    """Return a head as written, and the place that claims of its column have as their column."""
    first, last = _inner(source.text, first, last)
    return source.text[first:last], source.place(first, last)


def _is_rule(line: Line, head: list[tuple[int, int]]) -> bool:
    """Return whether a line is the rule between the head of a table and its rows."""
    if "-" not in line.text or not set(line.text) <= set("|:- \t\r\n") or len(head) > MOST_CELLS:
        return False
    texts = [line.text[first - line.start : last - line.start] for first, last in _cells(line)]
    return len(texts) == len(head) and all(text.strip(":") and not text.strip(":").strip("-") for text in texts)


def _cells(line: Line) -> list[tuple[int, int]]:
    """Return the span of each cell of a row in the file, without the blanks around it."""
    text = line.text.rstrip("\r\n")
    bars = [match.start() for match in _BAR.finditer(text) if match.group() == "|"]
    edges = [-1, *bars, len(text)]
    cells = [(first + 1, last) for first, last in pairwise(edges)]
    if cells and not text[slice(*cells[0])].strip():
        cells = cells[1:]
    if cells and bars and not text[slice(*cells[-1])].strip():
        cells = cells[:-1]
    found = []
    for first, last in cells:
        part = text[first:last]
        lead = len(part) - len(part.lstrip())
        found.append((line.start + first + lead, line.start + first + lead + len(part.strip())))
    return found


def _columns(source: Source, head: list[tuple[int, int]]) -> list[_Column]:
    """Return the columns that are read; none if the table is not about models."""
    found: list[_Column] = []
    names: list[tuple[int, int, tuple[int, int]]] = []
    for index, cell in enumerate(head):
        first, last = _inner(source.text, *cell)
        text = source.text[first:last].replace("<br>", " ").strip()
        if len(text) > 100:
            continue
        normal = normal_field(text).rstrip(".")
        if normal in _NAMES:
            names.append((_NAMES.index(normal), index, (first, last)))
        elif column := _column(index, text, (first, last)):
            found.append(column)
    kinds = [(column.kind, column.dataset) for column in found]
    found = [column for column in found if kinds.count((column.kind, column.dataset)) == 1]
    counts = any(column.kind in ("parameters", "flops") for column in found)
    accuracies = any(column.kind in ACCURACIES for column in found)
    rank, index, at = min(names, default=(len(_NAMES), 0, (0, 0)))
    if rank == len(_NAMES) or not (counts or (accuracies and rank < _CLEAR)):
        return []
    return [_Column(index, "name", "", at), *found]


def _column(index: int, text: str, at: tuple[int, int]) -> _Column | None:
    """Return a column by its head; None if the head is not a field."""
    field = re.sub(r"\.(?=\s|\(|$)", "", text)
    kind = kind_of(field)
    if kind in COLUMNS:
        return _Column(index, kind, field, at)
    normal = normal_field(field)
    for kind in ACCURACIES:
        for spelling in FIELDS[kind][1]:
            if normal.endswith(f" {spelling}") and (
                dataset := canonical_dataset(normal.removesuffix(spelling).strip())
            ):
                return _Column(index, kind, kind.title(), at, dataset)
    return None


def _row(source: Source, line: Line, columns: list[_Column]) -> Model | None:
    """Return the model of a row; None without a name or a value."""
    cells = _cells(line)
    values: list[tuple[_Column, Scalar]] = []
    name: Scalar | None = None
    for column in columns:
        if column.index >= len(cells):
            continue
        first, last = _inner(source.text, *cells[column.index])
        text = source.text[first:last]
        scalar = Scalar(source, first, last, text, text, "")
        if column.kind == "name":
            name = scalar if _NAME.fullmatch(text) and not text.replace(".", "").isdigit() else None
        elif _states(column, text):
            values.append((column, scalar))
    if name is None or not any(column.kind != "image size" for column, _ in values):
        return None
    cells_of = [(_head(source, column, value.text), value) for column, value in values if column.kind not in ACCURACIES]
    model = stated_model(source, name, cells_of, "table")
    results: dict[str | None, list[tuple[Scalar, Scalar]]] = {}
    for column, value in values:
        if column.kind in ACCURACIES:
            results.setdefault(column.dataset, []).append((_head(source, column, value.text), value))
    stated = tuple(Result(name.place, None, dataset, tuple(pairs)) for dataset, pairs in results.items())
    return Model(model.name, model.place, (), model.fields, stated, "table")


def _head(source: Source, column: _Column, cell: str) -> Scalar:
    """Return a column's head as the name of a field; timm's ``param_count`` is in millions, without a unit."""
    field = column.field
    if column.kind == "parameters" and field.lower() == "param_count" and "." in cell:
        field += " (M)"
    return Scalar(source, *column.at, field, field, "")


def _states(column: _Column, text: str) -> bool:
    """Return whether a cell holds a number whose unit is known."""
    if len(text) > 40:
        return False
    if column.kind == "image size":
        return bool(re.fullmatch(r"\d{2,4}(?:\s?[x×]\s?\d{2,4})?", text))
    if column.kind in ACCURACIES:
        number = parse_number(text)
        return number is not None and number.unit in ("", "%")
    number = parse_number(text, "count", scale_of(column.field))
    if number is None:
        return False
    in_millions = column.field.lower() == "param_count" and "." in text
    return in_millions or bool(scale_of(column.field)) or number.value >= SMALLEST


def _inner(text: str, first: int, last: int) -> tuple[int, int]:
    """Return the span of a cell's text without emphasis, code marks or a link around it."""
    for _ in range(4):
        if last - first > 3000:
            break
        match = next((found for mark in _WRAPPED if (found := mark.fullmatch(text, first, last))), None)
        if match is None:
            break
        first, last = match.span("inner")
    return first, last


def model_in_details(source: Source, start: int) -> Model | None:
    """Return the model that the title of timm's card names, with the values of its list "Model Stats"."""
    name: Scalar | None = None
    inside = False
    cells: list[tuple[Scalar, Scalar]] = []
    for line in text_lines(source, start):
        if name is None:
            if match := _TITLE.fullmatch(line.text):
                name = _scalar(source, line, *match.span("name"))
        elif _STATS.fullmatch(line.text):
            inside = True
        elif inside and (match := _ITEM.match(line.text)):
            cells += _item(source, line, match)
        elif inside:
            break
    return stated_model(source, name, cells, "details") if name and cells else None


def _item(source: Source, line: Line, match: re.Match[str]) -> Iterator[tuple[Scalar, Scalar]]:
    """Yield the values of one item; there may be one image size for training and one for testing."""
    key = _scalar(source, line, *match.span("key"))
    first, last = match.span("value")
    last = first + len(match["value"].rstrip())
    if key.text.lower() not in _STATED:
        return
    if key.text.lower() != "image size":
        yield key, _scalar(source, line, first, last)
        return
    for size in _SIZES.finditer(line.text, first, last):
        field = f"{key.text} (test)" if size["when"] == "test" else key.text
        yield Scalar(source, key.start, key.end, field, field, ""), _scalar(source, line, *size.span("size"))


def _scalar(source: Source, line: Line, first: int, last: int) -> Scalar:
    text = line.text[first:last]
    return Scalar(source, line.start + first, line.start + last, text, text, "")

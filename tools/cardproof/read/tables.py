"""Models in tables: of rows and columns, to models with what they state and tables with what they are about.

A row is a model. A table of names and values is one model, which a heading or the file names; a table with a field a
row is read as if it were turned. Rows of one name, one image size and one file of weights are one model; a row that
differs in a column which is not read may be another network.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from cardproof.core.errors import boundary
from cardproof.core.field_names import ACCURACIES, kind_of
from cardproof.core.source import Source
from cardproof.core.types import Finding
from cardproof.core.yaml import Mapping, Scalar
from cardproof.read.models import Model, Result, Table, TableValue, UnreadTable, merge_models, parse_size, stated_model
from cardproof.read.table_cells import (
    MAX_LINES,
    MOST_COLUMNS,
    Cell,
    RawTable,
    csv_table,
    span_without_marks,
    tables_of,
    text_without_marks,
)
from cardproof.read.table_columns import (
    COUNTS,
    KINDS,
    NAME,
    Column,
    Columns,
    column_of_head,
    columns_of,
    names_in,
    weights_in,
)
from cardproof.read.table_values import CellValue, values_of_column, without_equal_operations

MOST_NAMES = 50
"""Names of an unread table that are kept."""

_AT_SIZE = re.compile(r"(?P<name>.{1,200}?)\s?[@↑]\s?(?P<size>\d{3,4}(?:\s?[x×]\s?\d{3,4})?)")
_SQUARE = re.compile(r"(?<![\dx×.])(?P<size>(?P<side>\d{3,4})\s?[x×]\s?(?P=side))(?![\dx×])")
_AT_SQUARE = re.compile(
    r"(?:@|\b(?:at|input|resolution|(?<!patch )(?<!kernel )size|images?))[ :=]{0,3}"
    r"(?P<size>(?P<side>\d{2,4})\s?[x×]\s?(?P=side))(?![\dx×])",
    re.IGNORECASE,
)
"""A square size that words say to be one of images."""
_LINKING = re.compile(r"model|weight|ckpt|checkpoint|download|link|url|file|pth", re.IGNORECASE)
_OTHERS = re.compile(r"pre-?train|teacher|backbone|init|config|log\b|onnx|core ?ml", re.IGNORECASE)
"""Heads of links to a row's own weights, and to other files than these."""
_ONE_WORD = re.compile(r"(?:model card for )?(?P<name>[a-z][\w.+-]{1,100})", re.IGNORECASE)
_FACTS = ("stated", "found", "verdict", "value", "measured", "expected", "unit", "default", "description", "notes")
"""Heads behind a column of fields that are not names of models."""
_NO_NAMES = ("readme", "index", "model", "models", "overview", "results", "specification", "changelog")


class TableContents(Struct):
    """What the tables of a file state."""

    models: list[Model] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    unread: list[UnreadTable] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    """Errors of cardproof itself."""


class _Row(Struct, frozen=True):
    """A row with what distinguishes it from rows of the same name."""

    model: Model
    size: str
    """Its image size as height and width; empty if it states none."""
    others: dict[str, str]
    """Head -> text in the columns that are not read."""


def read_tables(source: Source, start: int = 0) -> TableContents:
    """Return the models and tables of a file that may have some; ``start`` is where its text begins."""
    found = TableContents()
    rows: list[_Row] = []
    is_csv = source.path.suffix.lower() == ".csv"
    for table in filter(None, [csv_table(source)]) if is_csv else tables_of(source, start):
        start_of_table = source.place(table.heads[0][0].start) if table.heads[0] else source.place(start)
        with boundary(found.findings.append, start_of_table, "reading", "in reading this table"):
            rows += _rows(source, table, found)
    if not is_csv and source.text.count("\n", start) > MAX_LINES:
        place = source.place(start)
        reason = f"the file has more than {MAX_LINES:,} lines: none of its tables is read"
        found.unread.append(UnreadTable(place, reason, (), True))
    with boundary(found.findings.append, source.place(start), "reading", "in reading the tables of this file"):
        found.models = _models(rows)
    return found


def is_results_file(source: Source) -> bool:
    """Return whether the head of a CSV file looks like results of models: a column of names, and one of numbers."""
    table = csv_table(source)
    return table is not None and not columns_of(source, replace(table, rows=table.rows[:20])).reason


def _rows(source: Source, table: RawTable, found: TableContents) -> list[_Row]:
    """Return the rows of a table and add it to the tables, or to those that are not read."""
    if not 0 < len(table.heads[0]) <= MOST_COLUMNS:
        return []
    columns = columns_of(source, table)
    if columns.reason:
        if len(table.heads[0]) == 2 and (row := _model_of_vertical_table(source, table, found)):
            return [row]
        if turned := _transposed(source, table):
            columns, table = columns_of(source, turned, name_at=0), turned
    rows = [] if columns.reason else _rows_of(source, table, columns, found)
    (_, first, last), *_ = columns.heads
    place = source.place(first, last)
    if not rows:
        names = tuple(names_in(source, columns.name.index if columns.name else 0, columns.rows)[:MOST_NAMES])
        reason = columns.reason or "no row has a name and a value"
        is_named = source.path.suffix.lower() == ".csv"  # of a folder's files only those with results come here
        if is_named or columns.counts or (columns.name and columns.unread):
            found.unread.append(UnreadTable(place, reason, names, columns.counts or is_named))
    elif table.cut:
        found.unread.append(UnreadTable(place, "it has more cells than are read: its end is not", (), True))
    return rows


def _rows_of(source: Source, table: RawTable, columns: Columns, found: TableContents) -> list[_Row]:
    """Return the rows of a table that is read."""
    assert columns.name
    stated = without_equal_operations([values_of_column(source, column, columns.rows) for column in columns.stating])
    outer_size = _heading_size(source, table)
    weights = [index for index, head, *_ in columns.unread if _LINKING.search(head) and not _OTHERS.search(head)]
    weights.append(columns.name.index)
    rows = []
    for number, cells in enumerate(columns.rows):
        values = [(column, one) for column, each in stated if (one := each[number])]
        shared = {column.index for column, _ in values if column.index < len(cells) and cells[column.index].shared}
        named = _name(source, columns.name, cells)
        if named is None or all(column.kind == "image size" for column, _ in values):
            continue
        name, own_size = named
        if not any(column.kind == "image size" for column, _ in values):
            values = [*_sizes(source, own_size, columns, outer_size), *values]
        values = _without_size(values)
        model = _model(source, name, values, shared)
        links = [span for index in weights if index < len(cells) and (span := weights_in(source, cells[index]))]
        if len(set(links)) == 1:
            model = _with_weights(source, model, links[0])
        others = {
            head: text_without_marks(source.text[cells[index].start : cells[index].end])
            for index, head, *_ in columns.unread
            if index < len(cells) and not weights_in(source, cells[index])
        }
        rows.append(_Row(model, _size_of(values), others))
    if rows:
        heads = tuple((text, source.place(first, last)) for text, first, last in columns.heads)
        unread = tuple((text, source.place(first, last)) for _, text, first, last in columns.unread)
        found.tables.append(Table(heads[0][1], heads, table.caption, table.headings, unread))
    return rows


def _name(source: Source, column: Column, cells: Sequence[Cell]) -> tuple[Scalar, CellValue | None] | None:
    """Return the name in a row and the image size behind it (``resnet50@384``); None without a name."""
    if column.index >= len(cells):
        return None
    first, last = span_without_marks(source.text, *cells[column.index][:2])
    text, size = source.text[first:last], None
    if (match := _AT_SIZE.fullmatch(text)) and (sides := parse_size(match["size"])):
        size = CellValue(first + match.start("size"), first + match.end("size"), size=sides)
        first, last = span_without_marks(source.text, first, first + match.end("name"))
        text = source.text[first:last]
    if not NAME.fullmatch(text) or text.replace(".", "").isdigit():
        return None
    return Scalar(source, first, last, text, text, ""), size


def _sizes(
    source: Source, own: CellValue | None, columns: Columns, outer: CellValue | None
) -> list[tuple[Column, CellValue]]:
    """Return the image size that a row has without a column of it: from its name, a head, or the heading."""
    spans = {column.size for column in columns.stating if column.size and column.kind == "flops"}
    spans = spans or {column.size for column in columns.stating if column.size}
    if own is None and len(spans) == 1:
        ((first, last),) = spans
        own = CellValue(first, last, size=parse_size(source.text[first:last]))
    own = own or outer
    return [(Column(-1, "image size", "image size", own.start, own.end), own)] if own else []


def _size_of(values: Sequence[tuple[Column, CellValue]]) -> str:
    return next((f"{one.size[0]}x{one.size[1]}" for _, one in values if one.size), "")


def _without_size(values: list[tuple[Column, CellValue]]) -> list[tuple[Column, CellValue]]:
    """Return the values of a row; its multiply-adds are unread if its image size cannot be read."""
    reason = next((one.unread for column, one in values if column.kind == "image size" and one.unread), "")
    return [
        (column, replace(one, number=None, unread=reason) if reason and column.kind == "flops" else one)
        for column, one in values
    ]


def _heading_size(source: Source, table: RawTable) -> CellValue | None:
    """Return the only square size that the paragraph or the heading above a table names."""
    caption, heading = table.caption, table.headings[-1] if table.headings else ""
    found = list(_AT_SQUARE.finditer(caption)) if "train" not in caption.lower() else []
    found = found or list(_SQUARE.finditer(heading)) or list(_AT_SQUARE.finditer(heading))
    size = parse_size(found[0]["size"]) if len(found) == 1 else None
    at = source.text.rfind(found[0]["size"], 0, table.heads[0][0].start) if size and found else -1
    return CellValue(at, at + len(found[0]["size"]), size=size) if at >= 0 else None


def _model(
    source: Source,
    name: Scalar,
    values: Sequence[tuple[Column, CellValue]],
    shared: Collection[int] = (),
) -> Model:
    """Return the model of a row: accuracies are results, by their data sets; other fields are metadata."""
    pairs = [
        (
            column,
            Scalar(source, column.start, column.end, column.field, column.field, ""),
            _value(source, column, one, shared),
        )
        for column, one in values
    ]
    cells = [(head, value) for column, head, value in pairs if column.kind not in ACCURACIES]
    results: dict[str | None, list[tuple[Scalar, Scalar]]] = {}
    for column, head, value in pairs:
        if column.kind in ACCURACIES:
            results.setdefault(column.dataset, []).append((head, value))
    stated = tuple(Result(name.place, None, dataset, tuple(metrics)) for dataset, metrics in results.items())
    return replace(stated_model(source, name, cells, "table"), results=stated)


def _value(source: Source, column: Column, one: CellValue, shared: Collection[int]) -> TableValue:
    text = source.text[one.start : one.end]
    style = "shared" if column.index in shared else ""  # an edit would change what other rows state
    return TableValue(
        source, one.start, one.end, text, text, style,
        column.kind, column.name, one.number, one.size, one.unread, column.operations,
    )  # fmt: skip


def _with_weights(source: Source, model: Model, span: tuple[int, int]) -> Model:
    link = source.text[slice(*span)]
    entry = (Scalar(source, *span, "Weights", "Weights", ""), Scalar(source, *span, link, link, ""))
    entries = {**model.fields.entries, "weights": entry}
    return replace(model, fields=Mapping(source, model.fields.start, model.fields.end, entries))


def _model_of_vertical_table(source: Source, table: RawTable, found: TableContents) -> _Row | None:
    """Return the model of a table of names and values; None for other tables, and if nothing names a model."""
    stating: list[tuple[Column, Sequence[Cell]]] = []
    rows = (table.heads[0], *table.rows)
    for row in rows:
        if len(row) == 2:
            span = span_without_marks(source.text, row[0].start, row[0].end)
            column = column_of_head(source, 1, text_without_marks(source.text[slice(*span)])[:200], "", span)
            if column is not None and column.certain:
                stating.append((column, row))
    kinds = [column.kind for column, _ in stating]
    name = _name_above(source, table)
    if name is None or not set(kinds) & set(COUNTS) or len(set(kinds)) < len(kinds):
        return None
    values = []
    for stated_column, pair in stating:
        column, (one,) = values_of_column(source, stated_column, [pair])
        if one is not None:
            values.append((column, one))
    if all(column.kind == "image size" for column, _ in values):
        return None
    heads = tuple(
        (source.text[column.start : column.end], source.place(column.start, column.end)) for column, _ in values
    )
    found.tables.append(Table(heads[0][1], heads, table.caption, table.headings))
    return _Row(_model(source, name, values), _size_of(values), {})


def _name_above(source: Source, table: RawTable) -> Scalar | None:
    """Return the name of the model that the nearest heading with a digit in it names, else the title or the file."""
    words = [match["name"] for text in reversed(table.headings) if (match := _ONE_WORD.fullmatch(text))]
    words = [word for word in words if word.lower() not in _NO_NAMES]
    first = table.heads[0][0].start
    name = next((word for word in words if any(c.isdigit() for c in word)), words[-1] if words else "")
    at = source.text.rfind(name, 0, first) if name else -1
    if at >= 0:
        return Scalar(source, at, at + len(name), name, name, "")
    stem = source.path.stem
    if _ONE_WORD.fullmatch(stem) and any(c.isdigit() for c in stem) and stem.lower() not in _NO_NAMES:
        return Scalar(source, first, first, stem, stem, "")
    return None


def _transposed(source: Source, table: RawTable) -> RawTable | None:
    """Return a table with one field per row as X."""
    rows = [table.heads[0], *table.rows]
    keys = [text_without_marks(source.text[row[0].start : row[0].end]) if row else "" for row in rows]
    fields = [key for key in keys if len(key) <= 100 and kind_of(key) in KINDS]
    if (
        not {kind_of(key) for key in fields} & set(COUNTS)
        or len(fields) < 2
        or len(table.heads) > 1
        or len(rows[0]) < 3
        or len(rows) > 100
    ):
        return None
    width = len(rows[0])
    if any(text_without_marks(source.text[cell.start : cell.end]).lower() in _FACTS for cell in rows[0]):
        return None
    turned = [[row[index] if index < len(row) else Cell(0, 0) for row in rows] for index in range(width)]
    return replace(table, heads=turned[:1], rows=turned[1:])


def _models(rows: Sequence[_Row]) -> list[Model]:
    """Return the models of all rows of a file, in order of their first rows.

    Rows of one name, one image size and one file of weights are one model; rows without weights join any.
    """
    groups: dict[tuple[str, str], dict[str | None, _Row]] = {}
    """By name and size, then by file of weights: the first row of each model."""
    parts: dict[str, list[Model]] = {}
    for row in rows:
        model = row.model
        same_size = groups.setdefault((model.name, row.size), {})
        weights = model.text("Weights")
        first = next(iter(same_size.values()), None)
        group = same_size.get(weights) or same_size.get(None) if weights else first
        difference = _difference(group, row) if group else _shape_difference(first, row) if first else ""
        if group and not difference:
            parts[group.model.key].append(model)
            continue
        variant = ""
        if model.name in parts:
            variant = f"line {model.place.line}" if same_size or not row.size else row.size
        model = replace(model, variant=_unique_variant(model, variant, parts), doubt=difference)
        parts[model.key] = [model]
        if not difference:
            same_size[weights] = replace(row, model=model)
    return [merge_models(*each) for each in parts.values()]


def _unique_variant(model: Model, variant: str, taken: dict[str, list[Model]]) -> str:
    """Return a variant that no model of the same name has yet."""
    key, number = variant, 2
    while replace(model, variant=key).key in taken:
        key, number = f"{variant} ({number})", number + 1
    return key


_MEASURED = re.compile(
    r"acc|recall|top|m?ap\b|miou|bleu|cider|spice|\bf1|\br@|err|fps|latency|throughput|speed|time|memory|samples|step"
    r"|score|auc|loss|perf|diff|rank|act|download|link|log\b|date|ms\b|img/s|images/s",
    re.IGNORECASE,
)
"""Heads of what was measured of a network, or where it is: another value does not mean another network."""

_SHAPE = re.compile(r"window|width|depth|layers|\bdim|patch|scale|groups|heads|stride|kernel|expan", re.IGNORECASE)
"""Heads of what a network is made of."""


def _shape_difference(first: _Row, row: _Row) -> str:
    """Return why a row with other weights may be about another network; empty if nothing says so."""
    shape = {head: text for head, text in row.others.items() if _SHAPE.search(head)}
    return _difference(first, replace(row, others=shape))


def _difference(first: _Row, row: _Row) -> str:
    """Return why a row of the same name and size may be about another network; empty if nothing says so."""
    for head, text in row.others.items():
        before = first.others.get(head, "")
        if text and before and text != before and not _MEASURED.search(head):
            line = first.model.place.line
            return (
                f"the row on line {line} has the same name and image size and differs in the column "
                f"'{text_without_marks(head)}' ({before[:40]}, here {text[:40]}): it may be another network"
            )
    return ""

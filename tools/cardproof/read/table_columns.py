"""Columns of a table: which one names the models, what the others state, and why a table is not read.

A head decides if it is a field's name. Some heads (``Size``, ``Input``) are image sizes only if all their cells are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from cardproof.core.field_names import (
    ACCURACIES,
    BESIDE_ACCURACY,
    FIELDS,
    canonical_dataset,
    kind_of,
    normal_field,
    scale_of,
)
from cardproof.core.numbers import MAX_TEXT, parse_approximate
from cardproof.core.source import Source
from cardproof.read.models import parse_size
from cardproof.read.table_cells import Cell, RawTable, links_of, span_without_marks, text_without_marks

COUNTS = ("parameters", "flops")
KINDS = (*COUNTS, "image size", *ACCURACIES)
"""Kinds of fields that a column may state."""
UNCLEAR_NAMES = ("architecture", "arch", "variant", "name", "net")
"""Heads that name models if the table has a column of counts."""
NAMES = (
    *("model", "model name", "models", "network", "networks", "model id", "model variant"),
    *("模型", "模型名称", "モデル", "modell", "modèle", "modelo"),
    *UNCLEAR_NAMES,
)
"""Heads of the column with the models, the clearest first."""
_SIZES = (
    *("input", "input res", "input shape", "input dim", "size", "test size", "eval size"),
    *("test resolution", "test res", "eval resolution", "image res", "img res", "crop size", "image", "img"),
)
"""Heads of image sizes if all their cells are."""
_LINKS = (
    *("model", "link", "links", "download", "weights", "weight", "ckpt", "checkpoint", "url", "github", "here"),
    *("config", "log", "logs", "cfg", "pth", "model link", "google drive", "baidu", "onedrive", "hf", "file"),
)
"""Texts of links that name nothing."""
_WEIGHTS = (".pth", ".pt", ".pth.tar", ".bin", ".safetensors", ".ckpt", ".npz", ".tar", ".h5", ".pkl")

SIDES = range(16, 4097)
_HEAD_SIZE = re.compile(
    r"\s?(?:@\s?(?P<size>\d{2,4}(?:\s?[x×]\s?\d{2,4}|²)?)(?:\s?px)?"
    r"|[(\[]@?(?P<inner>\d{2,4}\s?[x×]\s?\d{2,4}|\d{3,4}²?|\d{2}(?=\s?px))(?:\s?px)?[)\]])"
    r"(?P<unit>\s?[(\[][^()\[\]\d]{1,20}[)\]])?\s*$"
)
"""An image size in a head: ``FLOPs@32``, ``GFLOPs @ 224²``, ``FLOPs (224 px)``, ``FLOPs @224 (G)``."""
_UNIT_ONLY = re.compile(r"[(\[]\s?(?:[KMGTBkmgtb]|%|[\w ×^⁶⁹³]{1,20})\s?[)\]]|[KMGTB%]")
VALUE = re.compile(r"[<>≤≥=(+−.-]{0,3} ?\d")
"""A cell that begins so states something; others are words, which need no reason."""
NAME = re.compile(r"[A-Za-z0-9][\w .+/@:(),&×-]{0,199}")


class Column(Struct, frozen=True):
    """A column, or a part of one with combined cells (``74.3 / 91.9``), that states a field or names the models."""

    index: int
    kind: str
    """Kind of its field; ``name`` for the column with the models."""
    field: str
    """Its head as plain text, which claims use as their field."""
    start: int
    end: int
    """Span of its head."""
    scale: str = ""
    dataset: str | None = None
    part: int = 0
    parts: int = 1
    size: tuple[int, int] | None = None
    """Span of an image size in its head."""
    operations: bool = False
    certain: bool = True
    """Whether its head alone says that it states this field."""

    @property
    def name(self) -> str:
        """The normal spelling of its field."""
        name = normal_field(self.field)
        return name if self.kind in FIELDS and name in FIELDS[self.kind][1] else self.kind


class Columns(Struct, frozen=True):
    """The columns of one table."""

    name: Column | None
    stating: tuple[Column, ...]
    heads: tuple[tuple[str, int, int], ...]
    """Each head as written, with its span; combined heads in their parts."""
    rows: list[list[Cell]]
    """The rows that state something: without a second row of heads."""
    unread: tuple[tuple[int, str, int, int], ...]
    """Index, head and span of each column that is not read."""
    reason: str = ""
    """Why no model is read."""
    counts: bool = False
    """Whether a column looks like counts."""


def columns_of(source: Source, table: RawTable, name_at: int | None = None) -> Columns:
    """Return the columns of a table; ``reason`` says why it is not read. ``name_at``: index of the names, if known."""
    heads, uppers, rows = _head_rows(source, table)
    spans = [span_without_marks(source.text, cell.start, cell.end) for cell in heads]
    found: list[Column] = []
    named: list[Column] = []
    for index, (cell, upper, span) in enumerate(zip(heads, uppers, spans, strict=True)):
        head = text_without_marks(source.text[cell.start : cell.end])
        if index == name_at or (name_at is None and normal_field(head) in NAMES):
            named.append(Column(index, "name", head, *span))
        elif len(head) <= MAX_TEXT:
            found += _columns_of_head(source, index, head, upper, span)
    found = [column for column in found if column.certain or _are_sizes(source, column, rows)]
    found, doubled = _one_of_each(found)
    name = named[0] if name_at is not None else _name_column(source, named, rows)
    read = {column.index for column in (*found, *([name] if name else []))}
    texts = [(index, source.text[first:last], first, last) for index, (first, last) in enumerate(spans)]
    flat: list[tuple[str, int, int]] = []
    for index, text, first, last in texts:
        parts = [(one.start, one.end) for one in found if one.index == index and one.parts > 1]
        written = f"{uppers[index]} {text}" if uppers[index] else text
        flat += [(source.text[a:b], a, b) for a, b in parts] or [(written, first, last)]
    unread = tuple(text for text in texts if text[0] not in read and text[1])
    counts = any(_looks_like_counts(source, index, text_without_marks(text), rows) for index, text, *_ in texts)
    reason = _reason_unread(name, found, doubled)
    return Columns(name, tuple(found), tuple(flat), rows, unread, reason, counts)


def _reason_unread(name: Column | None, found: Sequence[Column], doubled: str) -> str:
    """Return why a table is not read; empty if it is."""
    counts = any(column.kind in COUNTS for column in found)
    accuracies = any(column.kind in ACCURACIES for column in found)
    if name is None:
        return "no column names the models"
    if not counts and not accuracies:
        return doubled or "no column states parameters, multiply-adds or accuracies in a way that is understood"
    if not counts and normal_field(name.field) in UNCLEAR_NAMES:
        return f"a column '{name.field}' next to accuracies may name anything"
    return ""


def _head_rows(source: Source, table: RawTable) -> tuple[list[Cell], list[str], list[list[Cell]]]:
    """Return the heads, the texts above them if the head has two rows, and the rows of the table.

    The first row is the second half of the head if it has no name and no number, and some of its cells are the names of
    fields or units.
    """
    upper, rows = table.heads[0], table.rows
    if len(table.heads) > 1:
        lower = table.heads[1]
    elif rows and _is_second_head(source, upper, rows[0]):
        lower, rows = rows[0], rows[1:]
    else:
        return upper, [""] * len(upper), rows
    heads, uppers = [], []
    above = ""
    for index in range(max(len(upper), len(lower))):
        over = upper[index] if index < len(upper) else Cell(0, 0)
        under = lower[index] if index < len(lower) else Cell(0, 0)
        above = text_without_marks(source.text[over.start : over.end]) or above
        is_own = under.start == under.end or (under.start, under.end) == (over.start, over.end)
        heads.append(over if is_own else under)
        uppers.append("" if is_own else above)
    return heads, uppers, rows


def _is_second_head(source: Source, heads: Sequence[Cell], row: Sequence[Cell]) -> bool:
    texts = [text_without_marks(source.text[cell.start : cell.end]) for cell in row]
    if not any(texts) or any(len(text) > MAX_TEXT or parse_approximate(text, "count") for text in texts):
        return False
    for cell, text in zip(heads, texts, strict=False):
        if normal_field(text_without_marks(source.text[cell.start : cell.end])) in NAMES and text:
            return False
    return any(kind_of(text) in KINDS for text in texts) or all(_UNIT_ONLY.fullmatch(text) for text in texts if text)


def _columns_of_head(source: Source, index: int, head: str, upper: str, at: tuple[int, int]) -> Iterator[Column]:
    """Yield what a head says that its column states: one field, or several for combined cells."""
    if _UNIT_ONLY.fullmatch(head) and upper:
        head = f"{upper} {head}"
    if column := column_of_head(source, index, head, upper, at):
        yield column
        return
    parts, units = _parts_of_head(source.text[at[0] : at[1]]) if 1 <= head.count("/") <= 6 else ([], [])
    columns = []
    for number, part in enumerate(parts):
        span = span_without_marks(source.text, at[0] + part.start(), at[0] + part.end())
        text = text_without_marks(source.text[span[0] : span[1]]) + (f" ({units[number]})" if units else "")
        column = column_of_head(source, index, text, upper, span)
        if column is None or not column.certain:
            return
        columns.append(replace(column, part=number, parts=len(parts)))
    yield from columns


def _parts_of_head(head: str) -> tuple[list[re.Match[str]], list[str]]:
    """Return the parts of a combined head, and the unit of each if they stand behind: ``Params/FLOPs (M/G)``."""
    match = re.fullmatch(r"([^()\[\]]{1,200})[(\[]([^()\[\]]{1,100})[)\]]\s?", head)
    units = match[2].split("/") if match else []
    names = list(re.finditer(r"[^/]+", match[1])) if match else []
    if len(units) == len(names) > 1:
        return names, [unit.strip() for unit in units]
    return list(re.finditer(r"[^/]+", head)), []


def column_of_head(source: Source, index: int, head: str, upper: str, at: tuple[int, int]) -> Column | None:
    """Return a column by its head; None if the head is not a field."""
    size = None
    field = head
    if match := _HEAD_SIZE.search(head):
        text = (match["size"] or match["inner"]).rstrip("²")  # a span of a head has no raised digit at its end
        rest = head[: match.start()] + (match["unit"] or "")
        written, sides = source.text.find(text, *at), parse_size(text)
        is_size = match["size"] or kind_of(rest) == "flops"
        if written >= 0 and is_size and sides and all(side in SIDES for side in sides):
            field, size = rest, (written, written + len(text))
    kind, normal = kind_of(field), normal_field(field)
    scale = scale_of(field)
    dataset = canonical_dataset(upper) if upper else None
    if kind in COUNTS:
        return Column(index, kind, field, *at, scale, None, size=size)
    if kind == "image size":
        return Column(index, kind, field, *at)
    if normal == "res":
        return Column(index, "image size", field, *at)
    if normal in _SIZES:
        return Column(index, "image size", field, *at, certain=False)
    if kind in ACCURACIES:
        return _accuracy(Column(index, kind, field, *at, "", dataset, size=size))
    for kind in ACCURACIES:
        for spelling in FIELDS[kind][1]:
            if normal.endswith(f" {spelling}") and (found := canonical_dataset(normal.removesuffix(spelling).strip())):
                return Column(index, kind, kind.title(), *at, "", found, size=size)
    return None


def _accuracy(column: Column) -> Column | None:
    """Return a column of accuracies with the data set in its brackets; None if they say something else (``knn``)."""
    words = [word for text in re.findall(r"[(\[]([^()\[\]]{1,60})[)\]]", column.field) for word in text.split()]
    text = " ".join(word for word in words if word.lower() not in BESIDE_ACCURACY)
    if not re.search(r"[A-Za-z]", text):
        return column
    dataset = canonical_dataset(text)
    return replace(column, dataset=dataset) if dataset else None


def _are_sizes(source: Source, column: Column, rows: Sequence[Sequence[Cell]]) -> bool:
    cells = [row[column.index] for row in rows if column.index < len(row)]
    texts = [text_without_marks(source.text[cell.start : cell.end]) for cell in cells]
    sizes = [parse_size(text.rstrip("*†")) for text in texts if VALUE.match(text)]
    return bool(sizes) and all(size and all(side in SIDES for side in size) for size in sizes)


def _one_of_each(found: list[Column]) -> tuple[list[Column], str]:
    """Return the columns that are the only one of their field, and a reason if others are not.

    A column of FLOPs beside one of multiply-adds counts operations. Of several image sizes, that of testing is meant.
    """
    macs = [one for one in found if one.kind == "flops" and not _counts_operations(one)]
    flops = [one for one in found if one.kind == "flops" and _counts_operations(one)]
    if len(macs) == len(flops) == 1:
        found = [replace(one, operations=True) if one is flops[0] else one for one in found]
    sizes = [one for one in found if one.kind == "image size"]
    if len(sizes) > 1:
        tested = [one for one in sizes if re.search(r"\b(?:test|eval|infer)", normal_field(one.field))]
        kept = tested if len(tested) == 1 else []
        found = [one for one in found if one.kind != "image size" or one in kept]
    keys = [(one.kind, one.dataset, one.operations) for one in found]
    doubled = next((one for key, one in zip(keys, found, strict=True) if keys.count(key) > 1), None)
    reason = f"two columns state {doubled.kind}" if doubled else ""
    return [one for key, one in zip(keys, found, strict=True) if keys.count(key) == 1], reason


def _counts_operations(column: Column) -> bool:
    """Return whether a head says FLOPs; ``FLOPs/2`` and ``FLOPs (GMACs)`` are multiply-adds."""
    return column.name == "flops" and not re.search(r"mac|madd", column.field.lower())


def _name_column(source: Source, named: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> Column | None:
    """Return the column that names the models: the clearest head whose cells differ and are not mere links."""

    def rank(column: Column) -> tuple[bool, int, int]:
        texts = names_in(source, column.index, rows)
        return len(set(texts)) < len(texts), NAMES.index(normal_field(column.field)), column.index

    naming = [column for column in named if not _is_links(source, column, rows)]
    return min(naming, key=rank, default=None)


def names_in(source: Source, index: int, rows: Iterable[Sequence[Cell]]) -> list[str]:
    """Return the texts of a column's cells that may name models."""
    spans = (span_without_marks(source.text, *row[index][:2]) for row in rows if index < len(row))
    return [text for first, last in spans if NAME.fullmatch(text := source.text[first:last])]


def _is_links(source: Source, column: Column, rows: Sequence[Sequence[Cell]]) -> bool:
    """Return whether the cells of a column are texts such as "download", or links with one text, that name nothing."""
    texts = [text.lower() for text in names_in(source, column.index, rows)]
    cells = [row[column.index] for row in rows if column.index < len(row)]
    if len(texts) > 1 and len(set(texts)) == 1 and any(links_of(source.text, *cell[:2]) for cell in cells):
        return True
    words = [re.split(r"[^a-z ]", text)[0].strip() in _LINKS for text in texts]
    return bool(words) and all(words)


def weights_in(source: Source, cell: Cell) -> tuple[int, int] | None:
    """Return the span of the only link to a file of weights in a cell."""
    links = [
        (first, last)
        for link, first, last in links_of(source.text, cell.start, cell.end)
        if re.split(r"[?#]", link.lower())[0].endswith(_WEIGHTS)
    ]
    return links[0] if len(links) == 1 else None


def _looks_like_counts(source: Source, index: int, head: str, rows: Sequence[Sequence[Cell]]) -> bool:
    """Return whether a head has a word for counts and most of its cells are numbers."""
    if not re.search(r"param|flop|macs?\b|madds?\b|mult-?add", head.lower()):
        return False
    texts = [text_without_marks(source.text[row[index].start : row[index].end]) for row in rows if index < len(row)]
    numbers = [bool(parse_approximate(text, "count")) for text in texts if text]
    return bool(numbers) and sum(numbers) * 2 >= len(numbers)

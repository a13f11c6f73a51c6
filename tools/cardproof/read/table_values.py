"""Values of a column: the number or image size of each cell, in the unit that the column has, or why it is not read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from cardproof.core.field_names import ACCURACIES, normal_field, says_another_value
from cardproof.core.numbers import MAX_TEXT, has_own_scale, parse_approximate
from cardproof.core.source import Source
from cardproof.core.types import Number
from cardproof.read.models import parse_size, why_unread
from cardproof.read.table_cells import APPROXIMATE, Cell, span_of_number, span_without_marks
from cardproof.read.table_columns import COUNTS, SIDES, VALUE, Column

SMALLEST = 100_000
"""If neither head nor cell has a unit, the unit of a smaller count is not stated."""
NO_UNIT = "neither"
"""Begins the reason why a number without a unit is not read."""
LARGEST = Decimal(10) ** 16
"""No network has so many parameters or multiply-adds: the head's unit is not meant for such a cell."""
_MILLIONS = (Decimal("0.1"), Decimal(2000))
LEAST_RATIO = Decimal("1.2")
"""Operations are about twice the multiply-adds; what is not even 1.2 times as many is counted otherwise."""
_DECIMAL_COMMA = re.compile(r"(?<!\d)0,\d|\d,\d{1,2}(?!\d)|\d,\d{4}")


_BEHIND = re.compile(r"[*_`$ ]{0,9}\((?P<words>[^()|<\[\n\d]{1,100})\)")
"""Words in brackets right behind a value."""


class CellValue(Struct, frozen=True):
    """What a cell states: its span without marks, and its number or image size, or why it cannot be read."""

    start: int
    end: int
    number: Number | None = None
    size: tuple[int, int] | None = None
    unread: str = ""


def values_of_column(
    source: Source, column: Column, rows: Sequence[Sequence[Cell]]
) -> tuple[Column, list[CellValue | None]]:
    """Return what each cell of a column states, and the column with the unit that its cells share, if any."""
    spans = [_span(source.text, column, row) for row in rows]
    texts = [source.text[first:last] if first < last else "" for first, last in spans]
    if column.kind == "image size":
        return column, [_size(text, span) for text, span in zip(texts, spans, strict=True)]
    if column.kind in COUNTS and not column.scale and (scale := _shared_scale(column, texts)):
        field = f"{column.field} ({scale})"
        column = replace(column, field=field, scale=scale)
    comma = any(_DECIMAL_COMMA.search(text) for text in texts if len(text) <= MAX_TEXT)
    found = [_number(source, column, span, comma) for span in spans]
    if padding := _zeros_at_end([text for text, one in zip(texts, found, strict=True) if one and one.number]):
        found = [
            replace(one, number=replace(one.number, quantum=one.number.quantum * 10**padding))
            if one and one.number
            else one
            for one in found
        ]
    return column, found


def _span(text: str, column: Column, row: Sequence[Cell]) -> tuple[int, int]:
    """Return the span of a value in a row; nothing if the row ends before its column, or has not all parts."""
    if column.index >= len(row):
        return 0, 0
    cell = row[column.index]
    if column.parts == 1 or cell.end - cell.start > MAX_TEXT * 4:
        return span_of_number(text, cell.start, cell.end)
    first, last = span_without_marks(text, cell.start, cell.end)
    parts = list(re.finditer(r"[^/|]+", text[first:last]))
    if len(parts) != column.parts:
        return 0, 0
    part = parts[column.part]
    return span_of_number(text, first + part.start(), first + part.end())


def _in_context(source: Source, span: tuple[int, int], number: Number) -> CellValue:
    """Return a number with the words around it: "about" before it, or brackets behind it that may say otherwise."""
    first, last = span
    match = _BEHIND.match(source.text, last)
    if match and says_another_value(match["words"]):
        return CellValue(first, last, unread=f"'({match['words']})' behind it may make it another value")
    about = APPROXIMATE.search(source.text[max(0, first - 20) : first]) is not None
    return CellValue(first, last, replace(number, about=about))


def _size(text: str, span: tuple[int, int]) -> CellValue | None:
    if not VALUE.match(text) or len(text) > MAX_TEXT:
        return None
    size = parse_size(text)
    if size and all(side in SIDES for side in size):
        return CellValue(*span, size=size)
    return CellValue(*span, unread=f"'{text}' cannot be read for sure as an image size")


def _shared_scale(column: Column, texts: Iterable[str]) -> str:
    """Return the unit of parameters that a head leaves out: M, if all cells of the column can only be millions.

    That is: at least two cells (in timm's ``param_count`` one), none with a unit, all from 0.1 to 2000 with decimals.
    """
    if column.kind != "parameters":
        return ""
    written = [text for text in texts if VALUE.match(text) and len(text) <= MAX_TEXT]
    is_timms = normal_field(column.field) == "param count"
    if len(written) < (1 if is_timms else 2) or any("." not in text or has_own_scale(text) for text in written):
        return ""
    if is_timms:
        return "M"
    numbers = [parse_approximate(text, "count") for text in written]
    low, high = _MILLIONS
    return "M" if all(number and low <= number.value <= high for number in numbers) else ""


def _number(source: Source, column: Column, span: tuple[int, int], comma: bool) -> CellValue | None:
    """Return the number of a cell, or why it cannot be read; None if the cell states nothing."""
    text = source.text[slice(*span)]
    if not VALUE.match(text) or len(text) > MAX_TEXT:
        return None
    if comma and text.count(",") == 1:
        return CellValue(*span, unread=f"'{text}' may have a decimal comma, or one between thousands")
    if column.kind in ACCURACIES:
        number = parse_approximate(text)
        if number is not None and number.unit in ("", "%"):
            return _in_context(source, span, number)
        return CellValue(*span, unread=f"'{text}' cannot be read for sure as an accuracy")
    number = parse_approximate(text, "count", column.scale)
    if number is None:
        return CellValue(*span, unread=f"'{text}' cannot be read for sure as a count")
    own = has_own_scale(text)
    if not column.scale and not own and number.value < SMALLEST:
        if not number.value:
            return CellValue(*span, unread="0 is not a count")
        said = f"{NO_UNIT} '{column.field}' nor '{text}' states a unit, such as 'Params (M)' or '11.7M'"
        return CellValue(*span, unread=said)
    if column.scale and not own and number.value > LARGEST:
        return CellValue(*span, unread=f"'{text}' is too large for the unit in '{column.field}'")
    if unread := why_unread(number, column.kind, column.field, text):
        return CellValue(*span, unread=unread)
    return _in_context(source, span, number)


def _zeros_at_end(texts: Sequence[str]) -> int:
    """Return how many zeros end the decimals of every number of a column: they only make its cells equally long."""
    zeros = []
    for text in texts:
        match = re.match(r"[\d,_ ]*\.(\d+)", text)
        if match is None:
            return 0
        zeros.append(len(match[1]) - len(match[1].rstrip("0")))
    return min(zeros) if len(zeros) > 1 else 0


def without_equal_operations(
    stated: list[tuple[Column, list[CellValue | None]]],
) -> list[tuple[Column, list[CellValue | None]]]:
    """Return the columns of a table; FLOPs that are mostly no more than the multiply-adds beside them are in doubt."""
    flops = next((cells for column, cells in stated if column.operations), None)
    macs = next((cells for column, cells in stated if column.kind == "flops" and not column.operations), None)
    if flops is None or macs is None:
        return stated
    pairs = [
        (a.number.value, b.number.value) for a, b in zip(flops, macs, strict=True) if a and b and a.number and b.number
    ]
    if sum(b > 0 and a < b * LEAST_RATIO for a, b in pairs) * 2 <= len(pairs):
        return stated
    reason = "FLOPs and multiply-adds of this table are about as many: it is unclear what the FLOPs count"
    doubted = [replace(one, number=None, unread=reason) if one else None for one in flops]
    return [(column, doubted if column.operations else cells) for column, cells in stated]

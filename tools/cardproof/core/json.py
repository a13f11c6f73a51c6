"""JSON: texts that every reader accepts, and sealed records, whose digest reveals edits by hand."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct, convert, to_builtins

from cardproof.core.digests import digest_of_data
from cardproof.core.errors import InputError
from cardproof.core.paths import is_regular, show_path

T = TypeVar("T")

MOST_BITS = 10_000
"""Of a whole number in a text; Python refuses to write much longer ones."""

MOST_BYTES = 256 * 1024**2
"""Largest record that is read: no measurement gives more."""

MOST_DIGITS = 18
"""Longest number that a measurement gives."""


def strict_json(data: Any, **options: Any) -> str:
    """Return data as JSON, with null for what it cannot hold; ``options`` are those of :func:`json.dumps`.

    It cannot hold infinity, NaN and endless numbers.
    """
    try:
        return json.dumps(data, ensure_ascii=False, allow_nan=False, **options)
    except ValueError:
        return json.dumps(_without_infinity(data), ensure_ascii=False, allow_nan=False, **options)


def _without_infinity(data: Any) -> Any:
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, int):
        return data if data.bit_length() < MOST_BITS else None
    if isinstance(data, dict):
        return {key: _without_infinity(value) for key, value in data.items()}
    return [_without_infinity(item) for item in data] if isinstance(data, list | tuple) else data


class TamperedError(Exception):
    """A stored record whose seal does not match its content: it was edited by hand."""


class NewerError(InputError):
    """A stored record that a newer cardproof wrote: this one cannot read it and must not overwrite it."""


def to_plain_data(record: Struct) -> dict[str, Any]:
    """Return a record as plain data for JSON; fractions become text."""
    found: dict[str, Any] = to_builtins(record, enc_hook=str)
    return found


def dump_sealed(schema: str, content: dict[str, Any]) -> str:
    """Return the JSON of a record: its schema, its content, and the seal over both."""
    record = json.loads(json.dumps({"schema": schema, **content}))
    record["seal"] = digest_of_data(record)
    return json.dumps(record, indent=2, ensure_ascii=False) + "\n"


def load_sealed(path: Path, schema: str, kind: type[T]) -> T:
    """Read a record of a kind.

    Raises FileNotFoundError; TamperedError if the file is not as :func:`dump_sealed` wrote it, or its content is not of
    this kind; NewerError if its schema has a higher number, or if it is intact and has a field or a word that is not
    known here.
    """
    try:
        if path.exists() and (not is_regular(path) or path.stat().st_size > MOST_BYTES):
            raise ValueError("not a file, and reading a pipe or a device would not end; or too large")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise
    except (OSError, ValueError, MemoryError) as trouble:
        raise TamperedError(path) from trouble
    return parse_sealed(text, path, schema, kind)


def parse_sealed(text: str, path: Path, schema: str, kind: type[T]) -> T:
    """Return the record of a text that was read from ``path``; raises like :func:`load_sealed`."""
    try:
        record = json.loads(text, parse_int=_parse_bounded, parse_float=_parse_finite, parse_constant=_parse_finite)
        if _is_newer(str(record["schema"]), schema):
            raise _newer_error(path, f"its schema is {record['schema']}, and this one reads {schema}")
        if record.pop("seal") != digest_of_data(record) or record.pop("schema") != schema:
            raise TamperedError(path)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, MemoryError) as trouble:
        raise TamperedError(path) from trouble
    try:
        return convert(record, kind, dec_hook=_fraction)
    except (ValueError, ArithmeticError, TypeError, RecursionError) as trouble:
        if str(trouble).startswith(("Object contains unknown field", "Invalid enum value")):
            raise _newer_error(path, "it has content that this one does not know") from trouble
        raise TamperedError(path) from trouble


def _parse_bounded(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise ValueError("a number with too many digits")
    return int(text)


def _parse_finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("not a finite number")
    return number


def _newer_error(path: Path, what: str) -> NewerError:
    hint = "update cardproof; to measure with this one instead, remove the file"
    return NewerError(f"{show_path(path)}:1:1: this record was written by a newer cardproof: {what}; {hint}")


def _is_newer(found: str, known: str) -> bool:
    """Return whether a schema is a known one with a higher number: ``cardproof-evidence/2`` after ``…/1``."""
    kind, _, number = found.rpartition("/")
    own_kind, _, own_number = known.rpartition("/")
    return kind == own_kind and number.isdecimal() and int(number) > int(own_number)


def _fraction(kind: type, text: Any) -> Fraction:
    if kind is not Fraction or not isinstance(text, str) or len(text) > 100:
        raise ValueError("not a fraction")
    return Fraction(text)

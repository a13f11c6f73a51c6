"""Sealed JSON records: readable, in stable order, and with a digest that does not survive an edit by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from cardproof.digests import digest_of_data

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")


class TamperedError(Exception):
    """A stored record whose seal does not fit its content: it was edited by hand."""


def dump_sealed(schema: str, content: dict[str, Any]) -> str:
    """Return the text of a record: its schema, its content, and the seal over both."""
    record = json.loads(json.dumps({"schema": schema, **content}))
    record["seal"] = digest_of_data(record)
    return json.dumps(record, indent=2, ensure_ascii=False) + "\n"


def load_sealed(path: Path, schema: str, decode: Callable[[dict[str, Any]], T]) -> T:
    """Read a record and return what ``decode`` makes of its content.

    Raises FileNotFoundError, and TamperedError where the file is not as :func:`dump_sealed` wrote it.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record.pop("seal") != digest_of_data(record) or record.pop("schema") != schema:
            raise TamperedError(path)
        return decode(record)
    except (ValueError, KeyError, TypeError, AttributeError) as trouble:
        raise TamperedError(path) from trouble


def with_tuples(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record with tuples where JSON has lists, as frozen dataclasses have them."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in record.items()}

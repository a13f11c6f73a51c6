"""The private cache: results that can be made again, each with the name and digest of each input that it used.

A result is valid while all of its inputs are equal; those that differ are the reason for making it again. The cache
is in the user's own folder, never in a site: removing it costs one build and changes nothing. Results that are shared
are sealed records in the site, by the same rule: evidence, results on data sets, runs of snippets, speeds.

Neither stores a failure that may pass (memory, time, a worker that died, a network that does not answer), a page that
includes a remote file, or a template that fails. Answers of servers age: they are stored with their time and not with
inputs (:mod:`cardproof.judge.online.store`).
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from msgspec import Struct

from cardproof.core.files import cache_folder

VERSION = 1
"""Version of the table; another version starts with an empty cache."""

MOST_KEPT = 200_000
"""Largest number of results; the oldest are deleted."""


class Entry(Struct, frozen=True):
    """One result."""

    name: str
    inputs: Mapping[str, str]
    """Digest, stamp or version of each input, by name."""
    value: Any
    """Plain data."""


class Cache:
    """Results by kind and name, in SQLite: several builds may use it at once, and one is read without the others."""

    def __init__(self, path: Path) -> None:
        """Open or create a cache; a broken file is replaced.

        Raises OSError if the folder cannot be written, and sqlite3.DatabaseError if the cache cannot be used now:
        another build has locked it for long, or the disk is full.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        try:
            self._database = self._open()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            path.unlink(missing_ok=True)
            self._database = self._open()

    def entries(self, kind: str) -> dict[str, Entry]:
        """Return all results of a kind by their names; the caller compares their inputs."""
        rows = self._rows("SELECT name, inputs, value FROM results WHERE kind = ?", kind)
        return {name: Entry(name, _unpacked(inputs), _unpacked(value)) for name, inputs, value in rows}

    def entry(self, kind: str, name: str) -> Entry | None:
        """Return one result."""
        rows = self._rows("SELECT inputs, value FROM results WHERE kind = ? AND name = ?", kind, name)
        return Entry(name, *map(_unpacked, rows[0])) if rows else None

    def put(self, kind: str, entries: Iterable[Entry]) -> None:
        """Store or replace results; nothing is stored if another build has locked the cache."""
        rows = [(kind, entry.name, _packed(dict(entry.inputs)), _packed(entry.value)) for entry in entries]
        with suppress(sqlite3.DatabaseError, UnicodeEncodeError), self._database:  # names may be no text
            self._database.executemany("INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?)", rows)
            oldest = "DELETE FROM results WHERE rowid <= (SELECT max(rowid) FROM results) - ?"
            self._database.execute(oldest, (MOST_KEPT,))

    def close(self) -> None:
        self._database.close()

    def _rows(self, query: str, *arguments: str) -> list[Any]:
        try:
            return self._database.execute(query, arguments).fetchall()
        except sqlite3.OperationalError:  # another build has locked it for long
            return []
        except sqlite3.DatabaseError:  # broken by a crash of the machine: the next build starts a new one
            self._path.unlink(missing_ok=True)
            return []

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, timeout=5)
        database.execute("PRAGMA synchronous = OFF")
        if _version(database) != VERSION:
            with database:
                database.execute("BEGIN IMMEDIATE")  # if builds begin at once, one of them makes the table
                if _version(database) != VERSION:
                    database.execute("DROP TABLE IF EXISTS results")
                    columns = "kind TEXT, name TEXT, inputs BLOB, value BLOB, PRIMARY KEY (kind, name)"
                    database.execute(f"CREATE TABLE results ({columns})")
                    database.execute(f"PRAGMA user_version = {VERSION}")
        return database


def _version(database: sqlite3.Connection) -> int:
    with closing(database.execute("PRAGMA user_version")) as cursor:
        return int(cursor.fetchone()[0])


def _packed(data: Any) -> bytes:
    return zlib.compress(json.dumps(data, default=str).encode(), 1)


def _unpacked(data: bytes) -> Any:
    return json.loads(zlib.decompress(data))


def cache_path() -> Path:
    """Return the path of this user's cache."""
    return cache_folder() / "results.sqlite"


def open_cache() -> Cache | None:
    """Return this user's cache; None if it cannot be used now, which only costs time."""
    try:
        return Cache(cache_path())
    except (OSError, sqlite3.DatabaseError):
        return None


def recalled(kind: str, text: str, make: Callable[[str], Any], inputs: Mapping[str, str]) -> Any:
    """Return what ``make`` says of a text, as plain data; ``inputs`` are what else decides it, such as a library."""
    cache = open_cache()
    if cache is None:
        return make(text)
    name = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    with closing(cache):
        entry = cache.entry(kind, name)
        if not entry or entry.inputs != inputs:
            entry = Entry(name, inputs, make(text))
            cache.put(kind, [entry])
        return entry.value

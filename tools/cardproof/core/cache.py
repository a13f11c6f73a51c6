"""The private cache: results that can be made again, each with the name and digest of each input that it used.

A result is valid while all of its inputs are equal; those that differ are the reason for making it again. The cache
is in the user's own folder, never in a site: removing it costs one build and changes nothing. Results that are shared
are sealed records in the site, by the same rule: evidence, results on data sets, runs of snippets, speeds.

Neither stores a failure that may pass (memory, time, a worker that died, a network that does not answer), a page that
includes a remote file, or a template that fails. Answers of servers age: they are stored with their time and not with
inputs (:mod:`cardproof.judge.online`).
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import stat
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec import Struct

from cardproof.core.paths import cache_folder

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
    """Results by kind and name, in SQLite: several builds may use it at once, and each result is read by itself.

    A cache that fails is dropped: nothing is found in it and nothing stored for the rest of the build. A damaged file
    is removed, so that the next build starts a new one; a damaged row is as if it were missing.
    """

    def __init__(self, path: Path) -> None:
        """Open or create a cache; a broken file is replaced.

        Raises OSError if the folder cannot be written, and sqlite3.Error if the cache cannot be used now: another build
        has locked it for long, or the disk is full.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        try:
            self._database = self._open()
        except sqlite3.DatabaseError as trouble:
            if not _is_damage(trouble):
                raise
            path.unlink(missing_ok=True)
            self._database = self._open()
        self._dropped = False

    def entries(self, kind: str) -> dict[str, Entry]:
        """Return all results of a kind by their names; the caller compares their inputs."""
        rows = self._query("SELECT name, inputs, value, seal FROM results WHERE kind = ?", kind)
        found = (_entry(kind, *row) for row in rows)
        return {entry.name: entry for entry in found if entry}

    def entry(self, kind: str, name: str) -> Entry | None:
        rows = self._query("SELECT name, inputs, value, seal FROM results WHERE kind = ? AND name = ?", kind, name)
        return _entry(kind, *rows[0]) if rows else None

    def put(self, *groups: tuple[str, Iterable[Entry]]) -> None:
        """Store or replace results of some kinds, all or none.

        Nothing is stored if another build has locked the cache, or the disk is full.
        """
        if self._dropped:
            return
        try:
            rows = [_row(kind, entry) for kind, entries in groups for entry in entries]
            with self._database:
                self._database.executemany("INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?)", rows)
                oldest = "DELETE FROM results WHERE rowid <= (SELECT max(rowid) FROM results) - ?"
                self._database.execute(oldest, (MOST_KEPT,))
        except sqlite3.Error as trouble:
            self._disable(trouble)
        except (ValueError, TypeError, RecursionError):  # names may be no text, and values may be nested too deeply
            return

    def close(self) -> None:
        with suppress(sqlite3.Error):
            self._database.close()

    def _query(self, query: str, *arguments: str) -> list[Any]:
        """Return the rows of a query; none once the cache is dropped."""
        if self._dropped:
            return []
        try:
            return self._database.execute(query, arguments).fetchall()
        except sqlite3.Error as trouble:
            self._disable(trouble)
        except UnicodeEncodeError:  # a name with lone surrogates
            pass
        return []

    def _disable(self, trouble: sqlite3.Error) -> None:
        """Stop using the cache, and remove its file if no build can use it."""
        self._dropped = True
        if _is_damage(trouble):
            self.close()
            with suppress(OSError):
                self._path.unlink(missing_ok=True)

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, timeout=5)
        try:
            database.execute("PRAGMA synchronous = OFF")
            # asked first: to read, the file need not be writable, nor free of another build that writes
            if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'results'").fetchall():
                with database:
                    database.execute("BEGIN IMMEDIATE")  # if builds begin at once, one of them makes the table
                    columns = "kind TEXT, name TEXT, inputs BLOB, value BLOB, seal BLOB, PRIMARY KEY (kind, name)"
                    database.execute(f"CREATE TABLE IF NOT EXISTS results ({columns})")
        except BaseException:
            with suppress(sqlite3.Error):
                database.close()
            raise
        return database


_DAMAGE = {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_MISMATCH}
"""Codes of a file that stays unusable: with another table, damaged, or of another kind."""


def _is_damage(trouble: sqlite3.Error) -> bool:
    return getattr(trouble, "sqlite_errorcode", None) in _DAMAGE


def _row(kind: str, entry: Entry) -> tuple[str, str, bytes, bytes, bytes]:
    inputs, value = pack(dict(entry.inputs)), pack(entry.value)
    return kind, entry.name, inputs, value, _seal(kind, entry.name, inputs, value)


def _entry(kind: str, name: Any, inputs: Any, value: Any, seal: Any) -> Entry | None:
    """Return a stored row as an entry; None if it is damaged."""
    try:
        if seal == _seal(kind, name, inputs, value):
            return Entry(name, unpack(inputs), unpack(value))
    except (ValueError, TypeError, AttributeError, RecursionError, zlib.error):
        pass
    return None


def _seal(kind: str, name: str, inputs: bytes, value: bytes) -> bytes:
    """Return the digest that shows whether a row is damaged, or was written by another program."""
    head = f"{kind}\0{name}\0{len(inputs)}\0".encode()
    return hashlib.blake2b(head + inputs + value, digest_size=16).digest()


def pack(data: Any) -> bytes:
    """Return plain data, compressed; values that are not plain become text."""
    return zlib.compress(json.dumps(data, default=str).encode(), 1)


def unpack(data: bytes) -> Any:
    """Return the data of :func:`pack`. Raises ValueError and zlib.error."""
    return json.loads(zlib.decompress(data))


def cache_path() -> Path:
    """Return the path of this user's cache."""
    return cache_folder() / "results.sqlite"


def open_cache() -> Cache | None:
    """Return this user's cache; None if it is another user's, or cannot be used now, which only costs time."""
    try:
        return Cache(cache_path()) if _is_own(cache_path()) else None
    except (OSError, sqlite3.Error, ValueError):
        return None


def _is_own(path: Path) -> bool:
    """Return whether only this user can have written a file, or it does not exist yet. Raises OSError."""
    if os.name != "posix" or not path.exists():
        return True
    state = path.stat()
    return state.st_uid == os.geteuid() and not state.st_mode & stat.S_IWOTH

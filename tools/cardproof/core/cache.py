"""What earlier builds found out about each card: valid while every file that was read for it is the same.

A memo is a cache in the user's own cache folder, never part of a site: removing it costs one build and changes nothing.
It holds JSON in SQLite, so that several builds may use it at once and a card is looked up without reading the others.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import time
import zlib
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from cardproof.core.files import cache_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

VERSION = 2
"""Of the tables below; another version starts with an empty memo."""

ABSENT = "absent"
"""The stamp of a file that was looked for and was not there."""

RACY = 2 * 10**9
"""A file that is younger than this many nanoseconds may change again within one tick of the clock: it is compared by
content."""


class Entry(Struct, frozen=True):
    """What is remembered of one card."""

    file: str
    """Its template, as reports show it."""
    context: str
    """Digest of what all cards depend on: settings, code, zoo, what is installed."""
    files: Mapping[str, str]
    """Every file that was read or written for it, with its stamp."""
    across: Mapping[str, str] = field(default_factory=dict)
    """What it saw of other cards, by kind, as a digest."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What a report and other cards need of it, as plain data."""


class Memo:
    """The memo of one site, of one folder of outputs."""

    def __init__(self, path: Path) -> None:
        """Open a memo, or start one; a file that is no memo is started anew.

        Raises OSError where the folder cannot be written, and sqlite3.OperationalError where the memo cannot be used
        now: another build holds it for long, or the disk is full.
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

    def entries(self, context: str) -> dict[str, Entry]:
        """Return the entries of a context, by their card's file; whether their files are the same is not looked at."""
        rows = self._database.execute(
            "SELECT file, context, files, across, facts FROM cards WHERE context = ?", (context,)
        )
        return {row[0]: Entry(row[0], row[1], *(json.loads(text) for text in row[2:])) for row in rows}

    def rows(self, file: str) -> dict[str, Any]:
        """Return the long part of an entry: the rows that only a full report needs."""
        row = self._database.execute("SELECT rows FROM cards WHERE file = ?", (file,)).fetchone()
        found: dict[str, Any] = json.loads(zlib.decompress(row[0])) if row else {}
        return found

    def put(self, entries: Iterable[tuple[Entry, Mapping[str, Any]]], gone: Iterable[str] = ()) -> None:
        """Store entries with their rows, and forget cards that are ``gone``; a memo that is in use is left alone."""
        packed = [
            (e.file, e.context, *(json.dumps(dict(part)) for part in (e.files, e.across, e.facts)), _pack(rows))
            for e, rows in entries
        ]
        with suppress(sqlite3.OperationalError), self._database:
            self._database.executemany("INSERT OR REPLACE INTO cards VALUES (?, ?, ?, ?, ?, ?)", packed)
            self._database.executemany("DELETE FROM cards WHERE file = ?", [(file,) for file in gone])

    def site_files(self, context: str, inputs: str) -> dict[str, str]:
        """Return the files about all models that were made of these inputs, with their stamps."""
        row = self._database.execute(
            "SELECT files FROM site WHERE context = ? AND inputs = ?", (context, inputs)
        ).fetchone()
        found: dict[str, str] = json.loads(row[0]) if row else {}
        return found

    def put_site_files(self, context: str, inputs: str, files: Mapping[str, str]) -> None:
        """Remember the files about all models in place of earlier ones; a memo that is in use is left alone."""
        with suppress(sqlite3.OperationalError), self._database:
            self._database.execute("DELETE FROM site")
            self._database.execute("INSERT INTO site VALUES (?, ?, ?)", (context, inputs, json.dumps(dict(files))))

    def close(self) -> None:
        self._database.close()

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, timeout=5)
        if _version(database) != VERSION:
            with database:
                database.execute("BEGIN IMMEDIATE")  # of builds that begin at once, one makes the tables
                if _version(database) != VERSION:
                    _make_tables(database)
        return database


def _version(database: sqlite3.Connection) -> int:
    with closing(database.execute("PRAGMA user_version")) as cursor:
        found: int = cursor.fetchone()[0]
    return found


def _make_tables(database: sqlite3.Connection) -> None:
    for table in ("cards", "site"):
        database.execute(f"DROP TABLE IF EXISTS {table}")
    cards = "file TEXT PRIMARY KEY, context TEXT, files TEXT, across TEXT, facts TEXT, rows BLOB"
    database.execute(f"CREATE TABLE cards ({cards})")
    database.execute("CREATE TABLE site (context TEXT, inputs TEXT, files TEXT)")
    database.execute(f"PRAGMA user_version = {VERSION}")


def _pack(rows: Mapping[str, Any]) -> bytes:
    return zlib.compress(json.dumps(dict(rows), ensure_ascii=False, default=str).encode(), 1)


def memo_path(site: Path, out: Path) -> Path:
    """Return where the memo of a site with this folder of pages lies."""
    name = hashlib.sha256(f"{site.resolve()}\0{out.resolve()}\0{Path.cwd()}".encode()).hexdigest()[:24]
    return cache_folder() / f"{name}.sqlite"


class Stamps:
    """Stamps of files, each looked at once: size, time of change, and SHA-256."""

    def __init__(self) -> None:
        self._now = time.time_ns()
        self._same: dict[tuple[str, str], bool] = {}
        self._digests: dict[str, str] = {}

    def of(self, path: Path | str) -> str:
        """Return the stamp of a file as it is now."""
        try:
            found = Path(path).stat()
        except OSError:
            return ABSENT
        when = found.st_mtime_ns if found.st_mtime_ns < self._now - RACY else 0
        return f"{found.st_size} {when} {self.digest(path)}"

    def unchanged(self, path: str, stamp: str) -> bool:
        """Return whether a file is as it was when it got this stamp."""
        known = self._same.get((path, stamp))
        if known is None:
            known = self._same[path, stamp] = self._is(path, stamp)
        return known

    def _is(self, path: str, stamp: str) -> bool:
        try:
            found = os.stat(path)  # noqa: PTH116  (for each file of a site)
        except OSError:
            return stamp == ABSENT
        if stamp == ABSENT:
            return False
        size, when, digest = stamp.split(" ")
        if str(found.st_size) != size:
            return False
        return str(found.st_mtime_ns) == when or self.digest(path) == digest

    def digest(self, path: Path | str) -> str:
        """Return the SHA-256 of a file, or of the names in a folder; empty where it cannot be read."""
        name = str(path)
        if name not in self._digests:
            try:
                self._digests[name] = hashlib.sha256(_content(Path(path))).hexdigest()
            except OSError:
                self._digests[name] = ""
        return self._digests[name]


def _content(path: Path) -> bytes:
    """Return what a file says; of a folder, which files are in it."""
    try:
        return path.read_bytes()
    except IsADirectoryError:
        with os.scandir(path) as files:  # a site may have a folder for each of ten thousand models
            return "\0".join(sorted(file.name for file in files)).encode()


def stamp_of_tree(folder: Path) -> list[tuple[str, int, int]]:
    """Return name, size and time of change of all files below a folder, to notice that code was changed."""
    found = []
    for path in sorted(folder.rglob("*")) if folder.is_dir() else [folder]:
        if path.suffix != ".pyc" and path.is_file():
            state = path.stat()
            found.append((path.as_posix(), state.st_size, state.st_mtime_ns))
    return found

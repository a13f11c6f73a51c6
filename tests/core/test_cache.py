"""The private cache, and the stamps by which files are compared."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sites import build, write_site

from cardproof.core import cache as module
from cardproof.core.cache import Cache, Entry, cache_path, open_cache
from cardproof.core.digests import Stamps


def test_a_result_is_found_by_kind_and_name_with_its_inputs(tmp_path):
    first, second = Entry("a", {"file": "1"}, {"text": "\ud800é", "pair": (1, None)}), Entry("b", {}, [])
    cache = Cache(tmp_path / "cache")
    cache.put(("one", [first, second]))
    cache.put(("two", [Entry("a", {}, 2)]))
    cache.close()
    cache = Cache(tmp_path / "cache")
    assert cache.entry("one", "a") == Entry("a", {"file": "1"}, {"text": "\ud800é", "pair": [1, None]})
    assert cache.entry("two", "b") is None
    assert list(cache.entries("one")) == ["a", "b"]
    cache.put(("one", [Entry("a", {}, 3)]))
    assert {name: entry.value for name, entry in cache.entries("one").items()} == {"a": 3, "b": []}


def test_the_oldest_results_go(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_KEPT", 3)
    cache = Cache(tmp_path / "cache")
    for name in ("a", "b", "c", "a", "d"):
        cache.put(("kind", [Entry(name, {}, name)]))
    assert set(cache.entries("kind")) == {"c", "a", "d"}


def test_builds_that_begin_at_once_share_one_cache(tmp_path):
    for number in range(30):
        path = tmp_path / f"{number}.sqlite"
        start = threading.Barrier(6)

        def begin(path=path, start=start) -> int:
            start.wait()
            cache = Cache(path)
            cache.entries("kind")
            cache.put(("kind", [Entry("a", {}, {})]))
            found = len(cache.entries("kind"))
            cache.close()
            return found

        with ThreadPoolExecutor(6) as pool:
            assert [one.result() for one in [pool.submit(begin) for _ in range(6)]] == [1] * 6


def test_a_file_that_changed_within_one_tick_of_the_clock_is_compared_by_content(tmp_path):
    path = tmp_path / "a"
    path.write_text("one")
    stamp = Stamps().stamp(path)
    path.write_text("two")
    assert not Stamps().unchanged(str(path), stamp)
    path.write_text("one")
    assert Stamps().unchanged(str(path), stamp)
    path.unlink()
    assert not Stamps().unchanged(str(path), stamp)
    assert Stamps().unchanged(str(path), Stamps().stamp(path))


def sql(path, *statements: str) -> None:
    database = sqlite3.connect(path)
    with database:
        for statement in statements:
            database.execute(statement)
    database.close()


OTHER_TABLE = ("DROP TABLE results", "CREATE TABLE results (kind TEXT)")
FULL = "PRAGMA max_page_count = 1"
DAMAGE = {
    "text": lambda path: path.write_bytes(b"not a database at all" * 100),
    "zeros": lambda path: path.write_bytes(b"\0" * 10_000),
    "empty": lambda path: path.write_bytes(b""),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:5000]),
    "overwritten": lambda path: path.write_bytes(path.read_bytes()[:100] + b"\xff" * (path.stat().st_size - 100)),
    "another table": lambda path: sql(path, *OTHER_TABLE),
    "no table": lambda path: sql(path, "DROP TABLE results"),
    "a newer version": lambda path: sql(path, *OTHER_TABLE, "PRAGMA user_version = 99"),
    "no blobs": lambda path: sql(path, "UPDATE results SET value = 'text', inputs = 3"),
    "nothing": lambda path: sql(path, "UPDATE results SET value = NULL, inputs = NULL, seal = NULL"),
    "other blobs": lambda path: sql(path, "UPDATE results SET value = zeroblob(20)"),
    "exchanged": lambda path: sql(path, "UPDATE results SET value = inputs, inputs = value"),
    "other names": lambda path: sql(path, "UPDATE results SET name = name || 'x'"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_cache_finds_nothing_and_is_whole_again_for_the_next_build(tmp_path, damage):
    path = tmp_path / "cache"
    cache = Cache(path)
    cache.put(("kind", [Entry("a", {"file": "1"}, {"b": 2})]))
    cache.close()
    damage(path)
    for _ in range(2):  # what cannot be used is removed by the first
        cache = Cache(path)
        assert cache.entry("kind", "a") is None
        assert "a" not in cache.entries("kind")
        cache.put(("kind", []))
        cache.close()
    cache = Cache(path)
    cache.put(("kind", [Entry("a", {}, 3)]))
    assert cache.entry("kind", "a") == Entry("a", {}, 3)


@pytest.mark.attack(
    "machine", "the disk of the cache is full, or its file locked or removed", "the build goes on without it"
)
def test_a_cache_that_cannot_be_written_is_dropped(tmp_path, monkeypatch):
    cache = Cache(tmp_path / "full")
    cache._database.execute(FULL)
    cache.put(("kind", [Entry("a", {}, list(range(100_000)))]))
    assert cache.entry("kind", "a") is None
    cache.put(("kind", [Entry("a", {}, 1)]))
    cache.close()
    cache.close()
    assert (tmp_path / "full").is_file(), "a cache of a full disk was removed"

    monkeypatch.setattr(module.sqlite3, "connect", lambda path, timeout: sqlite3.Connection(path, timeout=0.01))
    cache = Cache(tmp_path / "locked")
    with sqlite3.Connection(tmp_path / "locked") as other:
        other.execute("BEGIN EXCLUSIVE")
        cache.put(("kind", [Entry("a", {}, 1)]))
        assert cache.entries("kind") == {}
    assert (tmp_path / "locked").is_file()


def test_what_cannot_be_stored_is_left_out(tmp_path):
    cache = Cache(tmp_path / "cache")
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    cache.put(("kind", [Entry("deep", {}, deep)]))
    cache.put(("kind", [Entry("\ud800", {}, 1)]))
    assert cache.entry("kind", "\ud800") is None
    assert cache.entries("kind") == {}


@pytest.mark.parametrize("place", ["folder", "file"])
def test_a_cache_that_is_no_file_is_none(place):
    cache_path().parent.parent.mkdir(parents=True, exist_ok=True)
    if place == "folder":
        cache_path().mkdir(parents=True)
    else:
        cache_path().parent.write_text("")
    assert open_cache() is None


ROWS = {
    "another shape": {"other": 1},
    "no report": {"includes": [], "report": {}},
    "a report of text": {"includes": [], "report": "text"},
    "a list": [1],
    "wrong values": {"includes": [3], "report": {"file": 3, "totals": []}},
}


@pytest.mark.attack(
    "machine", "the memory of cards has rows of another version, or damaged ones", "the cards are rendered anew"
)
@pytest.mark.parametrize("value", ROWS.values(), ids=ROWS)
def test_cards_whose_memory_has_another_shape_are_rendered_anew(tmp_path, monkeypatch, value):
    monkeypatch.chdir(tmp_path)
    site = write_site(tmp_path)
    build(site)
    cache = Cache(cache_path())
    rows = cache._database.execute(
        "SELECT kind FROM results WHERE kind LIKE 'cards %' OR kind LIKE 'site files%'"
    ).fetchall()
    for (kind,) in rows:
        for entry in cache.entries(kind).values():
            cache.put((kind, [Entry(entry.name, entry.inputs, value)]))
    cache.close()
    run = build(site)
    assert (run.exit, run.measured, run.remembered) == (0, 0, 0)
    assert build(site).remembered == 1


def test_a_cache_is_read_while_another_build_writes(tmp_path):
    cache = Cache(tmp_path / "cache")
    cache.put(("kind", [Entry("a", {}, 1)]))
    cache.close()
    other = sqlite3.connect(tmp_path / "cache")
    other.execute("BEGIN IMMEDIATE")
    cache = Cache(tmp_path / "cache")
    assert [entry.value for entry in cache.entries("kind").values()] == [1]
    cache.close()
    other.close()

"""The private cache, and the stamps by which files are compared."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from cardproof.core import cache as module
from cardproof.core.cache import Cache, Entry, recalled
from cardproof.core.digests import Stamps


def test_a_result_is_found_by_kind_and_name_with_its_inputs(tmp_path):
    first, second = Entry("a", {"file": "1"}, {"text": "\ud800é", "pair": (1, None)}), Entry("b", {}, [])
    cache = Cache(tmp_path / "cache")
    cache.put("one", [first, second])
    cache.put("two", [Entry("a", {}, 2)])
    cache.close()
    cache = Cache(tmp_path / "cache")
    assert cache.entry("one", "a") == Entry("a", {"file": "1"}, {"text": "\ud800é", "pair": [1, None]})
    assert cache.entry("two", "b") is None
    assert list(cache.entries("one")) == ["a", "b"]
    cache.put("one", [Entry("a", {}, 3)])
    assert {name: entry.value for name, entry in cache.entries("one").items()} == {"a": 3, "b": []}


def test_the_oldest_results_go(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_KEPT", 3)
    cache = Cache(tmp_path / "cache")
    for name in ("a", "b", "c", "a", "d"):
        cache.put("kind", [Entry(name, {}, name)])
    assert set(cache.entries("kind")) == {"c", "a", "d"}


def test_a_text_is_read_once_for_each_version_of_its_reader(monkeypatch, tmp_path):
    asked = []

    def make(text: str) -> list[str]:
        asked.append(text)
        return [text, "é"]

    for inputs in ({"reader": "1"}, {"reader": "1"}, {"reader": "2"}):
        assert recalled("kind", "a\ud800", make, inputs) == ["a\ud800", "é"]
    assert len(asked) == 2
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))  # a folder that cannot be written
    assert recalled("kind", "a\ud800", make, {"reader": "2"}) == ["a\ud800", "é"]
    assert len(asked) == 3


def test_builds_that_begin_at_once_share_one_cache(tmp_path):
    for number in range(30):
        path = tmp_path / f"{number}.sqlite"
        start = threading.Barrier(6)

        def begin(path=path, start=start) -> int:
            start.wait()
            cache = Cache(path)
            cache.entries("kind")
            cache.put("kind", [Entry("a", {}, {})])
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

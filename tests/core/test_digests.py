"""Digests of files that are asked for often."""

from __future__ import annotations

import os

from cardproof.core import digests


def test_a_file_is_read_again_only_once_it_has_changed(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(digests, "digest_of_file", lambda path: read.append(path.read_text()) or f"sha256:{read[-1]}")
    path = tmp_path / "weights.pth"
    for text, when in (("one", 1_000), ("two", 2_000)):
        path.write_text(text)
        os.utime(path, (when, when))
        assert {digests.digest_of_large_file(path) for _ in range(3)} == {f"sha256:{text}"}
    assert read == ["one", "two"]


def test_a_file_that_was_written_a_moment_ago_may_change_within_one_tick_of_the_clock(tmp_path):
    path = tmp_path / "weights.pth"
    found = set()
    for text in ("one", "two"):
        path.write_text(text)
        found.add(digests.digest_of_large_file(path))
    assert len(found) == 2


def test_a_file_in_place_of_another_is_read_even_if_size_and_time_are_the_same(tmp_path):
    """As in archives whose files all have one time."""
    path, other = tmp_path / "weights.pth", tmp_path / "other.pth"
    for file, text in ((path, "one"), (other, "two")):
        file.write_text(text)
        os.utime(file, (1_000, 1_000))
    before = digests.digest_of_large_file(path)
    other.replace(path)
    assert digests.digest_of_large_file(path) != before

"""What stands in for slower parts of the standard library and of others: it says what they say."""

from __future__ import annotations

import importlib.metadata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pybtex.exceptions import PybtexError
from pybtex.richtext import Text

from cardproof.core import text_cache
from cardproof.core.packages import record_of, version_of
from cardproof.read import bibtex as citations


def test_versions_and_records_are_those_of_importlib():
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        first = importlib.metadata.distribution(name)  # of two in the path, the first counts
        assert (name, version_of(name)) == (name, first.version)
        assert record_of(name) == (first.read_text("RECORD") or "")


def test_names_of_distributions_are_compared_without_case_and_kind_of_hyphen():
    assert version_of("Huggingface.Hub") == version_of("huggingface_hub") == version_of("huggingface-hub")


@pytest.mark.parametrize("name", ["no-such-distribution", "torc", "", "../x"])
def test_what_is_not_installed_is_an_error(name):
    with pytest.raises((ModuleNotFoundError, ValueError)):
        version_of(name)


@given(st.text(alphabet="aB9 .,:;()/+={}-\n", max_size=30))
def test_a_plain_value_is_read_as_pybtex_reads_it(text):
    try:
        shown = str(Text.from_latex(text))
    except (PybtexError, ValueError, RecursionError):
        shown = text.replace("{", "").replace("}", "")
    assert citations.plain(text) == " ".join(shown.split())


def test_what_was_read_once_is_recalled_and_a_broken_cache_is_not(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    asked = []

    def make(text: str) -> list[str]:
        asked.append(text)
        return [text, "é"]

    assert (
        text_cache.recalled("kind", "a\ud800", make) == text_cache.recalled("kind", "a\ud800", make) == ["a\ud800", "é"]
    )
    assert text_cache.recalled("kind", "a\ud800", make, "2.0") == ["a\ud800", "é"]
    assert len(asked) == 2
    for path in tmp_path.rglob("*.json"):
        path.write_text("[")
    assert text_cache.recalled("kind", "a\ud800", make) == ["a\ud800", "é"]
    assert len(asked) == 3


def test_without_a_cache_folder_everything_is_read_each_time(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert text_cache.recalled("kind", "a", str.upper) == "A"

"""What stands in for slower parts of the standard library and of others: it says what they say."""

from __future__ import annotations

import copy
import dataclasses
import importlib.metadata
import pickle
from dataclasses import FrozenInstanceError, asdict, field, fields, is_dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pybtex.exceptions import PybtexError
from pybtex.richtext import Text

from cardproof.core import text_cache
from cardproof.core.frozen import dataclass
from cardproof.core.packages import record_of, version_of
from cardproof.core.types import Place
from cardproof.read import bibtex as citations


@dataclass(frozen=True, slots=True)
class Light:
    name: str
    size: int = 3
    more: tuple[str, ...] = ()
    plain: dict[str, int] = field(default_factory=dict)

    @property
    def double(self) -> int:
        return 2 * self.size


@dataclasses.dataclass(frozen=True, slots=True)
class Standard:
    name: str
    size: int = 3
    more: tuple[str, ...] = ()


@given(st.tuples(st.text(), st.integers(), st.lists(st.text()).map(tuple)), st.text(), st.integers())
def test_a_light_dataclass_equals_hashes_and_shows_as_the_standard_one(values, name, size):
    (one, other), standard = (Light(*values), Light(name, size)), (Standard(*values), Standard(name, size))
    assert (one == other) == (standard[0] == standard[1])
    assert one == Light(*values)
    assert one != values
    assert repr(standard[0]).removeprefix("Standard")[:-1] in repr(one)
    assert asdict(one) == {**asdict(standard[0]), "plain": {}}
    assert replace(one, size=7).size == 7
    assert pickle.loads(pickle.dumps(one)) == copy.deepcopy(one) == one
    assert one.double == 2 * one.size


def test_a_light_dataclass_is_a_dataclass_with_slots():
    assert is_dataclass(Light)
    assert [each.name for each in fields(Light)] == ["name", "size", "more", "plain"]
    assert not hasattr(Light("a"), "__dict__")
    with pytest.raises(TypeError, match="unhashable"):
        hash(Light("a"))
    assert len({Place("a", 1, 2), Place("a", 1, 2), Place("b", 1, 2)}) == 2


def test_other_options_are_the_standard_librarys():
    assert sorted([Place("b", 1, 1), Place("a", 9, 1), Place("a", 2, 5)])[0] == Place("a", 2, 5)
    with pytest.raises(FrozenInstanceError):
        Place("a", 1, 1).line = 2


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

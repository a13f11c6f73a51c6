"""``cardproof edit``: fields, entries of lists and results are written as text that every reader takes for the same."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from sites import cardproof

from cardproof.commands.header_edits import EditError, add_entry, add_result, set_field
from cardproof.core.errors import InputError

BODY = "\n# Net\n\nText with `code: no` stays.\n"
BEANS = {"task": "image-classification", "dataset": "beans", "metric": "accuracy", "value": "0.9"}


def header_of(path: Path):
    text = path.read_text(encoding="utf-8")
    return yaml.safe_load(text.split("---\n")[1])


@pytest.fixture
def card(write):
    """Return a function that writes a card with some lines in its header."""
    return lambda *lines: write("README.md", "---\n" + "".join(f"{line}\n" for line in lines) + "---\n" + BODY)


@pytest.mark.parametrize(
    "value", ["no", "1.0", "1e5", "2021-01-01", "a: b", "x #y", "", "null", "12:30", "it's", "two\nlines", "[x]", "- a"]
)
@pytest.mark.parametrize("before", ["license: mit", "license: 'mit'", 'license: "mit"  # note', "license:", "other: 1"])
def test_text_stays_text_whatever_it_looks_like(card, before, value):
    path = card("a: 1", before, "z: 2")
    assert set_field(path, "license", value)
    assert header_of(path) == {"a": 1, **({"other": 1} if "other" in before else {}), "z": 2, "license": value}
    assert path.read_text().endswith("---\n" + BODY)
    assert ("# note" in path.read_text()) == ("# note" in before)
    assert not set_field(path, "license", value)


@pytest.mark.parametrize(
    ("before", "value", "after"),
    [("true", "false", False), ("0.5", "1.5", 1.5), ("3", "4", 4), ("3", "four", "four"), ("mit", "3", "3")],
)
def test_a_number_or_boolean_stays_one(card, before, value, after):
    path = card(f"field: {before}")
    set_field(path, "field", value)
    assert header_of(path) == {"field": after}


def test_a_boolean_of_yaml_1_1_is_quoted_even_if_its_letters_are_the_same(card):
    path = card("language: no")
    assert set_field(path, "language", "no")
    assert "language: 'no'\n" in path.read_text()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("tags: [a]", ["a", "x, y"]),
        ("tags:\n- a", ["a", "x, y"]),
        ("tags:\n  - a  # why", ["a", "x, y"]),
        ("tags: a", ["a", "x, y"]),
        ("tags: []", ["x, y"]),
        ("tags:", ["x, y"]),
        ("b: 1", ["x, y"]),
    ],
)
def test_an_entry_is_added_to_a_list(card, before, after):
    path = card(before, "z: 2")
    assert add_entry(path, "tags", "x, y")
    assert header_of(path)["tags"] == after
    assert not add_entry(path, "tags", "x, y")
    assert path.read_text().endswith("z: 2\n---\n" + BODY) == ("tags" in before)


def test_a_page_without_a_header_gets_one(write):
    path = write("README.md", "# Net\n")
    assert set_field(path, "license", "mit")
    assert path.read_text() == "---\nlicense: mit\n---\n\n# Net\n"


def test_a_result_is_added_replaced_and_joined_as_the_hub_groups_them(card):
    hub = pytest.importorskip("huggingface_hub")
    path = card("license: mit")
    assert add_result(path, {**BEANS, "model": "net", "split": "test", "source": "b", "source_url": "https://x.org"})
    assert add_result(path, {**BEANS, "split": "test", "metric": "f1", "value": "0.8"})
    assert add_result(path, {**BEANS, "split": "test", "value": "0.91"})
    assert add_result(path, {**BEANS, "split": "train", "value": "0.99"})
    assert not add_result(path, {**BEANS, "split": "train", "value": "0.99"})
    data = hub.ModelCard(path.read_text()).data
    assert data.model_name == "net"
    found = [(one.dataset_split, one.metric_type, one.metric_value, one.source_url) for one in data.eval_results]
    assert found == [
        ("test", "accuracy", 0.91, "https://x.org"),
        ("test", "f1", 0.8, "https://x.org"),
        ("train", "accuracy", 0.99, None),
    ]
    assert path.read_text().endswith("---\n" + BODY)


def test_what_cannot_be_written_changes_nothing(card):
    path = card("tags: {a: 1}", "text: |", "  a", "model-index: []")
    before = path.read_bytes()
    with pytest.raises(InputError, match="several values"):
        set_field(path, "tags", "x")
    with pytest.raises(EditError):
        set_field(path, "text", "x")
    with pytest.raises(InputError, match="needs dataset"):
        add_result(path, {"task": "t", "metric": "m", "value": "1"})
    with pytest.raises(InputError, match="has no 'colour'"):
        add_result(path, {**BEANS, "colour": "red"})
    with pytest.raises(InputError, match="source_url"):
        add_result(path, {**BEANS, "source": "board"})
    with pytest.raises(InputError, match="name one model"):
        add_result(path, BEANS)
    assert path.read_bytes() == before


LINE = st.sampled_from(["a: 1", "b: [x, y]", "c: 'q'  # why", "d:\n- 1\n- 2", "# note", "e: no", "f: {g: 1.0}"])
VALUE = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff\u2028\u2029\x85"))


@given(
    st.lists(LINE, unique=True),
    VALUE,
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.sampled_from(["set", "add"]),
)
def test_any_text_is_read_back_and_nothing_else_changes(lines, value, end, mark, how):
    text = ("\ufeff" if mark else "") + end.join(["---", *"\n".join(lines).splitlines(), "---", "", "# Net", ""])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "README.md")
        path.write_bytes(text.encode())
        field = "license"
        (set_field if how == "set" else add_entry)(path, field, value)
        after = path.read_bytes().decode()
    assert after.startswith("\ufeff") == mark
    before = yaml.safe_load("\n".join(lines)) or {}
    found = yaml.safe_load(after.removeprefix("\ufeff").split(f"---{end}")[1].replace("\r\n", "\n"))
    assert found == {**before, field: value if how == "set" else [value]}
    assert all(line in after.splitlines() for line in text.removeprefix("\ufeff").splitlines())


def test_the_command_says_what_it_did(write):
    write("README.md", "---\nlicense: mit\n---\n")
    result = "task=image-classification; dataset=beans; metric=accuracy; value=0.9; model=net"
    done = cardproof("edit", "README.md", "license=1.0", "tags+=a", "--result", result)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "README.md: license is now 1.0",
        "README.md: tags has now a",
        "README.md: the result is now there",
    ]
    assert header_of(Path("README.md"))["license"] == "1.0"
    assert cardproof("edit", "README.md").returncode == 2

"""``cardproof edit``: fields, entries of lists and results are written as text that every reader takes for the same."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from sites import cardproof, refusal

from cardproof.commands.header_edits import EditError, Header
from cardproof.core.errors import InputError

BODY = "\n# Net\n\nText with `code: no` stays.\n"
BEANS = {"task": "image-classification", "dataset": "beans", "metric": "accuracy", "value": "0.9"}
RESULT = "task=image-classification; dataset=beans; metric=accuracy; value=0.9; model=net"


def edited(how: str):
    """Return a function that makes one edit of a card and says whether it changed."""

    def edit(path: Path, *what) -> bool:
        header = Header(path)
        changed = getattr(header, how)(*what)
        header.save()
        return changed

    return edit


set_field, add_entry, add_result = map(edited, ("set_field", "add_entry", "add_result"))


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
    command = ("edit", "README.md", "license_name=1.0", "tags+=a", "--result", RESULT)
    done = cardproof(*command)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "README.md: license_name is now 1.0",
        "README.md: added a to tags",
        "README.md: accuracy on beans is now 0.9",
    ]
    assert header_of(Path("README.md"))["license_name"] == "1.0"
    assert cardproof(*command).stdout.splitlines() == [
        "README.md: license_name is already 1.0",
        "README.md: tags already has a",
        "README.md: accuracy on beans is already 0.9",
    ]
    assert cardproof("edit", "README.md").returncode == 2


def refused(*words: str) -> str:
    """Return what the command says on standard error as it refuses, with the file as it was."""
    before = Path("README.md").read_bytes()
    said = refusal("edit", "README.md", *words)
    assert Path("README.md").read_bytes() == before
    return said


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ("licence=mit", "unknown field 'licence'; did you mean license?"),
        ("tag+=vision", "did you mean tags?"),
        ("License=mit", "did you mean license?"),
        ("task=image-classification", "did you mean pipeline_tag?"),
        ("tags-=vision", "unknown operator '-='"),
        ("tags:=vision", "unknown operator ':='"),
        ("license=foo-bar", "the Hub has no licence 'foo-bar': it refuses the card; write 'license: other'"),
        ("license=Apache 2.0", "did you mean 'apache-2.0'?"),
        ("license+=mit", "one value, not a list"),
        ("pipeline_tag=image-clasification", "did you mean 'image-classification'?"),
        ("base_model=a/b/c", "write it as OWNER/NAME"),
        ("title=", "the value is empty; to remove a field, delete line 2"),
        ("tags+= ", "the value is empty"),
        ("model-index=x", "--result adds a result"),
        ("model-index.0.results.0.value=1", "--result adds a result"),
        ("co2_eq_emissions.emissions=3", "not the name of a field"),
    ],
)
def test_an_edit_that_makes_no_sense_is_refused_with_what_to_write(card, edit, said):
    card("title: Net")
    assert said in refused(edit)


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (RESULT.replace("classification", "clasification"), "did you mean image-classification?"),
        (RESULT.replace("task", "taks"), "did you mean task?"),
        (RESULT.replace("; dataset", ", dataset").replace("0.9", "high"), "the value 'high' is not a number"),
        (RESULT + "; metric=f1", "has 'metric' twice"),
        (RESULT + "; better", "'better' is not KEY=VALUE"),
    ],
)
def test_a_result_that_makes_no_sense_is_refused(card, result, said):
    card("title: Net")
    assert said in refused("--result", result)


def test_if_one_edit_is_refused_none_is_written(card):
    path = card("title: Net", "text: |", "  a")
    before = path.read_text()
    said = refusal("edit", "README.md", "license=mit", "text=b")
    assert said == "error: README.md:3:7: this value cannot be edited on its line; edit it in the file\n"
    assert path.read_text() == before
    refused("license=mit", "tags-=vision")
    refused("license=mit", "--result", "task=image-classification; dataset=beans")


def test_other_licences_and_fields_of_ones_own_are_written_and_the_unusual_ones_noted(card):
    path = card("licence: mit", "stage: 1")
    done = cardproof("edit", "README.md", "license=other", "stage=2", "colour=red", "licence=isc", "description=Text")
    assert done.returncode == 0
    assert header_of(path) == {
        "licence": "isc", "stage": 2, "license": "other", "colour": "red", "description": "Text"
    }  # fmt: skip
    assert done.stderr.splitlines() == [
        "README.md: warning: the Hub does not read the field 'colour'",
        "README.md: warning: the Hub does not read the field 'licence'; did you mean license?",
    ]
    done = cardproof("edit", "README.md", "--result", RESULT.replace("image-classification", "tasting"))
    assert done.stderr == "README.md: warning: the Hub has no task 'tasting'\n"


@pytest.mark.parametrize("text", ["---\nlicense: mit\n\n# Net\n", "---\n# why\ntags:\n- a\n"])
def test_a_header_that_is_never_closed_gets_no_second_one_above_it(write, text):
    write("README.md", text)
    assert "the header is never closed" in refused("license=mit")


@pytest.mark.parametrize("name", ["zoo.py", "models.yml", "results.csv", "notes.txt", "LICENSE", "weights.safetensors"])
def test_a_file_that_is_not_markdown_is_refused_and_stays_as_it_is(write, name):
    path = write(name, "---\nimport: 1\n---\n")
    path.write_bytes(path.read_bytes() + b"\xff")  # to save it as UTF-8 would not help
    said = refusal("edit", name, "license=mit", "--result", RESULT)
    assert (
        said
        == f"error: {name}: only Markdown has a header that can be edited: a file that ends in .md, .mdx, .markdown\n"
    )
    assert path.read_bytes() == b"---\nimport: 1\n---\n\xff"


def test_a_rule_at_the_top_of_a_page_is_not_an_open_header(write):
    path = write("README.md", "---\n\n# Net\n")
    assert set_field(path, "license", "mit")
    assert path.read_text() == "---\nlicense: mit\n---\n\n---\n\n# Net\n"


def test_a_header_that_is_not_valid_is_named_as_such(write):
    write("README.md", "---\nlicense: mit\n\n# Net: [\n- a\n---\n")
    assert "not valid YAML" in refused("license=mit")

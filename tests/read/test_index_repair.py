"""Lost indentation, keys in the wrong place and misspelt keys: one error at the first, and all is read as meant."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cardproof.commands.edit import fix_files
from cardproof.commands.header_edits import EditError
from cardproof.core.source import Source
from cardproof.read import read_cards
from cardproof.read.index_repair import one_letter_apart, read_index

WHOLE = """Type: model-index
Collections:
- Name: Nets
  Paper:
    Title: 'A net'
    URL: https://example.org/net
  Code:
    URL: https://example.org/code
    Version: v1
Models:
- Name: one
  In Collection: Nets
  Metadata:
    FLOPs: 2270000000
    Architecture:
    - Convolution
    - ReLU
    My Field: 3
    Image Size: '224'
  Results:
  - Task: Image Classification
    Dataset: ImageNet
    Metrics:
      Top 1 Accuracy: 69.76%
      Odd Score: 3
  - Task: Image Classification
    Dataset: ImageNet-A
    Metrics:
      Top 1 Accuracy: 9.76%
  Weights: https://example.org/one.pth
- Name: two
  Metadata:
    Parameters: 7
"""


def flat(text: str) -> str:
    return "".join(f"{line.lstrip()}\n" for line in text.splitlines())


def plain(text: str):
    tree, findings = read_index(Source("f.yml", Path("f.yml"), text))
    return tree.plain() if tree else None, findings


def shape(reading):
    return [f for f in reading.findings if f.check == "index-shape"]


def test_an_index_whose_lines_all_begin_in_one_column_is_read_as_meant_and_restored(write):
    right = read_cards([write("right.md", f"# T\n\n<!--\n{WHOLE}-->\n\ntext\n")])
    path = write("card.md", f"# T\n\n<!--\n{flat(WHOLE)}-->\n\ntext\n")
    wrong = read_cards([path])
    (finding,) = shape(wrong)
    assert (finding.severity, finding.place.line, finding.place.column) == ("error", 7, 1)
    assert "'Paper'" in finding.message
    for one, other in zip(right.claims, wrong.claims, strict=True):
        assert (one.model, one.field, one.stated, one.dataset) == (
            other.model,
            other.field,
            other.stated,
            other.dataset,
        )
        line = path.read_text().splitlines()[other.place.line - 1]
        assert line[other.place.column - 1 : other.place.end_column - 1].strip("'") == other.stated
    assert fix_files(wrong.findings) == {}
    assert fix_files(wrong.findings, unsafe=True)
    assert path.read_text() == f"# T\n\n<!--\n{WHOLE}-->\n\ntext\n"
    assert not shape(read_cards([path]))


@pytest.mark.parametrize(
    ("wrong", "right", "line"),
    [
        ("Models:\n- Name: a\nMetadata:\n  FLOPs: 1\n", "Models:\n- Name: a\n  Metadata:\n    FLOPs: 1\n", 3),
        ("Models:\n- Name: a\n  Metadata:\n  FLOPs: 1\n", "Models:\n- Name: a\n  Metadata:\n    FLOPs: 1\n", 4),
        (
            "Models:\n- Name: a\n  Metadata:\n  FLOPs: 1\n  My Own: 2\n  Weights: w\n",
            "Models:\n- Name: a\n  Metadata:\n    FLOPs: 1\n    My Own: 2\n  Weights: w\n",
            4,
        ),
        (
            "Models:\n- Name: a\n  Results:\n  - Task: T\n    Dataset: D\n    Metrics:\n    Top 1 Accuracy: 1\n",
            "Models:\n- Name: a\n  Results:\n  - Task: T\n    Dataset: D\n    Metrics:\n      Top 1 Accuracy: 1\n",
            7,
        ),
        (
            "Collections:\n- Name: C\n  Paper:\n  URL: u\n  Title: t\nModels:\n- Name: a\n",
            "Collections:\n- Name: C\n  Paper:\n    URL: u\n    Title: t\nModels:\n- Name: a\n",
            4,
        ),
        ("Models:\n- Name: a\n  Metdata:\n    FLOPs: 1\n", "Models:\n- Name: a\n  Metadata:\n    FLOPs: 1\n", 3),
        (
            "Models:\n- Name: a\n  Metadata:\n    Paramters: 1\n",
            "Models:\n- Name: a\n  Metadata:\n    Parameters: 1\n",
            4,
        ),
    ],
)
def test_a_key_in_the_wrong_place_or_misspelt_is_an_error_at_its_line_and_is_fixed(write, wrong, right, line):
    path = write("metafile.yml", wrong)
    reading = read_cards([path])
    assert [(f.severity, f.place.line) for f in reading.findings] == [("error", line)]
    assert plain(wrong)[0] == yaml.safe_load(right) or "Metdata" in wrong or "Paramters" in wrong
    before = [(c.model, c.field, c.stated) for c in reading.claims]
    assert fix_files(reading.findings, unsafe=True)
    assert path.read_text() == right
    after = read_cards([path])
    assert after.findings == []
    assert [(c.model, c.field, c.stated) for c in after.claims] == before


@pytest.mark.parametrize(
    "text",
    [
        "Models:\n- Name: a\n  FLOPs: 1\n  Metadata: {Parameters: 3}\n",
        "Models:\n- Name: a\n  Metadata:\n    Epochs: 3\n    Results: [{Task: T, Dataset: D, Metrics: {X: 1}}]\n",
        "Models:\n- Name: a\n  Task: T\n  Dataset: D\n  Metrics: {Top 1 Accuracy: 3}\n",
    ],
)
def test_what_has_no_line_to_go_to_is_read_as_meant_and_left_alone(write, text):
    path = write("metafile.yml", text)
    reading = read_cards([path])
    assert [f.severity for f in shape(reading)] == ["error"]
    assert len(reading.claims) == len(re.findall(r": \d", text))
    fix_files(reading.findings, unsafe=True)
    assert path.read_text() == text


@pytest.mark.parametrize(
    "text",
    [
        WHOLE,
        "Models:\n- Name: a\n- Name: b\n",
        "Models:\n- a.yml\n",
        "Models:\n- Name: a\n  Metadata: {Dataset: D, Task: T, Title: x, Epochs: 1, Results Shown: 3}\n",
        "Models:\n- Name: a\n  Downstream: [b]\n  Converted From: {Weights: w, Code: c}\n",
        "Models:\n- Name: a\n  Published Elsewhere: [{Field: FLOPs, Value: 7, Source: A table}]\n",
        "Models:\n- Name: a\nMy Own: {FLOPs: 1}\n",
    ],
)
def test_a_right_index_and_keys_of_ones_own_are_no_finding(text):
    data, findings = plain(text)
    assert findings == []
    assert data == yaml.safe_load(text)


def test_a_line_that_is_not_understood_is_left_to_the_reader_of_yaml():
    for text in ("Models:\n- Name: a\nMetadata:\nNotes: |\ntext\n", "Models:\n- Name: a\n'unclosed: 1\n"):
        assert plain(text)[0] is None or "Models" in plain(text)[0]


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [
        ("metdata", "metadata", True),
        ("metadta", "metadata", True),
        ("metadataa", "metadata", True),
        ("metadeta", "metadata", True),
        ("meatdata", "metadata", True),
        ("metadata", "metadata", False),
        ("mtdata", "metadata", False),
        ("", "a", True),
    ],
)
def test_words_that_are_one_letter_apart(one, other, near):
    assert one_letter_apart(one, other) == one_letter_apart(other, one) == near


KEYS = st.sampled_from(
    ["Models", "Name", "Metadata", "Paper", "URL", "FLOPs", "Results", "Task", "Dataset", "Metrics", "Odd"]
)
VALUES = st.sampled_from(["", " 1", " [a]", " {b: 1}", " |", " x.yml"])
LINES = st.tuples(st.integers(0, 3), st.booleans(), KEYS, VALUES)


@given(st.lists(LINES, max_size=12))
def test_any_lines_are_read_and_a_fix_keeps_every_character_but_spaces(lines):
    text = "Models:\n- Name: a\n" + "".join(
        f"{'  ' * depth}{'- ' if dash else ''}{key}:{value}\n" for depth, dash, key, value in lines
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model-index.yml")
        path.write_text(text)
        reading = read_cards([path])
        spaces = [f for f in shape(reading) if f.fix is None]
        try:
            fix_files(spaces, unsafe=True)
        except EditError:
            assert path.read_text() == text
        after = path.read_text()
    assert [line.lstrip() for line in after.splitlines()] == [line.lstrip() for line in text.splitlines()]


def test_an_entry_behind_aliases_is_repaired_and_reported_once(write):
    text = """Models:
- &one
  Name: a
  Metadata:
  FLOPs: 1
  Resultz:
  - Task: T
    Dataset: D
    Metrics:
    Top 1 Accuracy: 3%
"""
    path = write("model-index.yml", f"{text}- *one\n- *one\n")
    reading = read_cards([path])
    assert len(shape(reading)) == 3
    fix_files(reading.findings, unsafe=True)
    once = text.replace("  FLOPs", "    FLOPs").replace("    Top", "      Top").replace("Resultz", "Results")
    assert path.read_text() == f"{once}- *one\n- *one\n"

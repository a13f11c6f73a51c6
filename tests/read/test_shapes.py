"""Every shape of the model-index format that cards use, and what is wrong with those that it does not have."""

from __future__ import annotations

import pytest

from cardproof.core.errors import InputError
from cardproof.read import read_cards


def card(index: str) -> str:
    return f"# Title\n\n<!--\nType: model-index\n{index}-->\n"


def read(write, index: str):
    return read_cards([write("card.md", card(index))])


def messages(reading) -> list[str]:
    return [finding.message for finding in reading.findings]


def test_each_claim_keeps_line_and_column_of_its_value(write):
    reading = read(write, "Models:\n- Name: a\n  Metadata:\n    FLOPs: 12\n    Crop Pct: '0.875'\n")
    places = [(claim.field, claim.place.line, claim.place.column, claim.place.end_column) for claim in reading.claims]
    assert places == [("FLOPs", 8, 12, 14), ("Crop Pct", 9, 15, 22)]


def test_columns_count_characters_after_text_that_is_not_ascii(write):
    reading = read(write, "Models:\n- Name: é—x\n  Metadata: {Note: ü, FLOPs: 12}\n")
    claim = reading.claims[1]
    assert (claim.field, claim.place.line, claim.place.column) == ("FLOPs", 7, 30)


def test_models_may_be_one_mapping(write):
    assert [m.name for m in read(write, "Models:\n  Name: a\n  Metadata: {Parameters: 1}\n").models] == ["a"]


def test_models_may_be_paths(write):
    write("one.yml", "- Name: a\n- Name: b\n")
    write("two.yml", "Models:\n- Name: c\n")
    write("three.yml", "Name: d\n")
    reading = read(write, "Models:\n- one.yml\n- two.yml\n- three.yml\n")
    assert [m.name for m in reading.models] == ["a", "b", "c", "d"]
    assert not reading.findings


def test_metadata_and_results_may_be_paths(write):
    write("meta.yml", "Parameters: 7\n")
    write("results.yml", "- Dataset: D\n  Metrics: {Top 1 Accuracy: 1%}\n")
    reading = read(write, "Models:\n- Name: a\n  Metadata: meta.yml\n  Results: results.yml\n")
    assert [(c.field, c.stated, c.place.file) for c in reading.claims] == [
        ("Parameters", "7", "meta.yml"),
        ("Top 1 Accuracy", "1%", "results.yml"),
    ]


@pytest.mark.parametrize(
    "results",
    [
        "[{Task: T, Dataset: D, Metrics: {Top 1 Accuracy: 1%}}]",
        "{Task: T, Dataset: D, Metrics: {Top 1 Accuracy: 1%}}",
        "[{Task: {Name: T}, Dataset: {Name: D}, Metrics: [{Top 1 Accuracy: 1%}]}]",
        "[{Task: T, Dataset: D, Metrics: [{Name: Top 1 Accuracy, Value: 1%}]}]",
        "[{task: T, dataset: D, metrics: {Top 1 Accuracy: 1%}}]",
    ],
)
def test_results_and_metrics_have_several_shapes(write, results):
    claims = read(write, f"Models:\n- Name: a\n  Results: {results}\n").claims
    assert [(c.field, c.stated, c.dataset, c.task) for c in claims] == [("Top 1 Accuracy", "1%", "D", "T")]


def test_keys_are_read_in_any_case(write):
    reading = read(write, "MODELS:\n- name: a\n  METADATA:\n    FLOPs: 1\n")
    assert [(m.name, len(reading.claims)) for m in reading.models] == [("a", 1)]


@pytest.mark.parametrize(
    "value", ["'https://x.org/p'", "{URL: 'https://x.org/p'}", "{Title: T, URL: 'https://x.org/p'}"]
)
def test_paper_and_code_may_be_text_or_mapping(write, value):
    model = read(write, f"Models:\n- Name: a\n  Paper: {value}\n  Code: {value}\n").models[0]
    assert model.text("Paper") == model.text("Code") == "https://x.org/p"


def test_collections_hand_down_in_order_and_own_values_win(write):
    reading = read(
        write,
        """Collections:
- Name: A
  Metadata: {Epochs: 1, LR: 1, Tags: [x, y], Env: {os: linux}}
- Name: B
  Metadata: {Epochs: 2, Momentum: 2}
Models:
- Name: a
  In Collection: [A, B]
  Metadata: {LR: 9, Tags: [y, z], Env: {gpu: none}}
""",
    )
    assert reading.models[0].metadata.plain() == {
        "LR": 9,
        "Tags": ["x", "y", "z"],
        "Env": {"os": "linux", "gpu": "none"},
        "Epochs": 2,
        "Momentum": 2,
    }


def test_an_inherited_claim_stands_where_its_collection_states_it(write):
    reading = read(write, "Collections:\n- Name: A\n  Metadata: {Epochs: 1}\nModels:\n- Name: a\n  In Collection: A\n")
    assert [(c.model, c.field, c.place.line) for c in reading.claims] == [("a", "Epochs", 7)]


def test_an_undefined_collection_is_reported_with_the_name_that_was_meant(write):
    reading = read(write, "Collections:\n- Name: ResNet\nModels:\n- Name: a\n  In Collection: resnet\n")
    assert [(f.check, f.place.line, f.hint) for f in reading.findings] == [("collection", 9, "did you mean 'ResNet'?")]


def test_imports_expand_wildcards_in_sorted_order(write):
    write("sub/b.yml", "Models:\n- Name: b\n")
    write("sub/a.yml", "Models:\n- Name: a\n")
    index = write("model-index.yml", "Import: sub/*.yml\n")
    assert [m.name for m in read_cards([index]).models] == ["a", "b"]


def test_imports_are_relative_to_the_file_that_names_them(write):
    write("sub/deep/c.yml", "Models:\n- Name: c\n")
    write("sub/a.yml", "Import: [deep/c.yml]\n")
    assert [m.name for m in read_cards([write("model-index.yml", "Import: [sub/a.yml]\n")]).models] == ["c"]


def test_a_circle_of_imports_is_an_error_that_names_it(write):
    write("a.yml", "Import: b.yml\nModels:\n- Name: a\n")
    write("b.yml", "Import: a.yml\nModels:\n- Name: b\n")
    reading = read_cards([write("model-index.yml", "Import: a.yml\n")])
    assert messages(reading) == ["files import each other in a circle: a.yml → b.yml → a.yml"]
    assert [m.name for m in reading.models] == ["b", "a"]


def test_a_file_that_is_not_there_is_an_error_at_the_path(write):
    reading = read_cards([write("model-index.yml", "Import: [nothing/*.yml]\n")])
    assert [(str(f.place), f.severity) for f in reading.findings] == [("model-index.yml:1:10", "error")]


@pytest.mark.parametrize("path", ["../outside.yml", "/etc/hostname", "https://x.org/a.yml"])
def test_an_index_reads_nothing_outside_its_folder(write, tmp_path, monkeypatch, path):
    write("outside.yml", "Models:\n- Name: leaked\n")
    index = write("inside/model-index.yml", f"Import: {path!r}\n")
    monkeypatch.chdir(index.parent)
    reading = read_cards([index])
    assert not reading.models
    assert [f.severity for f in reading.findings] == ["error"]


def test_a_folder_reads_an_imported_file_once(write, tmp_path):
    write("sub/a.yml", "Models:\n- Name: a\n")
    write("model-index.yml", "Import: sub/a.yml\n")
    assert [m.name for m in read_cards([tmp_path]).models] == ["a"]


def test_a_path_that_does_not_exist_is_bad_input(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_cards([tmp_path / "none.md"])


def test_a_model_without_a_name_is_an_error_and_hides_no_other(write):
    reading = read(write, "Models:\n- Metadata: {FLOPs: 1}\n- Name: b\n")
    assert [m.name for m in reading.models] == ["b"]
    assert messages(reading) == ["a model needs a Name"]


def test_null_values_state_nothing(write):
    reading = read(write, "Models:\n- Name: a\n  Metadata: {FLOPs: null, Parameters: ~}\n  Results: null\n")
    assert not reading.claims
    assert not reading.findings


def test_values_published_elsewhere_are_claims_of_their_own_kind(write):
    index = "Models:\n- Name: a\n  Published Elsewhere:\n  - {Field: FLOPs, Value: 7, Source: A table}\n"
    assert [(c.field, c.stated, c.published) for c in read(write, index).claims] == [("FLOPs", "7", "A table")]

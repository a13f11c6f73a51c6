"""Every shape of the model-index format that cards use, the metafile.yml of OpenMMLab, and errors in others."""

from __future__ import annotations

import pytest

from cardproof.core.errors import InputError
from cardproof.plan.recall import plan
from cardproof.read import model_index, read_cards
from cardproof.read.models import weights_file


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


RESULT = "Task: T\nDataset: D\nMetrics: {Top 1 Accuracy: 1%}\n"


def told(reading):
    return [(c.model, c.field, c.stated, c.dataset) for c in reading.claims]


@pytest.mark.parametrize(
    ("files", "results"),
    [
        ({"r1.yml": RESULT}, "[r1.yml]"),
        ({"r1.yml": RESULT}, "r1.yml"),
        ({"r1.yml": f"Result:\n  {RESULT.replace(chr(10), chr(10) + '  ')}"}, "[r1.yml]"),
        ({"r1.yml": "Results:\n- {Dataset: D, Metrics: {Top 1 Accuracy: 1%}}\n"}, "[r1.yml]"),
        ({"r1.json": '{"Dataset": "D", "Metrics": {"Top 1 Accuracy": "1%"}}'}, "[r1.json]"),
        ({"r1.yml": "- {Dataset: D, Metrics: {Top 1 Accuracy: 1%}}\n"}, "[r1.yml]"),
    ],
)
def test_results_may_be_one_or_several_files(write, files, results):
    for name, text in files.items():
        write(name, text)
    reading = read(write, f"Models:\n- Name: a\n  Results: {results}\n")
    assert told(reading) == [("a", "Top 1 Accuracy", "1%", "D")]
    assert reading.findings == []


def test_results_of_all_files_of_a_wildcard_are_read(write):
    write("r/1.yml", f"- {RESULT}".replace("\n", "\n  ").rstrip() + "\n")
    write("r/2.yml", RESULT.replace(": D", ": E"))
    assert [c.dataset for c in read(write, "Models:\n- Name: a\n  Results: r/*.yml\n").claims] == ["D", "E"]


@pytest.mark.parametrize(
    "metadata",
    ["[{Epochs: 1}, {Epochs: 2, FLOPs: 3}]", "[one.yml, two.yml]", "'*o*.yml'", "{Metadata: {Epochs: 2, FLOPs: 3}}"],
)
def test_metadata_may_be_a_list_files_or_stand_in_itself_and_the_last_value_wins(write, metadata):
    write("one.yml", "Epochs: 1\n")
    write("two.yml", "Metadata: {Epochs: 2, FLOPs: 3}\n")
    reading = read(write, f"Models:\n- Name: a\n  Metadata: {metadata}\n")
    assert sorted(told(reading)) == [("a", "Epochs", "2", None), ("a", "FLOPs", "3", None)]
    assert reading.findings == []


def test_a_collection_may_name_files_too_and_its_results_come_first(write):
    write("meta.yml", "Epochs: 3\n")
    write("r.yml", RESULT)
    index = """Collections:
- {Name: C, Metadata: meta.yml, Results: r.yml}
Models:
- Name: a
  In Collection: C
  Results: {Dataset: E, Metrics: {Top 1 Accuracy: 2%}}
"""
    assert told(read(write, index)) == [
        ("a", "Epochs", "3", None),
        ("a", "Top 1 Accuracy", "1%", "D"),
        ("a", "Top 1 Accuracy", "2%", "E"),
    ]


@pytest.mark.parametrize("name", ["metafile.yml", "model-index.yaml", "any.yml", "any.json"])
@pytest.mark.parametrize(
    "text", ['[{"Name": "a", "Metadata": {"FLOPs": 1}}]', '{"Name": "a", "Metadata": {"FLOPs": 1}}']
)
def test_a_file_may_be_a_list_of_models_or_one_model(write, tmp_path, name, text):
    path = write(name, text + "\n")
    for given in (path, tmp_path) if name != "any.json" else (path,):
        reading = read_cards([given])
        assert told(reading) == [("a", "FLOPs", "1", None)]
        assert reading.findings == []


@pytest.mark.parametrize("text", ["FLOPs: 1\n", "Metadata: {FLOPs: 1}\n", RESULT, f"- {RESULT}".replace("\n", "\n  ")])
def test_metadata_or_results_alone_are_read_with_a_note_and_judged_for_no_network(write, text):
    reading = read_cards([write("resnet50.yml", text.rstrip() + "\n")])
    (model,) = reading.models
    assert (model.name, len(reading.claims), bool(model.doubt)) == ("resnet50", 1, True)
    assert [(f.check, f.severity) for f in reading.findings] == [("model-index", "note")]


@pytest.mark.parametrize("text", ["a: 1\n", "- 1\n", "theme: {name: material}\n", "text\n"])
def test_a_file_that_is_no_index_is_an_error_by_name_and_nothing_in_a_folder(write, tmp_path, text):
    path = write("other.yml", text)
    assert read_cards([tmp_path]).findings == []
    reading = read_cards([path])
    assert reading.models == []
    assert {f.severity for f in reading.findings} == {"error"}


@pytest.mark.parametrize("name", ["d/metafile.yml", "d/model-index.yaml", "d/any.yml"])
def test_broken_yaml_of_an_index_is_an_error_wherever_it_lies(write, tmp_path, name):
    write("d/ok.yml", "Models:\n- Name: a\n")
    write(name, "Models:\n- Name: x: y: z\n")
    write("d/broken.yml", "x: y: z\n")
    reading = read_cards([tmp_path])
    assert [(f.place.file, f.fatal) for f in reading.findings] == [(name, True)]
    assert [m.name for m in reading.models] == ["a"]


PAGE = "<!--\n{type}Models:\n- Name: {name}\n  In Collection: C\n  Metadata: {{FLOPs: 1}}\n-->\n# {name}\n"


@pytest.mark.parametrize("key", ["Import", "Models"])
def test_an_index_may_import_pages_which_are_cards_of_their_own(write, tmp_path, key):
    index = write("model-index.yml", f"Collections: [{{Name: C, Metadata: {{Epochs: 3}}}}]\n{key}: [docs/*.md]\n")
    write("docs/a.md", PAGE.format(name="a", type="Type: model-index\n"))
    write("docs/b.md", PAGE.format(name="b", type=""))
    for given in (index, tmp_path):
        reading = read_cards([given])
        assert [(card.file, [m.name for m in card.models]) for card in reading.cards] == [
            ("model-index.yml", []),
            ("docs/a.md", ["a"]),
            ("docs/b.md", ["b"]),
        ]
        assert told(reading) == [
            ("a", "FLOPs", "1", None),
            ("a", "Epochs", "3", None),
            ("b", "FLOPs", "1", None),
            ("b", "Epochs", "3", None),
        ]
        assert [(f.severity, f.place.file, f.place.line) for f in reading.findings] == [("note", "docs/b.md", 1)]
        assert reading.files == 3


def test_a_page_may_import_another_page(write, tmp_path):
    write("b.md", "<!--\nType: model-index\nModels:\n- Name: b\n-->\n")
    page = write("a.md", card("Import: b.md\nModels:\n- Name: a\n"))
    reading = read_cards([page])
    assert [(card.file, [m.name for m in card.models]) for card in reading.cards] == [("a.md", ["a"]), ("b.md", ["b"])]


def test_a_page_that_was_read_before_the_index_that_imports_it_stays_one_card(write):
    page = write("a.md", card("Models:\n- Name: a\n"))
    reading = read_cards([page, write("other.md", card("Import: a.md\nModels:\n- Name: b\n"))])
    assert [(one.file, [m.name for m in one.models]) for one in reading.cards] == [("a.md", ["a"]), ("other.md", ["b"])]


@pytest.mark.parametrize("comment", ["Models: see below", "Models:", "Models: [", "models we like: many"])
def test_a_comment_that_only_speaks_of_models_is_no_index(write, comment):
    reading = read_cards([write("card.md", f"<!--\n{comment}\n-->\n# T\n")])
    assert (reading.models, reading.findings) == ([], [])


def test_a_metric_without_a_value_is_no_claim(write):
    metrics = "[{Name: Top 1 Accuracy}, {Name: Top 5 Accuracy, Value: 9}]"
    reading = read(write, f"Models:\n- Name: a\n  Results: {{Dataset: D, Metrics: {metrics}}}\n")
    assert told(reading) == [("a", "Top 5 Accuracy", "9", "D")]
    assert messages(reading) == ["metric 'Top 1 Accuracy' has no value"]


def test_a_short_file_hands_down_a_bounded_number_of_values(write):
    keys = "".join(f"    k{number}: 1\n" for number in range(500))
    models = "".join(f"- {{Name: m{number}, In Collection: C}}\n" for number in range(300))
    reading = read_cards([write("metafile.yml", f"Collections:\n- Name: C\n  Metadata:\n{keys}Models:\n{models}")])
    assert len(reading.models) == 300
    assert len(reading.claims) <= 50_000
    assert [f.check for f in reading.findings] == ["yaml-limits"]


def test_files_that_import_each_other_many_times_end(write, monkeypatch):
    assert model_index.MAX_FILES == 20_000
    monkeypatch.setattr(model_index, "MAX_FILES", 1_000)
    for number in range(6):
        write(f"{number}.yml", f"Import: [{', '.join([f'{number + 1}.yml'] * 12)}]\n")
    write("6.yml", "Models:\n- Name: a\n")
    reading = read_cards([write("model-index.yml", "Import: 0.yml\n")])
    assert [f.message for f in reading.findings if "imported" in f.message] == ["more than 1,000 files are imported"]


METAFILE = """Collections:
  - Name: ResNet
    Metadata:
      Training Data: ImageNet-1k
      Training Techniques:
        - SGD with Momentum
      Epochs: 100
      Batch Size: 256
    Paper:
      URL: https://openaccess.thecvf.com/resnet.html
      Title: "Deep Residual Learning for Image Recognition"
    README: configs/resnet/README.md
    Code:
      URL: https://github.com/open-mmlab/mmpretrain/blob/v0.15.0/mmcls/models/backbones/resnet.py#L383
      Version: v0.15.0

Models:
  - Name: resnet18_8xb32_in1k
    Metadata:
      FLOPs: 1.82e+09
      Parameters: 11690000
    In Collection: ResNet
    Results:
      - Dataset: ImageNet-1k
        Metrics:
          Top 1 Accuracy: 69.90
          Top 5 Accuracy: 89.43
        Task: Image Classification
    Weights: https://download.openmmlab.com/resnet18_8xb32_in1k_20210831-fbbb1da6.pth
    Config: configs/resnet/resnet18_8xb32_in1k.py
  - Name: blip2_3rdparty_retrieval
    Metadata:
      FLOPs: null
      Parameters: 1173191358
    In Collection: ResNet
    Results: null
    Weights: null
    Config: configs/blip2/blip2_8xb32_retrieval.py
    Converted From:
      Weights: https://storage.googleapis.com/blip2_pretrained_opt2.7b.pth
      Code: https://github.com/salesforce/LAVIS
"""


def test_a_metafile_is_read_as_it_is(write):
    reading = read_cards([write("metafile.yml", METAFILE)])
    assert reading.findings == []
    first, second = reading.models
    assert (first.collections, second.collections) == (("ResNet",), ("ResNet",))
    claims = {claim.field: claim for claim in reading.cards[0].claims_of[0]}
    assert set(claims) == {
        "Training Data",
        "Training Techniques",
        "Epochs",
        "Batch Size",
        "FLOPs",
        "Parameters",
        "Top 1 Accuracy",
        "Top 5 Accuracy",
    }
    assert claims["FLOPs"].number.value == 1_820_000_000
    assert (claims["FLOPs"].place.line, claims["FLOPs"].place.column) == (20, 14)
    assert (claims["Top 1 Accuracy"].stated, claims["Top 1 Accuracy"].dataset) == ("69.90", "ImageNet-1k")
    assert claims["Epochs"].place.line == 7


def test_null_states_nothing_and_names_no_file(write):
    reading = read_cards([write("metafile.yml", METAFILE)])
    second = reading.models[1]
    assert "FLOPs" not in [claim.field for claim in reading.cards[0].claims_of[1]]
    assert weights_file(second) is None
    assert {need.weights for need in plan(reading).values()} == {
        None,
        "resnet18_8xb32_in1k_20210831-fbbb1da6.pth",
    }

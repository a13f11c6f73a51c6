"""The metadata of zoos as claims: judged like those of cards, at their places in the zoo's own source."""

from __future__ import annotations

import ast
import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from sites import ONE_JOB, cardproof

from cardproof.build import audit
from cardproof.core.errors import InputError
from cardproof.core.settings import Settings
from cardproof.core.types import Place
from cardproof.measure.list_models import list_in_worker
from cardproof.read.zoo_metadata import read_metadata
from cardproof.report.terminal import json_of
from cardproof.zoos import load_zoo
from cardproof.zoos.metadata import ModelList, Published, SourceFile, Value, as_published


def audited(*patterns: str, zoo: str = "torchvision", listed: ModelList | None = None):
    listed = listed or list_in_worker(zoo, patterns, True)
    return json.loads(json_of(audit((), Settings(zoo=zoo), ONE_JOB, reading=read_metadata(listed))))


def test_every_number_of_an_entry_is_a_claim_at_its_own_line():
    report = audited("ResNet50_Weights.IMAGENET1K_V1")
    verdicts = {claim["field"]: (claim["stated"], claim["verdict"]) for claim in report["claims"]}
    assert verdicts == {
        "Parameters": ("25557032", "confirmed"),
        "FLOPs": ("4.089G", "confirmed"),
        "File Size": ("97.781 MiB", "unchecked"),
        "Classes": ("1000", "confirmed"),
        "Min Size": ("1", "confirmed"),
        "Top 1 Accuracy": ("76.130%", "unchecked"),
        "Top 5 Accuracy": ("92.862%", "unchecked"),
    }
    source = Path(find_spec("torchvision").origin).parent / "models/resnet.py"
    lines = source.read_text().splitlines()
    for claim in report["claims"]:
        assert claim["file"] == "torchvision/models/resnet.py"
        line = lines[claim["line"] - 1][claim["column"] - 1 :]
        number = claim["stated"].rstrip("G%").removesuffix(" MiB")
        if claim["field"] not in ("Classes", "Min Size"):  # stated as a list of names, and as a pair
            assert line.startswith(number)


@pytest.mark.slow
def test_all_115_weights_of_torchvision_say_what_their_networks_have():
    report = audited()
    assert report["summary"]["models"] == 115
    assert report["summary"]["refuted"] == 0
    for field, number in (("Parameters", 115), ("FLOPs", 114), ("Classes", 114)):  # one entry has features only
        found = [claim for claim in report["claims"] if claim["field"] == field and claim["verdict"] == "confirmed"]
        assert len(found) == number
    (coarse,) = [claim for claim in report["claims"] if claim["field"] == "FLOPs" and claim["verdict"] != "confirmed"]
    assert (coarse["stated"], coarse["verdict"]) == ("0.04G", "unchecked")
    assert "written with one digit" in coarse["reason"]
    smaller = [claim for claim in report["claims"] if claim["field"] == "Min Size" and claim["verdict"] != "confirmed"]
    assert {claim["verdict"] for claim in smaller} <= {"unchecked"}
    assert all("; the size may be the smallest of use" in claim["reason"] for claim in smaller)
    assert not any("nan" in claim["stated"] for claim in report["claims"])


def test_a_number_that_is_wrong_is_refuted_and_never_fixed():
    (right,) = list_in_worker("torchvision", ("AlexNet_Weights.*",), True).models
    place = Place("torchvision/models/alexnet.py", 7, 3, 9)
    values = (Value("Parameters", "61100841", "num_params", place), Value("Min Size", "62", "min_size", place))
    wrong = Published(right.model, right.place, right.weights, values=values)
    report = audited(listed=ModelList("torchvision", "1", "", (wrong,)))
    assert [claim["verdict"] for claim in report["claims"]] == ["refuted", "refuted"]
    assert {(f["file"], f["line"], f["column"]) for f in report["findings"]} == {(place.file, 7, 3)}
    assert all(finding["fix"] is None for finding in report["findings"])
    assert "Min Size of AlexNet_Weights.IMAGENET1K_V1: card says 62, the network refuses it" in {
        finding["message"] for finding in report["findings"]
    }


def test_a_pattern_of_a_model_means_all_of_its_weights():
    found = list_in_worker("torchvision", ("resnet50", "AlexNet_Weights.*"), True)
    assert [one.model for one in found.models] == [
        "AlexNet_Weights.IMAGENET1K_V1",
        "ResNet50_Weights.IMAGENET1K_V1",
        "ResNet50_Weights.IMAGENET1K_V2",
    ]


def test_timm_states_the_classes_of_its_weights_where_its_source_names_them():
    pytest.importorskip("timm")
    report = audited("resnet50_clip", zoo="timm")
    assert {(claim["field"], claim["stated"], claim["verdict"]) for claim in report["claims"]} >= {
        ("Classes", "1024", "confirmed")
    }
    claim = report["claims"][0]
    source = Path(find_spec("timm").origin).parents[1] / claim["file"]
    assert f"'{claim['model']}'" in source.read_text().splitlines()[claim["line"] - 1]


def test_a_zoo_without_metadata_says_so():
    with pytest.raises(InputError, match="has no metadata that claims anything"):
        read_metadata(list_in_worker("res2next", (), True))


def test_the_command_asks_for_a_zoo_and_fixes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def command(*arguments):
        return cardproof("audit", "--from-metadata", *arguments)

    assert "needs a zoo" in command().stderr
    assert "an installed package is not edited" in command("--zoo", "torchvision", "--fix").stderr
    done = command("--zoo", "torchvision", "alexnet", "--json")
    assert done.returncode == 0
    method = json.loads(done.stdout)["method"]
    assert method["command"] == "cardproof audit --from-metadata alexnet --zoo torchvision"


def test_weights_of_a_zoo_of_the_users_own_may_be_a_link_or_a_mapping():
    assert as_published("a", "https://example.org/a.pth").weights == "https://example.org/a.pth"
    found = as_published("a", {"url": "https://example.org/a.pth", "license": "mit"})
    assert (found.weights, found.licence) == ("https://example.org/a.pth", "mit")
    assert as_published("a", None).weights == ""
    assert as_published("a", {"url": 3}).weights == ""


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "zoo.py"
    path.write_text(
        "A: dict = {'deep': {'x': 1}}\nB = {**A, 'y': 2}\nLOOP = {**LOOP}\n\n\nclass W:\n"
        "    ONE = make('é', meta={**B, 'y': 3, 'n': {'x': 91.420}})\n"
    )
    return SourceFile(path, "zoo.py")


def test_a_value_is_found_through_names_and_as_it_is_written(source):
    entry = source.entry("W", "ONE")
    assert source.place(source.value(entry, "deep", "x")) == Place("zoo.py", 1, 26, 27)
    assert source.text(source.value(entry, "n", "x")) == "91.420"
    assert source.place(source.value(entry, "y")).line == 7  # the later of two entries holds
    assert source.place(source.value(entry, "y")).column == "    ONE = make('é', meta={**B, 'y': 3".index("3") + 1
    assert source.value(entry, "nothing") is None
    assert source.entry("W", "TWO") is None


def test_what_is_written_is_what_ast_says_and_lines_end_where_python_ends_them(tmp_path):
    path = tmp_path / "zoo.py"
    path.write_text("A = ('é\u2028ü', {'x':\n  'y\x0c'},\n)\nB = [\n  1.50,\n  A\n]\n", encoding="utf-8")
    source = SourceFile(path, "zoo.py")
    nodes = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.expr)]
    assert len(nodes) > 8
    for node in nodes:
        assert source.text(node) == ast.get_source_segment(path.read_text(encoding="utf-8"), node)
    assert source.place_of_text("y\x0c") == Place("zoo.py", 2, 3, 7)


def test_names_that_mean_themselves_end(source):
    assert source.value(ast.parse("f({**LOOP})", mode="eval").body, "x") is None


def test_torchvision_names_where_its_metadata_is():
    address = load_zoo("torchvision").address()
    assert address.startswith("https://github.com/pytorch/vision/tree/v")
    assert "+" not in address

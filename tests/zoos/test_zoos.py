"""The zoos: names, renames, and preprocessing that belongs to weights."""

from __future__ import annotations

import os
import py_compile
import sys
from contextlib import suppress

import pytest
from report_runs import claim_rows
from sites import ONE_JOB

from cardproof.build import audit
from cardproof.core.measurements import Preprocessing
from cardproof.core.settings import Settings
from cardproof.zoos import ZooError, load_zoo, preprocessing_of, similar_names
from cardproof.zoos.source_digests import network_digests


def test_res2next_states_the_preprocessing_of_its_models():
    zoo = load_zoo("res2next")
    found = preprocessing_of(zoo, "res2next50")
    assert (found.input_size, found.crop_pct, found.interpolation) == ((3, 224, 224), 0.875, "bilinear")
    assert (found.mean, found.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_torchvision_builds_the_network_of_an_entry_of_its_weights():
    zoo = load_zoo("torchvision")
    name = zoo.known_as("vit_b_16", "vit_b_16_swag-9ac1b537.pth")
    assert name == "ViT_B_16_Weights.IMAGENET1K_SWAG_E2E_V1"
    assert preprocessing_of(zoo, name).input_size == (3, 384, 384)
    assert preprocessing_of(zoo, "vit_b_16").input_size == (3, 224, 224)
    assert zoo.known_as("vit_b_16", None) == "vit_b_16"


def test_torchvision_states_its_own_crop():
    assert preprocessing_of(load_zoo("torchvision"), "resnet18").crop_pct == 0.875


@pytest.mark.parametrize("zoo", ["torchvision", "timm"])
def test_a_model_that_a_zoo_does_not_have_is_named_in_the_error(zoo):
    if zoo == "timm":
        pytest.importorskip("timm")
    with pytest.raises(LookupError, match="no_such_model"):
        load_zoo(zoo).build("no_such_model")


def test_timm_follows_its_own_renames():
    pytest.importorskip("timm")
    zoo = load_zoo("timm")
    assert zoo.known_as("tv_resnet50", None) == "resnet50.tv_in1k"
    assert zoo.known_as("resnet50", None) == "resnet50"


def test_the_file_of_weights_has_the_last_word_on_a_name_that_timm_gave_up():
    pytest.importorskip("timm")
    zoo = load_zoo("timm")
    # timm's table sends all sizes of these to the smallest
    assert zoo.known_as("ig_resnext101_32x16d", "ig_resnext101_32x16-c6f796b0.pth").startswith("resnext101_32x16d.")
    assert zoo.known_as("ig_resnext101_32x8d", "ig_resnext101_32x8-c38310e5.pth").startswith("resnext101_32x8d.")
    assert zoo.known_as("resnet50", "ig_resnext101_32x16-c6f796b0.pth") == "resnet50"


@pytest.mark.parametrize("owner", ["timm/", "hf_hub:timm/", "hf-hub:timm/", "https://huggingface.co/timm/"])
def test_a_repository_of_timm_on_the_hub_is_the_entry_that_it_is_named_after(owner):
    pytest.importorskip("timm")
    zoo = load_zoo("timm")
    assert zoo.known_as(f"{owner}resnet50.a1_in1k", None) == "resnet50.a1_in1k"
    assert preprocessing_of(zoo, f"{owner}resnet50.a1_in1k").weights == "resnet50_a1_0-14fe96d1.pth"


def test_a_repository_of_somebody_else_is_not_timms():
    pytest.importorskip("timm")
    assert load_zoo("timm").known_as("hf_hub:other/resnet50", None) == "hf_hub:other/resnet50"


def test_a_tag_that_an_architecture_has_not_is_named_in_the_error():
    pytest.importorskip("timm")
    with pytest.raises(LookupError, match=r"no weights 'mine' of resnet18; it has .*a1_in1k"):
        preprocessing_of(load_zoo("timm"), "resnet18.mine")


B2A = """Models:
- Name: efficientnet_b2a
  Metadata: {Parameters: 9109994}
  Weights: https://example.org/efficientnet_b3_ra2-cf984f9c.pth
- Name: efficientnet_b3
  Metadata: {Parameters: 12233232}
  Weights: https://example.org/efficientnet_b3_ra2-cf984f9c.pth
"""


def test_a_link_named_after_another_model_does_not_decide_which_network_is_meant(write):
    """As in timm's documentation of 2021: efficientnet_b2a is today's efficientnet_b2, whatever its link says."""
    pytest.importorskip("timm")
    run = audit([write("model-index.yml", B2A)], Settings(zoo="timm"), ONE_JOB)
    assert [(row["model"], row["verdict"]) for row in claim_rows(run)] == [
        ("efficientnet_b2a", "confirmed"),
        ("efficientnet_b3", "confirmed"),
    ]
    assert [(f.check, f.place.line) for f in run.findings if f.severity == "error"] == [("weights-name", 4)]


def test_timm_finds_the_entry_whose_weights_a_card_links():
    pytest.importorskip("timm")
    assert load_zoo("timm").known_as("resnet50", "resnet50_ram-a26f946b.pth") == "resnet50.ram_in1k"


@pytest.mark.parametrize(
    "given",
    [
        {"image_size": 32, "crop_pct": 0.9, "interpolation": "bicubic"},
        {"input_size": (3, 32, 32), "crop_pct": "0.9", "interpolation": "bicubic"},
        {"img_size": [32, 32], "crop_pct": 0.9, "interpolation": "bicubic", "mean": None},
        Preprocessing((3, 32, 32), 0.9, "bicubic"),
    ],
)
def test_a_zoo_may_state_preprocessing_in_several_forms(given):
    class Zoo:
        name = "own"

        def preprocessing(self, name):
            return given

    assert preprocessing_of(Zoo(), "x") == Preprocessing((3, 32, 32), 0.9, "bicubic")


def test_a_callable_is_a_zoo(tmp_path):
    (tmp_path / "own.py").write_text("def build(name):\n    return name.upper()\n")
    zoo = load_zoo(f"{tmp_path}/own.py:build")
    assert zoo.build("a") == "A"
    assert zoo.preprocessing("a") is None


def test_a_thing_that_is_no_zoo_is_refused(tmp_path):
    (tmp_path / "own.py").write_text("thing = 3\n")
    with pytest.raises(ZooError, match="neither a zoo nor a callable"):
        load_zoo(f"{tmp_path}/own.py:thing")


def test_the_digest_of_a_users_zoo_follows_its_files_and_does_not_import_it(tmp_path):
    file = tmp_path / "own.py"
    file.write_text("raise SystemExit('imported')\n")
    first = network_digests(f"{file}:build", ["a"])
    (tmp_path / "beside.py").write_text("x = 1\n")
    assert network_digests(f"{file}:build", ["a"]) != first


def test_a_zoo_is_read_from_its_source_however_quickly_it_was_edited(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path = tmp_path / "quick.py"
    for value in (1, 2):
        path.write_text(f"import quick_helper_{value}\n\ndef build(name):\n    return {value}\n")
        (tmp_path / f"quick_helper_{value}.py").write_text("")
        os.utime(path, (1_700_000_000, 1_700_000_000))
        if value == 1:
            py_compile.compile(str(path))  # as a run that kept its bytecode would have
        assert load_zoo(f"{path}:build").build("any") == value
    assert [kept.name.partition(".")[0] for kept in tmp_path.glob("__pycache__/*")] == ["quick"]
    assert not sys.dont_write_bytecode


def test_a_zoo_in_a_file_can_read_the_data_beside_it(tmp_path):
    (tmp_path / "names.txt").write_text("a b")
    source = "import pkgutil\n\ndef build(name):\n    return pkgutil.get_data(__name__, 'names.txt').split()\n"
    (tmp_path / "with_data.py").write_text(source)
    assert load_zoo(f"{tmp_path}/with_data.py:build").build("any") == [b"a", b"b"]


def test_torchvision_states_the_results_of_all_weights_of_a_name():
    zoo = load_zoo("torchvision")
    found = {(result.weights, result.metric): result for result in zoo.stated_results("resnet50")}
    assert found["ResNet50_Weights.IMAGENET1K_V1", "Top 1 Accuracy"].value == "76.130%"
    assert found["ResNet50_Weights.IMAGENET1K_V2", "Top 5 Accuracy"].value == "95.434%"
    assert {result.dataset for result in found.values()} == {"ImageNet-1K"}
    assert {result.place.partition(":")[0] for result in found.values()} == {"torchvision/models/resnet.py"}
    only = zoo.stated_results("ResNet50_Weights.IMAGENET1K_V1")
    assert {result.file for result in only} == {"resnet50-0676ba61.pth"}
    assert zoo.stated_results("no_such_model") == ()


def test_timm_has_weights_of_several_heads_under_one_name():
    pytest.importorskip("timm")
    zoo = load_zoo("timm")
    assert dict(zoo.weights_of("tiny_vit_5m_224"))["tiny_vit_5m_224.in1k"] == 1000
    assert dict(zoo.weights_of("tiny_vit_5m_224"))["tiny_vit_5m_224.dist_in22k"] == 21_841
    assert zoo.weights_of("tiny_vit_5m_224.in1k") == ()


class Listed:
    """A zoo that lists its models."""

    def models(self):
        return ("resnet18", "resnet34", "resnetv2_50")

    def build(self, name):
        raise LookupError(name)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("resnet18", None),
        ("resnet18.tv_in1k", None),
        ("resnet_18", ("resnet18",)),
        ("ResNet-34", ("resnet34",)),
        ("resnetv2_5O", ("resnetv2_50",)),
        ("resnet35_8xb32_in1k", ("resnet34",)),
        ("qnli", ()),
        ("", ()),
    ],
)
def test_a_name_that_a_zoo_does_not_have_is_compared_with_those_that_it_has(name, near):
    assert similar_names(Listed(), name) == near


def test_a_zoo_without_a_list_of_models_cannot_tell_a_name():
    assert similar_names(object(), "resnet18") is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
@pytest.mark.parametrize("spec", ["own.py:build", "package:build"])
def test_what_is_named_like_a_source_file_but_is_not_one_is_left_out(tmp_path, monkeypatch, spec):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "package" if spec.startswith("package") else tmp_path
    folder.mkdir(exist_ok=True)
    (folder / "__init__.py").write_text("")
    (tmp_path / "own.py").write_text("def build(name): ...")
    before = network_digests(spec, ["a"])
    (folder / ".#own.py").symlink_to("nobody@nowhere.1234")
    (folder / "sub.py").mkdir()
    os.mkfifo(folder / "pipe.py")
    assert network_digests(spec, ["a"]) == before


def test_the_modules_of_a_namespace_package_are_its_source(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "spread/inner").mkdir(parents=True)
    (tmp_path / "spread/inner/nets.py").write_text("x = 1")
    before = network_digests("spread.inner.nets:build", ["a"])
    (tmp_path / "spread/inner/nets.py").write_text("x = 2")
    assert network_digests("spread.inner.nets:build", ["a"]) != before


@pytest.mark.parametrize(
    "spec", ["__main__:build", "no such package:x", ".relative:x", "\0.py:x", f"{'x' * 5000}.py:x", "a\0b:x", ":", "x"]
)
def test_a_zoo_that_cannot_be_named_is_an_error_of_the_zoo(spec):
    with pytest.raises(ZooError):
        load_zoo(spec)
    with suppress(ZooError):
        assert network_digests(spec, ["a"]) == network_digests("no_file_here.py:x", ["a"])


SOURCES = {
    "raises in its constructor": "class zoo:\n    def __init__(self): 1 / 0\n    def build(self, name): ...",
    "raises for attributes": "class Zoo:\n    def __getattr__(self, name): 1 / 0\nzoo = Zoo()",
    "exits": "raise SystemExit(0)",
    "raises what nobody catches": "class Odd(BaseException): ...\nraise Odd",
    "no text": "raise type('Odd', (Exception,), {'__str__': lambda self: 3})()",
    "null bytes": "zoo = 1\0",
    "module is replaced": "import sys\nsys.modules[__name__] = None\nraise ImportError",
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_whatever_the_import_of_a_zoo_raises_is_an_error_of_the_zoo(tmp_path, source):
    (tmp_path / "own.py").write_bytes(source.encode())
    with pytest.raises(ZooError, match="cannot be imported"):
        load_zoo(f"{tmp_path}/own.py:zoo")


@pytest.mark.parametrize("size", [(), (0, 0, 0), (-1, 3), (3, 10**30, 10**30), "x", {"height": 3}, [None], 0])
def test_an_image_size_that_no_image_has_is_refused(size):
    class Zoo:
        name = "own"

        def preprocessing(self, name):
            return {"image_size": size}

    with pytest.raises((ValueError, TypeError)):
        preprocessing_of(Zoo(), "x")

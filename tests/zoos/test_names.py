"""Tables of names: which network of a zoo a card means that calls it otherwise."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from outlet_runs import claim_rows
from sites import ONE_JOB, cardproof

from cardproof.build import audit
from cardproof.core.errors import InputError
from cardproof.core.settings import Settings, load_settings
from cardproof.evidence.records import dependencies
from cardproof.plan.needs import plan
from cardproof.read import read_cards
from cardproof.zoos.aliases import Names, load_names, read_names

ZOO = """
from torch import nn


class Zoo:
    def build(self, name):
        return {"small": nn.Conv2d(3, 2, 1), "large": nn.Conv2d(3, 4, 1)}[name]

    def preprocessing(self, name):
        return {"input_size": (3, 8, 8)}

    def known_as(self, name, weights):
        return "large" if name == "renamed" else name
"""
CARD = """Models:
- Name: net-small_8xb32
  Metadata: {Parameters: 8, FLOPs: 384}
- Name: net-large_8xb32
  Metadata: {Parameters: 9}
- Name: renamed
  Metadata: {Parameters: 8}
"""
TABLE = "net-small_*: small\nnet-large_*: large\nrenamed: small\n"


@pytest.fixture
def site(write):
    write("zoo.py", ZOO)
    write("names.yml", TABLE)
    return write("model-index.yml", CARD)


def test_models_are_measured_by_the_zoos_name_for_them(site):
    run = audit([site], Settings(zoo="zoo.py:Zoo", names=Path("names.yml")), ONE_JOB)
    rows = claim_rows(run)
    assert [(row["model"], row["field"], row["verdict"], row["found"]) for row in rows] == [
        ("net-small_8xb32", "Parameters", "confirmed", 8),
        ("net-small_8xb32", "FLOPs", "confirmed", 384),
        ("net-large_8xb32", "Parameters", "refuted", 16),
        ("renamed", "Parameters", "confirmed", 8),
    ]
    notes = [finding.message for finding in run.findings if finding.check == "renamed"]
    assert notes[0] == "net-small_8xb32 is small of zoo 'zoo.py:Zoo' by the table of names"
    (other,) = [finding.message for finding in run.findings if finding.check == "another-network"]
    assert other.endswith("which has 16 parameters, the card states 9: one of the two is wrong")


def test_without_a_table_the_cards_name_is_the_zoos(site):
    run = audit([site], Settings(zoo="zoo.py:Zoo"), ONE_JOB)
    assert [f.message.partition(" ")[0] for f in run.findings if f.check == "unknown-model"] == [
        "net-small_8xb32",
        "net-large_8xb32",
    ]


def test_the_option_and_the_setting_say_the_same(site, write):
    write("mkdocs.yml", "plugins:\n- cardproof:\n    zoo: zoo.py:Zoo\n    names: names.yml\n")
    assert load_settings(Path("mkdocs.yml")).names == Path("names.yml")
    command = ("audit", site.name, "-j", "1", "--json")
    by_setting = cardproof(*command)
    Path("mkdocs.yml").unlink()
    by_option = cardproof(*command, "--zoo", "zoo.py:Zoo", "--names", "names.yml")
    assert json.loads(by_setting.stdout)["claims"] == json.loads(by_option.stdout)["claims"]
    assert json.loads(by_option.stdout)["method"]["command"].endswith("--zoo zoo.py:Zoo --names names.yml")


def test_evidence_depends_on_the_zoos_name(site):
    reading = read_cards([site])
    needs = plan(reading)
    named = plan(reading, read_names(Path("names.yml")))
    for key, need in needs.items():
        assert dependencies(need, "z", "n").key != dependencies(named[key], "z", "n").key
    assert dict(dependencies(named["model-index.yml", "renamed"], "z", "n").inputs)["name in the zoo"] == "small"


@pytest.mark.parametrize(
    ("text", "place"),
    [("- a\n", "1:1"), ("a: [b]\n", "1:4"), ("a: 3\n", "1:4"), ("a: {b: c}\n", "1:4"), ("a: 'b\n", ""), ("", "1:1")],
)
def test_a_file_that_is_no_table_is_refused_with_its_place(write, text, place):
    path = write("names.yml", text)
    with pytest.raises(InputError, match=f"names.yml:{place}"):
        read_names(path)


def test_the_first_pattern_that_fits_the_whole_name_decides(write):
    names = read_names(write("names.yml", "net_a: one\nnet_?: two\nnet*: three\nno: \n"))
    wanted = {"net_a": "one", "net_b": "two", "net_bc": "three", "my_net_a": "", "no": "", "NET_A": ""}
    assert {name: names.network(name) for name in wanted} == wanted


@given(st.text(max_size=400))
def test_any_name_is_looked_up(name):
    assert isinstance(load_names(Settings(zoo="timm")).network(name), str)


def test_names_of_mmpretrain_are_names_of_timm():
    timm = pytest.importorskip("timm")
    from timm.models import get_pretrained_cfg

    names = load_names(Settings(zoo="timm"))
    for _, network in names.rows:
        assert timm.is_model(network), network
        tag = network.partition(".")[2]
        assert not tag or get_pretrained_cfg(network).tag == tag
        assert names.network(network) == "", f"{network} is timm's own name for another network"
    assert names.network("resnet50_8xb32_in1k") == "resnet50"
    assert names.network("swin-base_in21k-pre-3rdparty_in1k-384") == "swin_base_patch4_window12_384"
    assert names.network("convnext-base_3rdparty_in21k") == "convnext_base.fb_in22k"
    assert names.network("hrnet-w18_3rdparty_8xb32_in1k") == ""  # other biases
    assert load_names(Settings(zoo="torchvision")).rows == ()


def test_no_name_of_timm_is_taken_for_one_of_mmpretrain():
    timm = pytest.importorskip("timm")
    from timm.models import get_deprecated_models

    names = load_names(Settings(zoo="timm"))
    known = {*timm.list_models(), *timm.list_models(pretrained=True), *get_deprecated_models()}
    assert [name for name in known if names.network(name)] == []


PARAMETERS = {  # torchvision's metadata of the same networks
    "resnet50_8xb32_in1k": 25_557_032,
    "densenet121_3rdparty_in1k": 7_978_856,
    "wide-resnet50_3rdparty_8xb32_in1k": 68_883_240,
    "swin-tiny_16xb64_in1k": 28_288_354,
    "convnext-tiny_32xb128_in1k": 28_589_128,
}


def test_named_networks_have_the_parameters_that_torchvision_states_of_them(write):
    timm = pytest.importorskip("timm")
    names = load_names(Settings(zoo="timm"))
    found = {}
    for name in PARAMETERS:
        network = timm.create_model(names.network(name))
        found[name] = sum(parameter.numel() for parameter in network.parameters())
    assert found == PARAMETERS


@given(st.text(alphabet="ab-*?[]!", max_size=8), st.text(alphabet="ab-*[", max_size=8))
def test_patterns_are_those_of_file_names(pattern, name):
    assert bool(Names(((pattern, "net"),)).network(name)) == (fnmatchcase(name, pattern) or name == pattern)

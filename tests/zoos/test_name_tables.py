"""Tables of names: which network of a zoo a card means that calls it otherwise."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_runs import claim_rows
from sites import ONE_JOB, cardproof

from cardproof.build import audit
from cardproof.core.errors import InputError
from cardproof.core.numbers import equal_as_written
from cardproof.core.settings import Settings, load_settings
from cardproof.core.types import Number, Place
from cardproof.evidence.records import dependencies
from cardproof.plan.recall import plan
from cardproof.read import read_cards
from cardproof.read.models import make_claim
from cardproof.zoos.name_tables import NameTable, load_names, read_names

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
        ("net-large_8xb32", "Parameters", "unchecked", 16),
        ("renamed", "Parameters", "confirmed", 8),
    ]
    notes = [finding.message for finding in run.findings if finding.check == "renamed"]
    assert notes[0] == "net-small_8xb32 is checked as zoo.py:Zoo's small (name map of --names)"
    (other,) = [finding for finding in run.findings if finding.check == "another-network"]
    assert other.message.endswith("which has 16 parameters; card says 9: probably another network, or a wrong number")
    assert not [finding for finding in run.findings if finding.fix]


@pytest.mark.parametrize(
    ("stated", "verdict"),
    [
        ("75250", "confirmed"),
        ("75.3K", "confirmed"),
        ("75249", "refuted"),  # the last digit slipped
        ("752500", "refuted"),  # the decimal point moved
        ("75400", "unchecked"),  # 0.2 % more: a look-alike, as CAE is of BEiT
        ("8000", "unchecked"),
    ],
)
def test_a_network_of_the_table_must_have_the_stated_parameters(write, stated, verdict):
    write("zoo.py", "from torch import nn\n\n\ndef build(name):\n    return nn.Conv2d(3, 250, 10)\n")
    write("names.yml", "net: alike\n")
    card = write(
        "model-index.yml", f"Models:\n- Name: net\n  Metadata: {{Parameters: {stated}, FLOPs: 7, Image Size: 224}}\n"
    )
    run = audit([card], Settings(zoo="zoo.py:build", names=Path("names.yml")), ONE_JOB)
    found = {row["field"]: row["verdict"] for row in claim_rows(run)}
    assert (found["Parameters"], found["FLOPs"]) == (verdict, "unchecked" if verdict == "unchecked" else "refuted")
    assert any(finding.fix for finding in run.findings) == (verdict != "unchecked")


@pytest.mark.parametrize(
    ("flops", "verdict"),
    [("3466875000", "refuted"), ("3.47G", "refuted"), ("3.5G", "unchecked"), ("3.6G", "unchecked")],
)
def test_right_multiply_adds_say_that_it_is_the_network_and_its_parameters_are_refuted(write, flops, verdict):
    write("zoo.py", "from torch import nn\n\n\ndef build(name):\n    return nn.Conv2d(3, 250, 10)\n")
    write("names.yml", "net: alike\n")
    card = write("model-index.yml", f"Models:\n- Name: net\n  Metadata: {{Parameters: 85250, FLOPs: {flops}}}\n")
    run = audit([card], Settings(zoo="zoo.py:build", names=Path("names.yml")), ONE_JOB)
    assert claim_rows(run)[0]["verdict"] == verdict
    (finding,) = (finding for finding in run.findings if finding.check != "renamed")
    said = {"refuted": ("parameters", "error", "75250"), "unchecked": ("another-network", "warning", None)}
    assert (finding.check, finding.severity, finding.fix and finding.fix.text) == said[verdict]


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
    for network in filter(None, (network for _, network in names.rows)):
        assert timm.is_model(network), network
        tag = network.partition(".")[2]
        assert not tag or get_pretrained_cfg(network).tag == tag
        assert names.network(network) == "", f"{network} is timm's own name for another network"
    assert names.network("resnet50_8xb32_in1k") == "resnet50"
    assert names.network("swin-base_in21k-pre-3rdparty_in1k-384") == "swin_base_patch4_window12_384"
    assert names.network("convnext-base_3rdparty_in21k") == "convnext_base.fb_in22k"
    assert names.network("tinyvit-5m_in21k-distill-pre_3rdparty_in1k") == "tiny_vit_5m_224.dist_in22k_ft_in1k"
    assert names.network("hrnet-w18_3rdparty_8xb32_in1k") == ""  # other biases
    assert names.network("beit-base-p16_cae-pre_8xb128-coslr-100e_in1k") == ""  # an absolute position embedding
    assert load_names(Settings(zoo="torchvision")).rows == ()


def test_no_name_of_timm_is_taken_for_one_of_mmpretrain():
    timm = pytest.importorskip("timm")
    from timm.models import get_deprecated_models

    names = load_names(Settings(zoo="timm"))
    known = {*timm.list_models(), *timm.list_models(pretrained=True), *get_deprecated_models()}
    assert [name for name in known if names.network(name)] == []


STATED = """
resnet18_8xb32_in1k 11690000, resnet50_8xb32_in1k 25560000, resnet101_8xb32_in1k 44550000
resnet152_8xb32_in1k 60190000, resnet50_8xb256-rsb-a1-600e_in1k 25560000, resnetv1c50_8xb32_in1k 25580000
resnetv1c101_8xb32_in1k 44570000, resnetv1c152_8xb32_in1k 60210000, resnetv1d50_8xb32_in1k 25580000
resnetv1d101_8xb32_in1k 44570000, resnetv1d152_8xb32_in1k 60210000, vgg11_8xb32_in1k 132860000
vgg13_8xb32_in1k 133050000, vgg16_8xb32_in1k 138360000, vgg19_8xb32_in1k 143670000, vgg11bn_8xb32_in1k 132870000
vgg13bn_8xb32_in1k 133050000, vgg16bn_8xb32_in1k 138370000, vgg19bn_8xb32_in1k 143680000
mobilevit-small_3rdparty_in1k 5580000, mobilevit-xsmall_3rdparty_in1k 2320000, mobilevit-xxsmall_3rdparty_in1k 1270000
efficientformer-l3_3rdparty_8xb128_in1k 31406000, efficientformer-l7_3rdparty_8xb128_in1k 82229328
convmixer-768-32_3rdparty_in1k 21110248, convmixer-1024-20_3rdparty_in1k 24383464
convmixer-1536-20_3rdparty_in1k 51625960, mlp-mixer-base-p16_3rdparty_64xb64_in1k 59880000
mlp-mixer-large-p16_3rdparty_64xb64_in1k 208200000, tinyvit-5m_3rdparty_in1k 5392764
tinyvit-5m_in21k-distill-pre_3rdparty_in1k 5392764, tinyvit-11m_3rdparty_in1k 10996972
tinyvit-11m_in21k-distill-pre_3rdparty_in1k 10996972, tinyvit-21m_3rdparty_in1k 21198568
tinyvit-21m_in21k-distill-pre_3rdparty_in1k 21198568, tinyvit-21m_in21k-distill-pre_3rdparty_in1k-384px 21230488
tinyvit-21m_in21k-distill-pre_3rdparty_in1k-512px 21268120, xcit-nano-12-p16_3rdparty_in1k 3053224
xcit-nano-12-p8_3rdparty_in1k 3049016, xcit-tiny-12-p16_3rdparty_in1k 6716272, xcit-tiny-12-p8_3rdparty_in1k 6706504
xcit-tiny-24-p16_3rdparty_in1k 12116896, xcit-tiny-24-p8_3rdparty-dist_in1k 12107128
xcit-small-12-p16_3rdparty_in1k 26253304, xcit-small-12-p8_3rdparty_in1k 26213032
xcit-small-24-p16_3rdparty_in1k 47671384, xcit-small-24-p8_3rdparty_in1k 47631112
xcit-medium-24-p16_3rdparty_in1k 84395752, xcit-medium-24-p8_3rdparty_in1k 84323624
xcit-large-24-p16_3rdparty-dist_in1k-384px 189096136, xcit-large-24-p8_3rdparty_in1k 188932648
vit-base-p16_sam-pre_3rdparty_sa1b-1024px 89671000, vit-large-p16_sam-pre_3rdparty_sa1b-1024px 308000000
vit-huge-p16_sam-pre_3rdparty_sa1b-1024px 637000000, beit-base-p16_beitv2-pre_8xb128-coslr-100e_in1k 86530984
"""
"""Parameters that further metafiles of mmpretrain 1.2.0 state, of networks that the given ones do not have."""

WRONG = {
    "vit-base-p32_clip-openai-in12k-pre_3rdparty_in1k-384px": "those at 224, where fewer positions are embedded",
    "vit-base-p32_clip-laion2b-in12k-pre_3rdparty_in1k-384px": "those at 224",
    "vit-base-p32_clip-laion2b-in12k-pre_3rdparty_in1k-448px": "those at 224",
    "vit-base-p16_clip-openai-pre_3rdparty_in1k-384px": "those at 224",
    "vit-base-p16_clip-laion2b-pre_3rdparty_in1k-384px": "those at 224",
    "vit-base-p16_clip-openai-in12k-pre_3rdparty_in1k-384px": "those at 224",
    "vit-base-p16_clip-laion2b-in12k-pre_3rdparty_in1k-384px": "those at 224",
    "convnext-base_3rdparty_in21k": "those of the head with 1,000 classes; the weights have 21,841",
    "convnext-large_3rdparty_in21k": "those of the head with 1,000 classes",
    "convnext-xlarge_3rdparty_in21k": "those of the head with 1,000 classes",
    "swinv2-base-w12_3rdparty_in21k-192px": "those of the head with 1,000 classes",
    "swinv2-large-w12_3rdparty_in21k-192px": "those of the head with 1,000 classes",
    "regnetx-3.2gf_8xb64_in1k": "3.21 M, which is its FLOPs in G",
    "resnet50_spark-pre_300e_in1k": "23.52 M, those of ResNet-50 for CIFAR-10 with 10 classes",
    "swinv2-large-w16_in21k-pre_3rdparty_in1k-256px": "196.75 M, the last digit off by one",
    "swinv2-large-w24_in21k-pre_3rdparty_in1k-384px": "196.75 M, the last digit off by one",
}
"""Metafiles that state other parameters than their own network has, and what they state."""


def stated_parameters(shared: Path) -> dict[str, Number]:
    reading = read_cards(sorted((shared / "corpora" / "mmpretrain-metafiles").glob("*.yml")))
    claims = [claim for card in reading.cards for own in card.claims_of for claim in own]
    stated = {claim.model: claim.number for claim in claims if claim.kind == "parameters" and claim.number}
    further = [pair.split() for pair in STATED.strip().replace("\n", ",").split(",")]
    return stated | {name: make_claim(name, "Parameters", text, Place("", 1, 1)).number for name, text in further}


@pytest.mark.slow
def test_every_row_names_a_network_with_the_parameters_that_the_metafile_states(shared):
    pytest.importorskip("timm")
    from timm_parameters import built_parameters, recorded

    names = load_names(Settings(zoo="timm"))

    def parameters(network: str) -> int:
        return recorded().get(network) or built_parameters(network)

    for network in list(recorded())[::10]:
        assert recorded()[network] == built_parameters(network), "python tests/timm_parameters.py builds all anew"
    stated = {name: number for name, number in stated_parameters(shared).items() if names.network(name)}
    differing = {
        name for name, number in stated.items() if not equal_as_written(parameters(names.network(name)), number)
    }
    assert differing == set(WRONG)
    right = {names.network(name) for name in stated.keys() - differing}
    unproved = {network for _, network in names.rows} - right - {""}
    moved_point = {"resnet34"}  # its metafile states 2.18 M
    assert unproved <= {names.network(name) for name in differing} | moved_point


@given(st.text(alphabet="ab-*?[]!", max_size=8), st.text(alphabet="ab-*[", max_size=8))
def test_patterns_are_those_of_file_names(pattern, name):
    assert bool(NameTable(((pattern, "net"),)).network(name)) == (fnmatchcase(name, pattern) or name == pattern)

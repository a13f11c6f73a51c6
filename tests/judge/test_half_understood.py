"""A value that is not wholly understood is unchecked, with the reason: what is thrown away may be what matters."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from cardproof.core.measurements import Preprocessing

CONFIG = Preprocessing((3, 224, 224), 0.875, "bicubic", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
COUNTS = {"net": (24_671_464, 4_172_677_120)}


@pytest.fixture
def judge_value(judge_card):
    """Return a function that judges one stated value of a network with known counts and preprocessing."""

    def _judge(field, text):
        card = f"Models:\n- Name: net\n  Metadata:\n    {json.dumps(field)}: {json.dumps(text, ensure_ascii=False)}\n"
        verdicts = judge_card(card, COUNTS, name="model-index.yml", preprocessing={"net": CONFIG}, evaluations={})
        ((judgement,),) = verdicts.judgements.values()
        return judgement

    return _judge


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("Mean", "[0.485, 0.456, 0.406]"),
        ("Mean", "(0.485, 0.456, 0.406)"),
        ("Mean", "0.485, 0.456, 0.406"),
        ("Std", "0.229 0.224 0.225"),
        ("Image Size", "224"),
        ("Image Size", "224²"),
        ("Image Size", "3x224x224"),
        ("Image Size", "(3, 224, 224)"),
        ("Image Size", "224 x 224 x 3"),
        ("Image Size", "224px"),
        ("Interpolation", "Bicubic"),
        ("Crop Pct", "87.5%"),
        ("Crop Pct", ".875"),
        ("Parameters", "24.67 MParams"),
        ("Parameters", "24.67M params"),
        ("#Params (M)", "24.67"),
        ("FLOPs", "4.173 GMACs"),
        ("MACs", "4.173G"),
        ("Classes", "1000"),
        ("Parameters", "~24.67M"),
        ("Parameters", "about 24.7M"),
        ("FLOPs", "≈ 4.17 G"),
        ("FLOPs (single crop, 224x224)", "4.17 G"),
    ],
)
def test_what_is_wholly_understood_and_right_is_confirmed(judge_value, field, text):
    assert judge_value(field, text).verdict == "confirmed"


@pytest.mark.attack("card", "values of which the right digits are only a part", "unchecked, with the reason")
@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("Mean", "not 0.485, 0.456, 0.406"),
        ("Mean", "0.485, 0.456, 0.406 (BGR)"),
        ("Mean", "BGR 0.485 0.456 0.406"),
        ("Mean", "0.485-0.456-0.406"),
        ("Mean", "0.485, 0.456"),
        ("Mean", "123.675, 116.28, 103.53"),
        ("Std", "not 0.229"),
        ("Std", "1/0.229, 1/0.224, 1/0.225"),
        ("Image Size", "7x224x224"),
        ("Image Size", "224+224"),
        ("Image Size", "not 224"),
        ("Image Size", "224 to 288"),
        ("Image Size", "at least 224"),
        ("Image Size", "224 224"),
        ("Interpolation", "bilinear or bicubic"),
        ("Interpolation", "not bicubic"),
        ("Crop Pct", "0.875 (center)"),
        ("Crop Pct", "not 0.875"),
        ("Crop Pct", "224"),
        ("Crop Pct", "nan"),
        ("Parameters", "24671464 MACs"),
        ("Parameters", "24.67 GFLOPs"),
        ("Parameters", "24671464 ops"),
        ("Parameters", "24.67 MB"),
        ("Parameters", "24671464 %"),
        ("Parameters", "< 24671464"),
        ("Parameters", "up to 24671464"),
        ("Parameters", "not 24671464"),
        ("Parameters", "24671464 + 1000"),
        ("Parameters", "24671464 / 2"),
        ("Params (backbone)", "24671464"),
        ("Params (M) (w/o head)", "24.67"),
        ("FLOPs", "4172.677120 MParams"),
        ("FLOPs", "4.17 GFLOPS/s"),
        ("FLOPs", "4.17 G %"),
        ("FLOPs (per batch)", "4172677120"),
        ("Classes", "1000M"),
        ("Classes", "1000 + 1"),
        ("Layers", "1 BatchNorm"),
        ("Architecture", "not BatchNorm"),
        ("Tasks", "not Image Classification"),
        ("File Size", "99 Mb"),
    ],
)
def test_what_is_not_wholly_understood_is_unchecked_with_the_reason(judge_value, field, text):
    judgement = judge_value(field, text)
    assert judgement.verdict == "unchecked"
    assert judgement.reason


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("Mean", "-0.485, 0.456, 0.406"),
        ("Mean", "0.406, 0.456, 0.485"),
        ("Std", "0.5"),
        ("Image Size", "1x224x224"),
        ("Image Size", "256"),
        ("Interpolation", "bilinear"),
        ("Crop Pct", "0.9"),
        ("Parameters", "-24671464"),
        ("Parameters", "24.9M"),
        ("Classes", "1400"),  # its zeros are no rounding
    ],
)
def test_what_is_wholly_understood_and_wrong_is_refuted(judge_value, field, text):
    assert judge_value(field, text).verdict == "refuted"


@pytest.mark.parametrize("text", ["~20M", "about 20M", "≈ 30M"])
def test_a_number_that_is_stated_as_about_so_much_is_never_refuted(judge_value, text):
    judgement = judge_value("Parameters", text)
    assert judgement.verdict == "unchecked"
    assert "about" in judgement.reason


def test_a_number_that_is_stated_as_about_so_much_says_so_if_it_holds(judge_value):
    assert "about" in judge_value("Parameters", "~24.7M").method


@pytest.mark.parametrize("cell", ["~24.7M", "≈ 24.7M", "about 24.7M"])
def test_a_table_says_about_too(judge_card, cell):
    verdicts = judge_card(f"| Model | Params |\n| --- | --- |\n| net | {cell} |\n", COUNTS)
    ((judgement,),) = verdicts.judgements.values()
    assert judgement.verdict == "confirmed"
    assert "about" in judgement.method


def test_a_count_of_a_table_without_a_unit_is_confirmed_if_it_is_equal_to_the_digit(judge_card):
    verdicts = judge_card("| Model | Params |\n| --- | --- |\n| net | 7,386 |\n", {"net": (7_386, 100_000)})
    ((judgement,),) = verdicts.judgements.values()
    assert judgement.verdict == "confirmed"
    assert verdicts.findings["README.md"] == ()


@pytest.mark.parametrize(
    ("head", "cell"),
    [("Params", "24.67 GFLOPs"), ("FLOPs (G)", "4.17 GParams"), ("Params (M) (encoder)", "24.67")],
)
def test_a_table_has_units_of_its_own_counts(judge_card, head, cell):
    verdicts = judge_card(f"| Model | {head} | Params |\n| --- | --- | --- |\n| net | {cell} | 24.67M |\n", COUNTS)
    for judgement in (one for judgements in verdicts.judgements.values() for one in judgements):
        assert judgement.verdict != "confirmed" or judgement.claim.stated == "24.67M"


@pytest.mark.parametrize(
    ("cell", "verdict"),
    [
        ("24.67M (ours)", "confirmed"),
        ("24.67M (total)", "confirmed"),
        ("24.67M (backbone)", "unchecked"),
        ("**24.67M** (w/o head)", "unchecked"),
        ("24.67M (not this network)", "unchecked"),
    ],
)
def test_words_in_brackets_behind_a_value_may_make_it_another(judge_card, cell, verdict):
    verdicts = judge_card(f"| Model | Params |\n| --- | --- |\n| net | {cell} |\n", COUNTS)
    ((judgement,),) = verdicts.judgements.values()
    assert judgement.verdict == verdict


def test_a_rounded_number_of_classes_is_never_refuted(judge_value):
    assert judge_value("Classes", "1k").verdict == "confirmed"
    assert judge_value("Classes", "21k").verdict == "unchecked"


def test_multiply_adds_stay_multiply_adds_where_flops_are_operations(judge_card):
    card = "Models:\n- Name: net\n  Metadata: {FLOPs: 4.173 GMACs}\n"
    ((judgement,),) = judge_card(card, COUNTS, name="model-index.yml").judgements.values()
    assert judgement.verdict == "confirmed"
    assert replace(judgement, found=4_172_677_120) == judgement


def test_an_accuracy_whose_name_says_more_is_not_that_of_the_data_set(judge_card):
    card = (
        "Models:\n- Name: net\n  Results:\n  - Dataset: ImageNet\n    Task: Image Classification\n"
        "    Metrics: {Top 1 Accuracy (ReaL labels): 80.1, Top 5 Accuracy: 95.1}\n"
    )
    verdicts = judge_card(card, COUNTS, name="model-index.yml")
    ((first, second),) = verdicts.judgements.values()
    assert "real labels" in first.reason
    assert "not evaluated" in second.reason


@pytest.mark.parametrize(
    ("field", "text", "verdict", "reason"),
    [
        ("Parameters", "20000000", "unchecked", "written with one digit: 20000000 says too little to be checked"),
        ("FLOPs", "4000000000", "unchecked", "written with one digit: 4000000000 says too little to be checked"),
        ("FLOPs", "4G", "unchecked", "written with one digit: 4G says too little to be checked"),
        ("FLOPs (G)", "4", "unchecked", "written with one digit: 4 says too little to be checked"),
        ("FLOPs", "4.2G", "confirmed", ""),
        ("Parameters", "25M", "confirmed", ""),
        ("Parameters", "30000000", "refuted", ""),
    ],
)
def test_a_count_of_one_digit_is_never_confirmed(judge_value, field, text, verdict, reason):
    judgement = judge_value(field, text)
    assert judgement.verdict == verdict
    assert not reason or judgement.reason == reason


def test_the_fix_of_a_whole_number_of_one_digit_writes_three(judge_value):
    assert judge_value("Parameters", "30000000").fix.text == '"24700000"'
    assert judge_value("Params (M)", "30").fix.text == '"24.7"'

"""Verdicts on cards that nobody published: units, sizes, zeros, lists, and networks that do not behave."""

from __future__ import annotations

import json

import pytest
from sites import ONE_JOB, TINY

from cardproof.build import audit
from cardproof.core.settings import Settings, parse_tolerance
from cardproof.report.terminal import json_of

ZOO = (
    TINY
    + '''

class Odd(Zoo):
    """Models that raise, exit, print, or are no networks."""

    def build(self, name):
        import sys

        if name == "exits":
            sys.exit(0)
        if name == "interrupts":
            raise KeyboardInterrupt
        if name == "none":
            return None
        print("printed while building")
        return super().build("tiny")

    def preprocessing(self, name):
        size = {"input_size": (3, 32, 32), "crop_pct": 0.875, "mean": (0.4, 0.5, 0.6), "std": (0.2, 0.2, 0.2)}
        return size if name != "fixed" else {**size, "interpolation": "bicubic"}


class Fixed(Odd):
    def build(self, name):
        from torch import nn

        return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10))
'''
)


@pytest.fixture
def judge(write):
    """Return a function that judges the fields of one model."""
    write("zoo.py", ZOO)

    def _judge(fields: str, name: str = "tiny", zoo: str = "Odd", **options):
        lines = "".join(f"    {line}\n" for line in fields.splitlines())
        card = write("card.md", f"<!--\nType: model-index\nModels:\n- Name: {name}\n  Metadata:\n{lines}-->\n")
        return json.loads(json_of(audit([card], Settings(zoo=f"zoo.py:{zoo}", **options), ONE_JOB)))

    return _judge


def verdicts(report) -> list[tuple[str, str]]:
    return [(claim["field"], claim["verdict"]) for claim in report["claims"]]


@pytest.mark.parametrize(
    ("field", "verdict"),
    [
        ("Parameters: 322", "confirmed"),
        ("Parameters: 0.32k", "confirmed"),
        ("'Params (K)': 0.322", "confirmed"),
        ("'Parameters (Million)': 0.000322", "confirmed"),
        ("'#Params': 322", "confirmed"),
        ("FLOPs: 55.4k", "confirmed"),
        ("'MACs (K)': 55.376", "confirmed"),
        ("kMACs: 55.38", "confirmed"),
        ("Multiply-Adds: 55,376", "confirmed"),
        ("FLOPs: 0G", "refuted"),
        ("Parameters: 0.00B", "refuted"),
        ("Parameters: 0", "refuted"),
        ("Parameters: -322", "refuted"),
        ("Parameters: ~", ""),
        ("Parameters: about 322", "confirmed"),
        ("'Params (MB)': 322", "unchecked"),
    ],
)
def test_a_count_is_judged_in_its_unit_and_zero_is_never_confirmed(judge, field, verdict):
    assert [found for _, found in verdicts(judge(field))] == ([verdict] if verdict else [])


def test_no_fix_writes_a_value_without_digits(judge):
    report = judge("Parameters: 1.2B\nFLOPs: 3.67G")
    assert all(finding["fix"] is None for finding in report["findings"])


def test_a_missing_unit_is_named(judge):
    (claim,) = judge("Parameters: 0.322")["claims"]
    assert claim["explanation"] == "The value is in thousands, and the unit K is missing."


@pytest.mark.parametrize(
    ("field", "verdict"),
    [
        ("Mean: [0.4, 0.5, 0.6]", "confirmed"),
        ("Mean: '(0.4, 0.5, 0.6)'", "confirmed"),
        ("Mean: [0.5, 0.5, 0.5]", "refuted"),
        ("Std: 0.2", "confirmed"),
        ("Image Size: [3, 32, 32]", "confirmed"),
        ("Image Size: 32x32", "confirmed"),
        ("Image Size: 64", "refuted"),
        ("Crop Pct: 87.5%", "confirmed"),
        ("Interpolation: bicubic", "unchecked"),
    ],
)
def test_preprocessing_is_one_value_however_it_is_written(judge, field, verdict):
    assert [found for _, found in verdicts(judge(field))] == [verdict]


def test_a_network_of_one_size_is_judged_at_it_and_its_flops_at_another_are_unchecked(judge):
    report = judge("FLOPs: 30720\nParameters: 30730\nImage Size: 64", "fixed", "Fixed")
    assert verdicts(report) == [("FLOPs", "unchecked"), ("Parameters", "confirmed"), ("Image Size", "refuted")]
    assert "rejects images of the card's size" in report["claims"][0]["reason"]
    assert not [finding for finding in report["findings"] if finding["check"] == "unknown-model"]


@pytest.mark.parametrize(
    ("name", "words"), [("exits", "SystemExit"), ("interrupts", "KeyboardInterrupt"), ("none", "not an nn.Module")]
)
def test_a_network_that_does_not_behave_is_an_error_of_its_own(judge, name, words):
    report = judge("Parameters: 322", name)
    assert (report["summary"]["exit"], verdicts(report)) == (1, [("Parameters", "unchecked")])
    assert words in report["claims"][0]["reason"]


def test_a_model_that_is_twice_in_one_file_is_judged_once_each(judge, write):
    card = write(
        "card.md",
        "<!--\nType: model-index\nModels:\n- Name: tiny\n  Metadata: {Parameters: 322}\n"
        "- Name: tiny\n  Metadata: {Parameters: 323}\n-->\n",
    )
    report = json.loads(json_of(audit([card], Settings(zoo="zoo.py:Odd"), ONE_JOB)))
    assert [(claim["line"], claim["verdict"]) for claim in report["claims"]] == [(5, "confirmed"), (7, "refuted")]
    assert sorted(finding["check"] for finding in report["findings"]) == ["duplicate-model", "parameters"]


def test_operations_are_two_per_multiply_add_in_verdict_and_explanation(judge):
    report = judge("FLOPs: 110752", flops="operations")
    assert [(claim["verdict"], claim["found"]) for claim in report["claims"]] == [("confirmed", 110752)]
    (claim,) = judge("FLOPs: 55376", flops="operations")["claims"]
    assert claim["explanation"] == "Exactly the multiply-adds: each was counted as one operation, not two."


def test_metrics_without_task_and_data_set_are_still_metrics(judge, write):
    card = write(
        "card.md", "<!--\nType: model-index\nModels:\n- Name: tiny\n  Results:\n    Metrics: {FLOPs: 9G}\n-->\n"
    )
    report = json.loads(json_of(audit([card], Settings(zoo="zoo.py:Odd"), ONE_JOB)))
    assert verdicts(report) == [("FLOPs", "unchecked")]
    assert not report["findings"]


def test_one_place_is_edited_by_one_fix(judge):
    report = judge("FLOPs: 6.67e4")
    fixes = [(finding["check"], bool(finding["fix"])) for finding in report["findings"]]
    assert fixes == [("flops", True), ("yaml-1.1", False)]


@pytest.mark.parametrize(
    ("spec", "verdict"),
    [("exact", "refuted"), ("written", "refuted"), ("1 digits", "confirmed"), ("1%", "confirmed"), ("2", "confirmed")],
)
def test_a_tolerance_loosens_or_tightens_a_field(judge, spec, verdict):
    report = judge("Parameters: 324", tolerances={"parameters": parse_tolerance(spec)})
    assert verdicts(report) == [("Parameters", verdict)]


def test_swapped_counts_are_reported_as_swapped_and_fixed(judge):
    report = judge("FLOPs: 322\nParameters: 55376")
    assert [one["explanation"] for one in report["claims"]] == [
        "The two are swapped: Parameters on line 7 has the value of this one.",
        "The two are swapped: FLOPs on line 6 has the value of this one.",
    ]
    assert [one["fix"]["text"] for one in report["findings"] if one["fix"]] == ["55376", "322"]


def test_zero_is_reported_as_not_a_count(judge):
    (claim,) = judge("Parameters: 0")["claims"]
    assert claim["explanation"] == "0 is not a count."

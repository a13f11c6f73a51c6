"""Kinds of faults come from what was found, not from the words in which it is told."""

from __future__ import annotations

import ast
from fractions import Fraction
from pathlib import Path

import pytest
from msgspec.structs import replace
from report_runs import claim_rows
from sites import ONE_JOB

from cardproof.build import audit
from cardproof.core.measurements import Reproduction
from cardproof.core.settings import Settings
from cardproof.judge import checks
from cardproof.judge.checks._network import mismatch_reason
from cardproof.judge.discrepancies import DISCREPANCIES, discrepancies_of
from cardproof.measure.explain.candidates import ways
from cardproof.render.functions.audit_report import summarize

FOUND = Reproduction("flops", 100, 100, True)


@pytest.mark.parametrize(
    ("changes", "faults"),
    [
        ({"input": (224, 285)}, ("non-square",)),
        ({"input": (299, 299)}, ("other-size",)),
        ({"counted": ("batch norm twice", "adaptive average pooling (its additions)")}, ("batch-norm", "pooling")),
        ({"counted": ("layer and group norm five times",), "left_out": ("classifier",)}, ("norms", "no-classifier")),
        ({"left_out": ("attention products", "convolution subclasses")}, ("no-attention", "no-subclasses")),
        ({"factor": Fraction(1, 2)}, ("factor",)),
        ({"field": "parameters", "classes": 1001}, ("classes",)),
        ({"field": "parameters", "counted": ("buffers",)}, ("buffers",)),
        ({"note": "int(x * 1e6) truncates a float to one below the intended 66,350,000"}, ("truncated",)),
        ({"note": "the bytes of the state dict, not the parameters"}, ("other-way",)),
        ({"exact": False, "input": (224, 285), "counted": ("batch norm twice",)}, ("no-way",)),
    ],
)
def test_a_way_of_counting_shows_its_faults(changes, faults):
    assert discrepancies_of(replace(FOUND, **changes)) == faults
    assert set(faults) <= set(DISCREPANCIES)


def test_every_way_that_is_tried_shows_a_known_fault():
    for way in ways():
        counted = tuple(word for choice in way.choices for word in choice.counted)
        left_out = tuple(word for choice in way.choices for word in choice.left_out)
        assert set(discrepancies_of(replace(FOUND, counted=counted, left_out=left_out))) <= set(DISCREPANCIES)


ZOO = """
from torch import nn


class Zoo:
    def build(self, name):
        return nn.Sequential(nn.Conv2d(3, 400, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(400, 2))

    def preprocessing(self, name):
        return {"input_size": (3, 16, 16), "crop_pct": 0.9, "weights": "theirs.pth"}
"""
CARD = """Models:
- Name: net
  Metadata: {Parameters: 2111, FLOPs: 616000, Crop Pct: 0.8, Architecture: [ReLU]}
"""


def test_every_refuted_claim_of_an_audit_shows_a_fault(write):
    write("zoo.py", ZOO)
    run = audit([write("model-index.yml", CARD)], Settings(zoo="zoo.py:Zoo"), ONE_JOB)
    claims = claim_rows(run)
    assert {claim["field"]: claim["faults"] for claim in claims if claim["verdict"] == "refuted"} == {
        "Parameters": ("no-way",),
        "FLOPs": ("factor",),
        "Crop Pct": ("configuration",),
        "Architecture": ("absent-part",),
    }


def test_every_check_that_refutes_says_what_that_shows():
    named = set()
    for path in Path(checks.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            words = [keyword.value for keyword in node.keywords if keyword.arg == "discrepancies"]
            said = [*node.args, *(keyword.value for keyword in node.keywords)]
            if any(isinstance(value, ast.Constant) and value.value == "refuted" for value in said):
                assert words, f"{path.name}:{node.lineno}"
            elif getattr(node.func, "id", "") == "compare":
                words = node.args[7:]
            named |= {item.value for word in words if isinstance(word, ast.Tuple) for item in word.elts}
    assert named
    assert named <= set(DISCREPANCIES)


def test_a_report_counts_the_words_whatever_the_explanation_says():
    claim = {
        "field": "FLOPs", "verdict": "refuted", "model": "net", "file": "a.md", "line": 1, "stated": "2", "found": 1,
        "reason": "", "explanation": "Exactly twice another model, truncates a float", "faults": ["non-square"],
    }  # fmt: skip
    summary = dict.fromkeys(("confirmed", "cited", "disputed", "refuted", "unchecked"), 0)
    summary |= {"cards": 1, "models": 1, "explained": 1}
    found = summarize({"claims": [claim], "findings": [], "summary": summary, "method": None})
    assert [kind.name for kind in found.kinds] == [DISCREPANCIES["non-square"]]
    other = summarize({"claims": [{**claim, "faults": []}], "findings": [], "summary": summary, "method": None})
    assert [kind.name for kind in other.kinds] == ["Other"]


@pytest.mark.parametrize(
    ("weights", "parameters", "verdict"),
    [
        ("https://example.org/mine.pth", 100_000, "unchecked"),  # other weights, and another network
        ("https://example.org/mine.pth", 2410, "refuted"),  # other weights of the same network: the number is wrong
        ("https://example.org/theirs.pth", 100_000, "refuted"),  # the zoo's own weights: the number is wrong
        ("", 100_000, "refuted"),
    ],
)
def test_a_name_whose_weights_the_zoo_does_not_know_may_mean_another_network(write, weights, parameters, verdict):
    write("zoo.py", ZOO)
    card = f"Models:\n- Name: net\n  Weights: {weights or 'null'}\n  Metadata: {{Parameters: {parameters}}}\n"
    run = audit([write("model-index.yml", card)], Settings(zoo="zoo.py:Zoo"), ONE_JOB)
    (claim,) = claim_rows(run)
    assert claim["verdict"] == verdict
    if verdict == "unchecked":
        assert "theirs.pth" in claim["reason"]
        assert [finding.check for finding in run.findings] == ["another-network"]


def test_without_evidence_nothing_is_mistaken():
    class Context:
        evidence = None

    assert mismatch_reason(Context()) is None

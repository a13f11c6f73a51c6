"""Networks that cannot be run, or multiply in a way that is not counted: what can be judged is, the rest says why."""

from __future__ import annotations

import json

import pytest
from sites import ONE_JOB

from cardproof.build import audit
from cardproof.core.settings import Settings
from cardproof.report.terminal import json_of

ZOO = '''
"""Networks with one linear layer of 120 parameters that cannot be run on one image of three channels, or merge."""

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, name):
        super().__init__()
        self.name = name
        self.fc = nn.Linear(3, 30)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x, *more):
        x = x.mean((2, 3))
        if self.name == "grey":
            raise RuntimeError("one channel was expected")
        if self.name == "two":
            return self.fc(x) + more[0]
        if self.name == "reads":
            return self.fc(x) if x.sum().item() else x
        if self.name == "cyclic":
            answer = {"out": self.fc(x)}
            answer["self"] = answer
            return answer
        if self.name == "fourier":
            return self.fc(torch.fft.fft(x).real)
        return self.fc(x)


class Merging(Net):
    def fuse(self):
        self.fc = nn.Linear(3, 10)
        return self


class Zoo:
    def build(self, name):
        if name == "broken":
            raise TypeError("a part is missing")
        if name not in ("grey", "two", "reads", "cyclic", "fourier", "merging"):
            raise LookupError(f"no model {name}")
        return nn.Sequential(Merging(name)) if name == "merging" else Net(name)
'''


@pytest.fixture
def judge(write):
    """Return a function that judges the fields of one model."""
    write("zoo.py", ZOO)

    def _judge(name: str, fields: str):
        lines = "".join(f"    {line}\n" for line in fields.splitlines())
        card = write("card.md", f"<!--\nType: model-index\nModels:\n- Name: {name}\n  Metadata:\n{lines}-->\n")
        return json.loads(json_of(audit([card], Settings(zoo="zoo.py:Zoo"), ONE_JOB)))

    return _judge


def verdicts(report) -> list[tuple[str, str]]:
    return [(claim["field"], claim["verdict"]) for claim in report["claims"]]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("grey", "RuntimeError: one channel was expected"),
        ("two", "IndexError"),
        ("reads", "RuntimeError: Tensor.item()"),
    ],
)
def test_a_network_that_cannot_be_run_has_its_parameters_judged(judge, name, reason):
    report = judge(name, "Parameters: 120\nFLOPs: 90\nArchitecture: ReLU")
    assert verdicts(report) == [("Parameters", "confirmed"), ("FLOPs", "unchecked"), ("Architecture", "unchecked")]
    said = f"not measured: the network could not be run on one 3x224x224 image: {reason}"
    assert all(claim["reason"].startswith(said) for claim in report["claims"][1:])
    assert [(finding["check"], finding["severity"]) for finding in report["findings"]] == [("not-run", "note")]
    assert report["summary"]["exit"] == 0


def test_a_wrong_number_of_parameters_is_refuted_and_explained_without_a_run(judge):
    (claim,) = judge("two", "Parameters: 121")["claims"]
    assert (claim["verdict"], claim["found"], claim["explanation"]) == (
        "refuted",
        120,
        "Exactly the parameters, with buffers counted.",
    )
    (claim,) = judge("two", "Parameters: 7777")["claims"]
    assert claim["explanation"] == f"No known way of counting gives {claim['stated']}; some need a run of the network."


def test_an_output_that_contains_itself_is_no_obstacle(judge):
    assert verdicts(judge("cyclic", "Parameters: 120\nFLOPs: 90")) == [
        ("Parameters", "confirmed"),
        ("FLOPs", "confirmed"),
    ]


def test_multiply_adds_that_are_not_counted_are_named(judge):
    report = judge("fourier", "Parameters: 120\nFLOPs: 90")
    assert verdicts(report) == [("Parameters", "confirmed"), ("FLOPs", "unchecked")]
    assert report["claims"][1]["reason"] == "_fft_r2c ran, whose multiply-adds are not counted"


@pytest.mark.parametrize(
    ("fields", "form"), [("Parameters: 120\nFLOPs: 90", False), ("Parameters: 40\nFLOPs: 30", True)]
)
def test_a_network_is_right_as_it_is_and_in_merged_form(judge, fields, form):
    claims = judge("merging", fields)["claims"]
    assert [claim["verdict"] for claim in claims] == ["confirmed", "confirmed"]
    assert [claim["method"].endswith(", in merged form") for claim in claims] == [form, form]


def test_only_a_name_that_the_zoo_does_not_have_is_unknown(judge):
    unknown, broken = judge("none", "Parameters: 120"), judge("broken", "Parameters: 120")
    assert [finding["check"] for finding in unknown["findings"]] == ["unknown-model"]
    assert [finding["check"] for finding in broken["findings"]] == ["not-measured"]
    assert "TypeError: a part is missing" in broken["findings"][0]["message"]

"""Stated accuracies against evaluations: counts of images, at the precision that the card writes."""

from __future__ import annotations

import json
import sys

import pytest
from msgspec.structs import fields, replace

from cardproof.core.measurements import Counts, Environment, Evaluated, Evidence
from cardproof.core.settings import Settings
from cardproof.evidence.records import dump_record, load_record
from cardproof.judge.verdicts import judge
from cardproof.measure.gather import GatheredEvidence
from cardproof.plan.needed_evaluations import plan_evaluations
from cardproof.plan.recall import plan
from cardproof.read import read_cards
from cardproof.read.cited_results import read_cited

WHERE = Environment("2026-11-25T05:00:00Z", 1.0, "cpu", "3.11", "2.14", "res2next 1", "x86_64")
COUNTS = Counts((1, 8, 8), (1, 10), 10, 0, 10, 40, 10, 1, None, {}, "net:Net")
CARD = """<!--
Type: model-index
Models:
- Name: net
  Results:
  - Task: Image Classification
    Dataset: {dataset}
    Metrics:
      {metric}
-->
"""
CITED = """Sources:
- {Title: Paper, URL: https://example.org, Retrieved: 2026-11-01, Dataset: ImageNet,
   Metrics: [Top 1 Accuracy], Values: {net: [78.24]}}
"""


def evaluated(dataset: str = "Digits", images: int = 360, top1: int = 353, top5: int = 360) -> Evaluated:
    return Evaluated(
        dataset=dataset,
        split="test",
        images=images,
        top1=top1,
        top5=top5,
        top1_interval=(0.9604, 0.9906),
        top5_interval=(0.9894, 1.0),
        loss=0.07,
        calibration_error=0.01,
        close_calls=0,
        classes=("0", "1"),
        confusion=("100 1", "2 98"),
        weights="net-12345678.safetensors",
        weights_digest="sha256:12345678",
        data_digest="sha256:1",
        inputs=(("method", "evaluation/1"), ("weights", "net-12345678.safetensors")),
        environment=WHERE,
    )


@pytest.fixture
def judged(write):
    """Return a function that judges one metric of one model with an evaluation on record."""

    def _judged(metric: str, dataset: str = "Digits", result: Evaluated | None = None, reason: str = ""):
        reading = read_cards([write("card.md", CARD.format(metric=metric, dataset=dataset))])
        needs = plan(reading)
        (need,) = needs.values()
        results = (result,) if result else ()
        found = Evidence("net", "res2next", "net", "key", COUNTS, (), None, None, WHERE, evaluations=results)
        known = GatheredEvidence({need: found}, unevaluated={(need, name): reason for name in need.datasets if reason})
        verdicts = judge(reading, needs, known, Settings(), read_cited(write("cited.yml", CITED)))
        return verdicts.judgements["card.md"][0], verdicts.findings["card.md"]

    return _judged


@pytest.mark.parametrize(
    ("stated", "verdict"),
    [
        ("98.06%", "confirmed"),  # 353 of 360 = 98.0556 %
        ("98.1%", "confirmed"),
        ("98%", "confirmed"),
        ("98.056%", "confirmed"),
        ("0.9806", "confirmed"),
        ("98.05%", "refuted"),
        ("98.07%", "refuted"),
        ("98.33%", "refuted"),
        ("0.9833", "refuted"),
        ("0%", "refuted"),
    ],
)
def test_an_accuracy_is_compared_at_the_precision_written(judged, stated, verdict):
    judgement, _ = judged(f"Top 1 Accuracy: {stated}", result=evaluated())
    assert (judgement.verdict, judgement.detail) == (verdict, "353 of 360 images")


def test_a_refuted_accuracy_says_the_difference_in_images_and_the_interval(judged):
    judgement, (finding,) = judged("Top 1 Accuracy: 98.33%", result=evaluated())
    assert judgement.difference == "−1 image (−0.27 points)"
    assert "353 of 360 images are right" in (judgement.explanation or "")
    assert "within the 95% interval of the measurement, 96.04 to 99.06%" in (judgement.explanation or "")
    assert (finding.place.line, finding.check, finding.severity) == (9, "results", "error")


def test_a_value_outside_the_interval_is_of_other_weights(judged):
    judgement, _ = judged("Top 1 Accuracy: 90.00%", result=evaluated())
    assert judgement.difference == "+29 images (+8.06 points)"
    assert "outside the 95% interval" in (judgement.explanation or "")
    assert "these are other weights" in (judgement.explanation or "")


@pytest.mark.parametrize(
    ("stated", "fixed"), [("98.33%", "98.06%"), ("'98.3%'", "'98.1%'"), ("0.9833", "0.9806"), ("98.33", "98.06")]
)
def test_a_fix_writes_the_measured_value_in_the_style_of_the_card(judged, stated, fixed):
    judgement, _ = judged(f"Top 1 Accuracy: {stated}", result=evaluated())
    assert judgement.fix is not None
    assert judgement.fix.text == fixed


def test_top_5_is_judged_by_its_own_count(judged):
    assert judged("Top 5 Accuracy: 100.00%", result=evaluated())[0].verdict == "confirmed"
    assert judged("Top 5 Accuracy: 98.06%", result=evaluated())[0].verdict == "refuted"


@pytest.mark.parametrize("name", ["ImageNet", "ImageNet-1k", "imagenet_1k", "ILSVRC 2012", "ILSVRC2012"])
def test_a_data_set_is_known_by_all_its_names(judged, name):
    result = evaluated("ImageNet", 50_000, 39_119, 46_952)  # timm's evaluation: 78.238 and 93.904 %
    assert judged("Top 1 Accuracy: 78.24%", name, result)[0].verdict == "confirmed"


def test_without_an_evaluation_a_named_source_is_cited_under_any_name_of_the_data_set(judged):
    judgement, findings = judged("Top 1 Accuracy: 78.24%", "ImageNet-1k", reason="not evaluated: no images here")
    assert (judgement.verdict, judgement.reason) == ("cited", "not evaluated: no images here")
    assert not findings


def test_without_evaluation_and_source_the_reason_says_what_is_missing(judged):
    judgement, _ = judged("Top 1 Accuracy: 98.06%", reason="not evaluated: needs the weights (--weights)")
    assert judgement.verdict == "unchecked"
    assert judgement.reason == "not evaluated: needs the weights (--weights); and no cited source"


def test_an_unknown_data_set_is_unchecked_and_named(judged):
    judgement, _ = judged("Top 1 Accuracy: 98.06%", "My Photos", evaluated())
    assert judgement.verdict == "unchecked"
    assert "'My Photos'" in judgement.reason


def test_an_evaluation_that_was_asked_for_and_failed_is_an_error_at_the_claim(judged):
    _, (finding,) = judged("Top 1 Accuracy: 98.06%", reason="evaluating failed: CorruptImage: a.JPEG")
    assert (finding.severity, finding.check, finding.place.line) == ("error", "results", 9)
    assert "CorruptImage: a.JPEG" in finding.message


def test_a_record_with_results_is_read_as_it_was_written(tmp_path):
    evidence = Evidence("net", "z", "net", "k", None, (), None, None, WHERE, evaluations=(evaluated(),))
    evidence = replace(evidence, outdated=(evaluated(top1=1),))
    path = tmp_path / "net.json"
    path.write_text(dump_record(evidence))
    assert _evidence(load_record(path)) == evidence


def test_a_record_from_before_there_were_results_is_still_good(tmp_path):
    from cardproof.core.json import dump_sealed

    evidence = Evidence("net", "z", "net", "k", None, (), None, None, WHERE)
    record = json.loads(dump_record(evidence))
    for name in ("schema", "seal", "evaluations", "outdated", "recipe"):
        record.pop(name)
    path = tmp_path / "net.json"
    path.write_text(dump_sealed("cardproof-evidence/1", record))
    assert _evidence(load_record(path)) == evidence


@pytest.fixture
def planned(write, tmp_path):
    """Return a function that plans the evaluation of one model with a record of an earlier one."""

    def _planned(recorded: Evaluated | None, network: str = "sha256:n", weights: str | None = None):
        reading = read_cards([write("card.md", CARD.format(metric="Top 1 Accuracy: 98.06%", dataset="digits"))])
        (need,) = plan(reading).values()
        need = replace(need, weights="net-12345678.pth")
        records = {}
        if recorded:
            records[need] = Evidence("net", "z", "net", "k", None, (), None, None, WHERE, evaluations=(recorded,))
        folder = tmp_path / "weights"
        folder.mkdir(exist_ok=True)
        if weights is not None:
            (folder / "net-12345678.pth").write_text(weights)
        settings = Settings(zoo="zoo.py:zoo", weights=folder)
        return need, plan_evaluations([need], records, {"net": network}, settings, {need})

    return _planned


def test_weights_and_data_that_are_here_are_evaluated_once(planned):
    need, first = planned(None, weights="w")
    (job,) = first.jobs
    assert (job.dataset, job.weights.name) == ("Digits", "net-12345678.pth")
    recorded = replace(evaluated(), inputs=job.inputs)
    need, second = planned(recorded, weights="w")
    assert (second.jobs, second.valid[need], second.outdated[need]) == ([], (recorded,), ())


def test_missing_images_of_a_package_are_named_with_the_command_that_installs_it(planned, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    need, found = planned(None, weights="w")
    assert found.jobs == []
    assert "pip install 'cardproof[data]'" in found.reasons[need, "Digits"]


def test_a_record_is_valid_where_the_weights_are_not(planned, tmp_path):
    need, first = planned(None, weights="w")
    recorded = replace(evaluated(), inputs=first.jobs[0].inputs)
    (tmp_path / "weights" / "net-12345678.pth").unlink()
    need, second = planned(recorded)
    assert (second.jobs, second.valid[need], second.reasons) == ([], (recorded,), {})


def test_a_changed_network_makes_a_result_outdated_and_the_reason_says_what_changed(planned, tmp_path):
    need, first = planned(None, weights="w")
    recorded = replace(evaluated(), inputs=first.jobs[0].inputs)
    need, again = planned(recorded, network="sha256:other", weights="w")
    assert (len(again.jobs), again.outdated[need]) == (1, (recorded,))
    (tmp_path / "weights" / "net-12345678.pth").unlink()
    need, stuck = planned(recorded, network="sha256:other")
    assert (stuck.jobs, stuck.valid[need]) == ([], ())
    assert "since then the network changed" in stuck.reasons[need, "Digits"]
    assert "weights net-12345678.pth" in stuck.reasons[need, "Digits"]


def test_a_name_that_looks_like_a_digest_but_is_not_one_is_not_trusted(planned, tmp_path):
    need, first = planned(None, weights="one")
    recorded = replace(evaluated(), inputs=first.jobs[0].inputs)
    need, again = planned(recorded, weights="two")
    assert (len(again.jobs), again.valid[need]) == (1, ())


def test_other_weights_than_the_cards_are_not_evaluated_for_it(planned, tmp_path):
    from cardproof.plan.needed_evaluations import local_weights

    need, _ = planned(None)
    other = tmp_path / "other.pth"
    other.write_text("x")
    assert local_weights("zoo.py:zoo", need, other) is None


def test_a_result_that_is_measured_again_and_is_equal_keeps_its_time():
    from cardproof.measure.gather import _unless_equal

    old = evaluated()
    later = replace(WHERE, measured="2031-01-01T00:00:00+00:00", seconds=99.0)
    assert _unless_equal(replace(old, environment=later), old) is old
    for new in (replace(old, top1=352, environment=later), replace(old, environment=replace(later, torch="9"))):
        assert _unless_equal(new, old) is new


def test_a_forced_result_is_not_repeated_with_other_weights_than_the_cards(planned, tmp_path, monkeypatch):
    from cardproof.plan import needed_evaluations
    from cardproof.plan.options import Force

    need, first = planned(None, weights="w")
    recorded = replace(evaluated(), inputs=first.jobs[0].inputs)
    record = Evidence("net", "z", "net", "k", None, (), None, None, WHERE, evaluations=(recorded,))
    monkeypatch.setattr(needed_evaluations, "local_weights", lambda *_: tmp_path / "other.pth")
    forced = Force(frozenset({"results"}))
    found = plan_evaluations([need], {need: record}, {"net": "sha256:n"}, Settings(zoo="zoo.py:zoo"), {need}, forced)
    assert (found.jobs, found.valid[need]) == ([], (recorded,))


def test_weights_without_a_digest_in_their_name_are_known_by_content(planned, tmp_path):
    from cardproof.plan.needed_evaluations import inputs_of

    need, _ = planned(None)
    path = tmp_path / "mine.safetensors"
    path.write_text("a")
    first = inputs_of(need, "Digits", "z", "n", path)
    other = tmp_path / "b"
    other.mkdir()
    (other / "mine.safetensors").write_text("b")
    assert first != inputs_of(need, "Digits", "z", "n", other / "mine.safetensors")


def _evidence(record: Evidence) -> Evidence:
    """Return a record without the names of what it depends on."""
    return Evidence(**{part.name: getattr(record, part.name) for part in fields(Evidence)})

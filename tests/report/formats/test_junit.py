"""JUnit XML, read back by a reader of its own: a test for each claim, a failure for each error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from junitparser import Failure, JUnitXml, Skipped
from report_runs import judged, refuted, run_of

from cardproof.build import audit
from cardproof.core.settings import Settings
from cardproof.core.types import Finding, Place
from cardproof.report.formats import texts_of
from cardproof.report.terminal import summary

BLOCK = {"file": "card.md", "line": 3, "model": None, "device": "cpu", "message": "", "status": "pass"}


def junit(run) -> JUnitXml:
    return JUnitXml.fromstring(texts_of(run, ["junit"])["junit"].encode())


def cases(run) -> dict[str, list]:
    return {case.name: case.result for suite in junit(run) for case in suite}


def test_a_verdict_is_the_outcome_of_a_test():
    finding, judgement = refuted()
    others = (judged("confirmed", "Parameters", 1), judged("cited", "Top 1", 2), judged("disputed", "Top 5", 3))
    unchecked = judged("unchecked", "Layers", 4, "no zoo was named (--zoo)")
    found = cases(run_of(finding, judgements=(judgement, *others, unchecked)))
    assert {name: [type(one) for one in result] for name, result in found.items()} == {
        "tiny: FLOPs": [Failure],
        "tiny: Parameters": [],
        "tiny: Top 1": [],
        "tiny: Top 5": [],
        "tiny: Layers": [Skipped],
    }
    assert "Off by one." in found["tiny: FLOPs"][0].text
    assert found["tiny: Layers"][0].message == "unchecked: no zoo was named (--zoo)"


def test_the_counts_of_the_report_are_those_of_its_tests():
    finding, judgement = refuted()
    error = Finding(Place("other.md", 0, 0), "encoding", "error", "is not UTF-8")
    warning = Finding(Place("card.md", 9, 1), "closed-site", "warning", "this site closed")
    report = junit(run_of(finding, error, warning, judgements=(judgement, judged("unchecked", "Layers", 4, "why"))))
    assert (report.tests, report.failures, report.errors, report.skipped) == (3, 2, 0, 1)
    (card, other) = report
    assert (card.name, card.tests, card.failures) == ("card.md", 2, 1)
    assert (other.name, other.tests, other.failures) == ("other.md", 1, 1)
    assert "card.md:9:1: warning [closed-site] this site closed" in next(iter(card._elem.iter("system-out"))).text


def test_a_claim_that_the_baseline_knows_is_skipped():
    finding, judgement = refuted(severity="note", settled="known", hint="known by the baseline")
    (result,) = cases(run_of(finding, judgements=(judgement,))).values()
    assert [type(one) for one in result] == [Skipped]
    assert "known by the baseline" in result[0].message


def test_each_model_that_inherits_a_value_has_its_own_outcome():
    first, one = refuted(model="tiny")
    second, two = refuted(model="tiny_16")
    confirmed = judged("confirmed", "FLOPs", 15, model="tiny_8")
    found = cases(run_of(second, first, judgements=(one, two, confirmed)))
    assert found["tiny: FLOPs"][0].message.startswith("FLOPs of tiny: card says")
    assert found["tiny_16: FLOPs"][0].message.startswith("FLOPs of tiny_16: card says")
    assert found["tiny_8: FLOPs"] == []


def test_each_of_thousands_of_models_that_inherit_a_value_finds_its_own_finding():
    pairs = [refuted(model=f"net_{number}") for number in range(4000)]
    run = run_of(*(finding for finding, _ in pairs), judgements=tuple(judgement for _, judgement in pairs))
    found = cases(run)
    assert len(found) == 4000
    for number in range(4000):
        assert found[f"net_{number}: FLOPs"][0].message.startswith(f"FLOPs of net_{number}: card says")


def test_blocks_of_snippets_are_tests_and_a_failed_one_is_the_finding_that_says_why():
    failed = {**BLOCK, "status": "fail", "message": "NameError"}
    skipped = {**BLOCK, "status": "not-run", "message": "no GPU"}
    finding = Finding(Place("card.md", 3, 1), "snippets", "error", "NameError: name 'x' is not defined")
    report = junit(run_of(finding, blocks=(BLOCK, failed, skipped)))
    assert (report.tests, report.failures, report.skipped) == (3, 1, 1)


def test_published_cards_and_all_shared_cases_fail_once_for_each_error(shared, monkeypatch):
    monkeypatch.chdir(shared)
    run = audit([Path("corpora"), Path("cases")], Settings())
    facts = summary(run)
    report = junit(run)
    assert (report.failures, report.errors) == (facts["errors"], 0)
    assert report.skipped == facts["unchecked"]
    assert report.tests == facts["claims"] + facts["errors"] - facts["refuted"]


def test_two_tests_never_have_one_name():
    names = [case.name for suite in junit(run_of(blocks=(BLOCK, BLOCK, BLOCK))) for case in suite]
    assert len(set(names)) == len(names) == 3


def test_other_formats_do_not_import_the_library_of_this_one():
    code = """if True:
        import sys
        from cardproof.report.formats import texts_of
        from cardproof.report.finished_run import Run
        texts_of(Run(), ["json", "sarif", "github", "markdown"])
        print("junitparser" in sys.modules)
    """
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_text_of_a_card_is_text_of_valid_xml(message, hint):
    finding = Finding(Place("card.md", 1, 1), "flops", "error", message, hint)
    (suite,) = junit(run_of(finding))
    (case,) = suite
    assert case.is_failure

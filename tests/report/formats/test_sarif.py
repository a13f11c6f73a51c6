"""SARIF: valid by the published schema, with places, fixes and fingerprints that code scanning can use."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft4Validator
from report_runs import refuted, run_of
from sites import CARD

from cardproof.build import audit
from cardproof.commands.edit import apply_fixes
from cardproof.core.settings import Settings
from cardproof.core.types import Finding, Fix, Place
from cardproof.judge.checks import all_checks
from cardproof.report.formats import texts_of

SCHEMA = json.loads(Path(__file__).with_name("sarif-2.1.0-rtm.5.json").read_text(encoding="utf-8"))
VALIDATOR = Draft4Validator(SCHEMA)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
findings = st.builds(
    Finding,
    st.builds(Place, st.just("card.md"), st.integers(0, 9), st.integers(0, 9), st.none() | st.integers(0, 20)),
    st.sampled_from(["flops", "closed-site", "a-word-of-no-check"]),
    st.sampled_from(["error", "warning", "note"]),
    texts,
    st.none() | texts,
    st.none() | st.builds(Fix, st.integers(1, 9), st.integers(0, 9), st.integers(9, 20), texts, st.booleans()),
    settled=st.sampled_from(["", "ignored", "known"]),
)


def sarif(run) -> dict:
    document = json.loads(texts_of(run, ["sarif"])["sarif"])
    VALIDATOR.validate(document)
    (one,) = document["runs"]
    return one


@given(st.lists(findings, max_size=4))
def test_any_findings_are_valid_sarif_with_places_that_count_from_one(found):
    run = sarif(run_of(*found))
    assert len(run["results"]) == len(found)
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert len(set(rules)) == len(rules)
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        region = result["locations"][0]["physicalLocation"]["region"]
        assert min(region.values()) >= 1
        assert region.get("endColumn", region["startColumn"]) >= region["startColumn"]
    prints = [tuple(result["partialFingerprints"].values()) for result in run["results"]]
    assert len(set(prints)) == len(prints)


def test_published_cards_and_all_shared_cases_are_valid_sarif(shared, monkeypatch):
    monkeypatch.chdir(shared)
    run = audit([Path("corpora"), Path("cases")], Settings())
    results = sarif(run)["results"]
    assert [one["ruleId"] for one in results] == [finding.check for finding in run.findings]
    assert len(results) > 100
    rules = sarif(run)["tool"]["driver"]["rules"]
    assert all(rule["help"]["text"] for rule in rules)


def test_every_check_is_a_rule_with_its_page_as_help():
    rules = {rule["id"]: rule for rule in sarif(run_of())["tool"]["driver"]["rules"]}
    assert set(rules) == {check.name for check in all_checks()}
    assert "A multiply-add counts once." in rules["flops"]["help"]["markdown"]
    assert rules["flops"]["shortDescription"]["text"] == (
        "FLOPs: the network's multiply-adds at the card's image size."
    )


def test_a_word_of_a_check_is_a_rule_with_the_help_of_that_check():
    finding = Finding(Place("card.md", 1, 1), "closed-site", "warning", "gone")
    rules = {rule["id"]: rule for rule in sarif(run_of(finding))["tool"]["driver"]["rules"]}
    assert rules["closed-site"]["help"] == rules["links"]["help"]


def test_applying_the_fixes_of_sarif_is_what_fix_does(write):
    text = "﻿" + CARD.replace("\n", "\r\n").replace("A network", "Ein Netz ☃ 𝔘")
    text = text.replace("Image Size: '32'", "Image Size: '32'\r\n    Epochs: 1e-5")
    path = write("card.md", text)
    run = audit([path], Settings())
    run.site_findings.append(refuted(line=15)[0])
    found = [finding for finding in run.findings if finding.fix and finding.fix.column > 0]
    assert {finding.check for finding in found} == {"flops", "yaml-1.1"}
    body = text.removeprefix("﻿")
    lines = body.split("\n")
    results = [result for result in sarif(run)["results"] if "fixes" in result]
    assert len(results) == len(found)
    for result in results:
        (change,) = result["fixes"][0]["artifactChanges"]
        (replacement,) = change["replacements"]
        region = replacement["deletedRegion"]
        assert region["startLine"] == region["endLine"]
        line = lines[region["startLine"] - 1]
        start, end = region["startColumn"] - 1, region["endColumn"] - 1
        lines[region["startLine"] - 1] = line[:start] + replacement["insertedContent"]["text"] + line[end:]
    assert "\n".join(lines) == apply_fixes(body, [finding.fix for finding in found])


def test_a_byte_order_mark_is_reported_at_the_first_character_and_brings_no_fix(write):
    run = audit([write("card.md", "﻿" + CARD)], Settings())
    (result,) = [one for one in sarif(run)["results"] if one["ruleId"] == "byte-order-mark"]
    assert result["locations"][0]["physicalLocation"]["region"] == {"startLine": 1, "startColumn": 1}
    assert "fixes" not in result


def test_a_fingerprint_stays_when_lines_move_and_changes_with_what_is_found():
    def prints(*findings):
        return [one["partialFingerprints"]["cardproofFinding/v1"] for one in sarif(run_of(*findings))["results"]]

    assert prints(refuted(line=15)[0]) == prints(refuted(line=99)[0])
    assert prints(refuted(stated="1")[0]) != prints(refuted(stated="2")[0])
    said = [Finding(Place("card.md", 1, 1), "results", "warning", f"77.9, line {line}") for line in (70, 71)]
    assert prints(said[0]) == prints(said[1])


def test_files_are_named_from_the_root_of_the_repository(write, monkeypatch):
    card = write("cards/a b#ü.md", "﻿" + CARD)
    (card.parents[1] / ".git").mkdir()
    monkeypatch.chdir(card.parent)
    (result,) = sarif(audit([Path(card.name)], Settings()))["results"]
    place = result["locations"][0]["physicalLocation"]["artifactLocation"]
    assert place["uriBaseId"] == "%SRCROOT%"
    assert "#" not in place["uri"]
    assert unquote(place["uri"]) == "cards/a b#ü.md"


def test_a_file_outside_of_the_repository_has_its_whole_address(write, monkeypatch):
    card = write("card.md", "﻿" + CARD)
    inner = card.parent / "inner"
    inner.mkdir()
    monkeypatch.chdir(inner)
    (result,) = sarif(audit([card], Settings()))["results"]
    place = result["locations"][0]["physicalLocation"]["artifactLocation"]
    assert place == {"uri": card.as_uri()}


def test_what_is_meant_to_be_there_is_suppressed_and_says_why():
    finding, _ = refuted(severity="note", settled="ignored", hint="ignored here: as the paper", fix=None)
    known, _ = refuted(line=16, severity="note", settled="known", hint="known by the baseline")
    first, second = sarif(run_of(finding, known))["results"]
    assert first["suppressions"] == [{"kind": "inSource", "justification": "ignored here: as the paper"}]
    assert second["suppressions"] == [{"kind": "external", "justification": "known by the baseline"}]


def test_a_link_of_a_card_is_no_link_of_the_message():
    finding = Finding(Place("card.md", 1, 1), "text", "warning", "says [click](https://example.org)")
    (result,) = sarif(run_of(finding))["results"]
    assert "](" not in result["message"]["text"].replace("\\](", "")


@pytest.mark.parametrize(("finding", "status"), [([], 0), ([refuted()[0]], 1)])
def test_the_exit_status_is_written(finding, status):
    assert sarif(run_of(*finding))["invocations"] == [{"executionSuccessful": True, "exitCode": status}]


def test_the_same_findings_are_the_same_bytes():
    run, again = run_of(refuted()[0]), run_of(refuted()[0])
    again.seconds = 12.0
    assert texts_of(run, ["sarif"]) == texts_of(again, ["sarif"])

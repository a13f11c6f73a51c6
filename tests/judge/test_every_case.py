"""Every shared case of a card, table or header, by the lines of its EXPECT.txt."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from conftest import SHARED
from msgspec.structs import replace
from sites import ONE_JOB, copy_case, settings_of

from cardproof.build import audit, render
from cardproof.core.settings import SnippetSettings
from cardproof.report.terminal import json_of

CASES = sorted(path.parent.name for path in (SHARED / "cases" / "cards").glob("*/EXPECT.txt"))
RENDERED = {"38", "56"}
"""Cases about templates: audits do not render."""
ELSEWHERE = {
    "20": "needs an evaluation as evidence: test_20 in test_more_cases.py",
    "34": "states facts and no verdict: test_34 in test_more_cases.py",
    "37": "is about an edit: test_37 in test_edits.py",
    "47": "runs its snippets: test_47 in test_shared_cases.py",
    "49": "runs its snippets: test_49 in test_shared_cases.py",
    "50": "has two runs, with and without a declaration: two tests in test_shared_cases.py",
    "53": "is about an export: test_53 in test_more_cases.py",
    "59": "compares two runs of one page: two tests in test_shared_cases.py",
}
"""Cases whose EXPECT.txt gives no verdict of one run of a card alone."""

pytestmark = pytest.mark.skipif(not CASES, reason="../shared is absent")


def verdict(text: str) -> str:
    return re.search(r"\b(PASS|WARN|FAIL)\b", text)[1]


def places(text: str) -> set[tuple[str, int]]:
    return {(file, int(line)) for file, line in re.findall(r"\b([\w-]+\.md):(\d+)", text)}


def report_of(folder: Path, number: str) -> dict:
    if number in RENDERED:
        return json.loads(json_of(render(settings_of(folder, snippets=SnippetSettings(run=False)), ONE_JOB)))
    names = ("card.md", "model-index.yml", "howto.md", "a.md", "b.md", "README.md")
    paths = [folder / name for name in names if (folder / name).is_file()]
    return json.loads(json_of(audit(paths, settings_of(folder), ONE_JOB)))


@pytest.mark.parametrize("name", [name for name in CASES if name[:2] not in ELSEWHERE])
def test_a_case_has_the_verdict_and_the_places_of_its_expectation(shared, tmp_path, monkeypatch, name):
    expected = (shared / "cases" / "cards" / name / "EXPECT.txt").read_text()
    folder = copy_case(shared, name, tmp_path)
    monkeypatch.chdir(folder)
    report = report_of(folder, name[:2])
    severities = {finding["severity"] for finding in report["findings"]}
    wanted = verdict(expected)
    if wanted == "FAIL" and name[:2] != "29":  # there, EXPECT.txt leaves the choice: FAIL/WARN
        assert "error" in severities
        assert report["summary"]["exit"] == 1
    elif wanted == "PASS":
        assert severities <= {"note"}
        assert report["summary"]["exit"] == 0
    else:
        assert "warning" in severities
    shown = {(f["file"], f["line"]) for f in report["findings"]}
    said = " ".join(f"{f['message']} {f['hint']}" for f in report["findings"])
    for file, line in places(expected):
        assert (file, line) in shown or re.search(rf"(?:line |{re.escape(file)}:){line}\b", said), (file, line)


def test_every_case_has_a_test_of_its_own_for_what_its_expectation_says_in_prose():
    assert len(CASES) >= 40
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    named = set(re.findall(r"def test_(\d\d)_", tests)) | set(re.findall(r'"(\d\d)", "(?:FLOPs|Parameters)"', tests))
    assert {name[:2] for name in CASES} - named == set()


# every shared case of a table or header as people publish them, by the lines of its EXPECT.txt


TABLES = sorted(path.parent.name for path in (SHARED / "cases" / "tables").glob("*/EXPECT.txt"))
TABLES_ELSEWHERE = {"30": "is about an export: tests/report/export"}
"""Cases whose EXPECT.txt says nothing about one audit."""
COUNTED = ("FLOPs", "MACs")
VERDICTS = ("confirmed", "refuted", "disputed")

OFF_BY = {"08": 2}
"""Lines that EXPECT.txt of a case counts, and its README does not have."""


def expectation(name: str) -> list[tuple[str, str]]:
    """Return the lines ``key: value`` of a case, in order."""
    lines = (SHARED / "cases" / "tables" / name / "EXPECT.txt").read_text().splitlines()
    return [(key, value.strip()) for key, _, value in (line.partition(":") for line in lines)]


def kind_of_count(field: str) -> str:
    """Return the kind of count that a field states, whatever it is called."""
    plain = field.lower()
    if "acc" in plain or "top" in plain:
        return "Top 5 Accuracy" if "5" in plain else "Top 1 Accuracy"
    if "param" in plain:
        return "Parameters"
    return "MACs" if re.search(r"macs|madds|mult", plain) else "FLOPs"


def named(text: str, claims: list[dict]) -> list[list[dict]]:
    """Return the claims of each ``MODEL/FIELD[@LINE]`` of a line of EXPECT.txt."""
    found = []
    for model, field, line in re.findall(r"(\S+)/(Top \d Accuracy|\w+)(?:@(\d+))?", text):
        mine = [c for c in claims if c["model"] == model and kind_of_count(c["field"]) == field]
        if not mine and field in COUNTED:  # a table that has only one of both
            mine = [c for c in claims if c["model"] == model and kind_of_count(c["field"]) in COUNTED]
        found.append([c for c in mine if not line or c["line"] == int(line)])
        assert found[-1], f"no claim {model}/{field}" + (f" on line {line}" if line else "")
    return found


def report_of_table(folder: Path, zoo: str | None) -> dict:
    names = ("README.md", "card.md", "metafile.yml", "results.csv")
    paths = [folder / name for name in names if (folder / name).is_file()]
    return json.loads(json_of(audit(paths, replace(settings_of(folder), zoo=zoo), ONE_JOB)))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in TABLES if name[:2] not in TABLES_ELSEWHERE])
def test_a_table_is_read_and_judged_as_its_case_expects(tmp_path, monkeypatch, name):
    folder = tmp_path / name
    shutil.copytree(SHARED / "cases" / "tables" / name, folder)
    monkeypatch.chdir(folder)
    lines = expectation(name)
    if missing := OFF_BY.get(name[:2]):
        lines = [(key, re.sub(r"@(\d+)", lambda at: f"@{int(at[1]) - missing}", value)) for key, value in lines]
    report = report_of_table(folder, dict(lines).get("zoo"))
    claims, findings = report["claims"], report["findings"]
    severities = [finding["severity"] for finding in findings]
    said = [f"{f['message']} {f['hint'] or ''}" for f in findings]
    for key, value in lines:
        if key in ("errors", "warnings"):
            assert severities.count(key[:-1]) == int(value), findings
        elif key in VERDICTS and value == "none":
            assert [c for c in claims if c["verdict"] == key] == []
        elif key in VERDICTS:
            for mine in named(value, claims):
                assert key in {c["verdict"] for c in mine}, mine
        elif key == "explains":
            claim, _, words = value.partition(" ")
            (mine,) = named(claim, claims)
            about = [text for text in said if claim.partition("/")[0] in text]
            texts = [c[part] or "" for c in mine for part in ("explanation", "reason", "method")] + about
            assert any(words.lower() in text.lower() for text in texts), texts
        elif key == "findings":
            for check, line in re.findall(r"([\w-]+)@(\d+)", value):
                assert int(line) in {f["line"] for f in findings}, (check, line, findings)

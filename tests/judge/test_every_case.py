"""Every shared case by its EXPECT.txt: its verdict, the places that it names, and a test of its own for its prose."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from conftest import SHARED
from sites import ONE_JOB
from toys import copy_case, settings_of

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
    "47": "runs its snippets: test_47 in test_snippet_cases.py",
    "49": "runs its snippets: test_49 in test_snippet_cases.py",
    "50": "has two runs, with and without a declaration: two tests in test_snippet_cases.py",
    "53": "is about an export: test_53 in test_more_cases.py",
    "59": "compares two runs of one page: two tests in test_snippet_cases.py",
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

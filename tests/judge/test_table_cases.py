"""Every shared case of a table or header as people publish them, by the lines of its EXPECT.txt."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from conftest import SHARED
from msgspec.structs import replace
from sites import ONE_JOB
from toys import settings_of

from cardproof.build import audit
from cardproof.report.terminal import json_of

CASES = sorted(path.parent.name for path in (SHARED / "cases" / "tables").glob("*/EXPECT.txt"))
ELSEWHERE = {"30": "is about an export: tests/report/export"}
"""Cases whose EXPECT.txt says nothing about one audit."""
COUNTED = ("FLOPs", "MACs")
VERDICTS = ("confirmed", "refuted", "disputed")

OFF_BY = {"08": 2}
"""Lines that EXPECT.txt of a case counts, and its README does not have."""

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not CASES, reason="../shared is absent")]


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


def report_of(folder: Path, zoo: str | None) -> dict:
    names = ("README.md", "card.md", "metafile.yml", "results.csv")
    paths = [folder / name for name in names if (folder / name).is_file()]
    return json.loads(json_of(audit(paths, replace(settings_of(folder), zoo=zoo), ONE_JOB)))


@pytest.mark.parametrize("name", [name for name in CASES if name[:2] not in ELSEWHERE])
def test_a_table_is_read_and_judged_as_its_case_expects(tmp_path, monkeypatch, name):
    folder = tmp_path / name
    shutil.copytree(SHARED / "cases" / "tables" / name, folder)
    monkeypatch.chdir(folder)
    lines = expectation(name)
    if missing := OFF_BY.get(name[:2]):
        lines = [(key, re.sub(r"@(\d+)", lambda at: f"@{int(at[1]) - missing}", value)) for key, value in lines]
    report = report_of(folder, dict(lines).get("zoo"))
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

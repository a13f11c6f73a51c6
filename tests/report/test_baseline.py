"""Baselines that cannot be read are bad input, in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from report_runs import run_of
from sites import cardproof

from cardproof.core.errors import InputError
from cardproof.core.types import Finding, Place
from cardproof.report.baseline import FORMAT, apply_baseline, read_baseline, text_of_baseline


def with_row(row: str) -> bytes:
    return f'{{"format": "{FORMAT}", "findings": [{row}]}}'.encode()


BROKEN = {
    "brackets": b"[" * 100_000,
    "utf-16": "{}".encode("utf-16"),
    "a list": b"[]",
    "another format": b'{"format": "other"}',
    "no rows": f'{{"format": "{FORMAT}"}}'.encode(),
    "rows of text": with_row('"a"'),
    "an infinite count": with_row('{"file": "a", "check": "b", "message": "c", "count": 1e999}'),
    "a list for a text": with_row('{"file": [], "check": "b", "message": "c", "count": 1}'),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_file_that_is_no_baseline_is_bad_input(tmp_path, content):
    (tmp_path / "baseline.json").write_bytes(content)
    with pytest.raises(
        InputError, match=r'this is not a baseline: a JSON object with "format": "cardproof-baseline/1"'
    ):
        read_baseline(tmp_path / "baseline.json")


def moved(lines: int) -> list[Finding]:
    message = f"top-1 is below that of b (77.9, line {70 + lines}; also other.md:{3 + lines}:5)"
    return [Finding(Place("a.md", 10 + lines, 3), "results", "warning", message)]


def test_a_finding_is_known_when_the_lines_that_its_message_names_move(tmp_path):
    (tmp_path / "known.json").write_text(text_of_baseline(run_of(*moved(0))))
    later = run_of(*moved(1))
    assert apply_baseline(later, read_baseline(tmp_path / "known.json")) == 0
    assert [finding.settled for finding in later.findings] == ["known"]


def test_a_baseline_whose_messages_have_lines_still_matches(tmp_path):
    row = {"file": "a.md", "check": "results", "message": moved(0)[0].message, "count": 1}
    (tmp_path / "known.json").write_text(json.dumps({"format": FORMAT, "findings": [row]}))
    assert apply_baseline(run_of(*moved(5)), read_baseline(tmp_path / "known.json")) == 0


TWICE = "    Parameters: 1\n"


def test_a_run_says_what_became_of_its_baseline(write, monkeypatch):
    card = write("cards/model-index.yml", f"Models:\n- Name: a\n  Metadata:\n{TWICE * 2}")
    audit = ("audit", "cards", "--baseline", str(Path("known.json").absolute()))
    assert "1 finding written to known.json" in cardproof(*audit, "--update-baseline").stderr
    monkeypatch.chdir("cards")
    elsewhere = cardproof("audit", ".", *audit[2:])
    monkeypatch.chdir("..")
    assert f"no finding matches: its paths are relative to {Path.cwd().as_posix()}; run there" in elsewhere.stderr
    card.write_text(f"Models:\n- Name: a\n  Metadata:\n{TWICE}")
    assert "1 known finding is gone; --update-baseline removes it" in cardproof(*audit).stderr

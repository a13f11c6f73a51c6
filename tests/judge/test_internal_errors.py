"""An exception inside one card, table, claim, check or pass is a finding there, and all else goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

import cardproof.judge.audit as audits
import cardproof.judge.verdicts as judging
import cardproof.read as reading
from cardproof.build import audit
from cardproof.commands.cli import main
from cardproof.core.errors import InputError, boundary
from cardproof.core.settings import Settings
from cardproof.core.types import Place
from cardproof.judge.checks import all_checks
from cardproof.plan import local_files, recall
from cardproof.read import tables
from cardproof.report.baseline import text_of_baseline

INDEX = "Models:\n- Name: net\n  Metadata: {Parameters: TBD, Tasks: Image Clasification}\n"
TABLE = "# A\n\n| Model | Params (M) |\n| --- | --- |\n| net | 24.1 |\n"
ERRORS = [ValueError("no"), OverflowError(), MemoryError(), RecursionError("deep"), KeyError("x"), AssertionError()]


def fail(error=None):
    """Return a function that fails, whatever it is called with."""

    def _fail(*_, **__):
        raise error or ZeroDivisionError("made for a test")

    return _fail


def internal(run):
    return [finding for finding in run.findings if finding.internal]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_exception_is_one_finding_with_the_name_of_the_check(error):
    found = []
    with boundary(found.append, Place("a.md", 3, 1), "flops", "in the check 'flops' of net"):
        raise error
    (finding,) = found
    assert finding.message.startswith(f"internal error in the check 'flops' of net: {type(error).__name__}")
    assert (finding.place.line, finding.check, finding.severity) == (3, "flops", "error")
    assert "report it" in finding.hint


@pytest.mark.parametrize("error", [KeyboardInterrupt(), InputError("a.md:1:1: no"), SystemExit(2)])
def test_what_ends_the_run_passes(error):
    with pytest.raises(type(error)), boundary(lambda _: None, Place("a.md", 1, 1), "reading", "in reading"):
        raise error


def test_a_long_error_is_cut_and_stands_on_one_line():
    found = []
    with boundary(found.append, Place("a.md", 1, 1), "reading", "in reading"):
        raise ValueError("a\nb" * 100_000)
    assert "\n" not in found[0].message
    assert len(found[0].message) < 500


@pytest.mark.parametrize(
    ("room", "name"),
    [
        (reading, "read_page"),
        (tables, "columns_of"),
        (tables, "_models"),
        (recall, "_need_of"),
        (local_files, "missing_files"),
        (judging, "subjects_of"),
        (judging, "judge_columns"),
        (judging, "set_aside_outvoted"),
        (judging, "set_aside_other_subjects"),
        (judging, "judge_claim"),
    ],
)
def test_whatever_fails_for_one_card_is_reported_and_the_other_is_judged(write, monkeypatch, room, name):
    works = getattr(room, name)

    def fails_for_one(*given, **options):
        if len(calls) < 1:
            calls.append(name)
            fail()()
        return works(*given, **options)

    calls = []
    write("a.md", TABLE)
    write("b.md", TABLE.replace("net", "other"))
    monkeypatch.setattr(room, name, fails_for_one)
    run = audit([Path()], Settings())
    assert any("ZeroDivisionError: made for a test" in finding.message for finding in internal(run))
    assert {finding.place.file for finding in internal(run)} == {"a.md"}
    assert run.exit == 2
    assert [one.claim.model for card in run.cards if card.file == "b.md" for one in card.full().claims] == ["other"]


def _with(check, **functions):
    """Return all checks, one of them with other functions."""
    return tuple(replace(one, **functions) if one.name == check else one for one in all_checks())


@pytest.mark.parametrize("function", ["check_model", "check_card"])
def test_a_check_that_fails_is_named_and_the_others_report(write, monkeypatch, function):
    monkeypatch.setattr(judging, "all_checks", lambda: _with("weights", **{function: fail()}))
    run = audit([write("model-index.yml", INDEX)], Settings())
    (finding,) = internal(run)
    assert "in the check 'weights'" in finding.message
    assert {"placeholder", "tasks"} <= {finding.check for finding in run.findings}


def test_a_claim_whose_check_fails_is_unchecked_with_the_reason(write, monkeypatch):
    monkeypatch.setattr(
        judging, "check_of", lambda _: replace(all_checks()[0], name="flops", judge=fail(), needs_run=False)
    )
    run = audit([write("model-index.yml", INDEX)], Settings())
    claims = run.cards[0].full().claims
    assert {claim.verdict for claim in claims} == {"unchecked"}
    assert all("internal error in the check 'flops' of net" in claim.reason for claim in claims)
    assert len(internal(run)) == len(claims)


def test_an_internal_error_is_never_ignored_and_never_known(write, monkeypatch):
    text = INDEX.replace("  Metadata", "  # cardproof: ignore[parameters] because\n  Metadata")
    monkeypatch.setattr(judging, "judge_claim", fail())
    run = audit([write("model-index.yml", text)], Settings())
    assert {finding.severity for finding in internal(run)} == {"error"}
    assert "internal error" not in text_of_baseline(run)


def test_the_last_resort_of_the_command_line_is_one_line(write, monkeypatch, capsys):
    write("a.md", TABLE)
    monkeypatch.setattr(audits, "judge", fail())
    monkeypatch.setattr(sys, "argv", ["cardproof", "audit", "a.md"])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert said.startswith("error: internal error: ZeroDivisionError: made for a test; this is a fault of cardproof")
    assert said.count("\n") == 1


def test_a_traceback_is_printed_if_the_environment_asks_for_it(write, monkeypatch, capsys):
    write("a.md", TABLE)
    monkeypatch.setattr(judging, "judge_claim", fail())
    monkeypatch.setenv("CARDPROOF_TRACEBACK", "1")
    audit([Path("a.md")], Settings())
    assert "Traceback (most recent call last)" in capsys.readouterr().err


@pytest.mark.parametrize(
    "script", [["-m", "cardproof"], [str(Path(__file__).parents[2] / "tools" / "render_cards.py")]]
)
def test_an_interrupt_during_the_imports_is_one_line(tmp_path, script):
    folder = tmp_path / "slow"
    folder.mkdir()
    (folder / "click.py").write_text("import sys, time\nprint('importing', flush=True)\ntime.sleep(60)\n")
    with subprocess.Popen(
        [sys.executable, *script],
        env={**os.environ, "PYTHONPATH": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    ) as process:
        assert process.stdout.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said == "interrupted; no file is half-written\n"

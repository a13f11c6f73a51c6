"""The shared cases of cards whose snippets run, each by its EXPECT.txt, through a whole render."""

from __future__ import annotations

import json

import pytest
from sites import ONE_JOB
from toys import copy_case, settings_of

from cardproof.build import render
from cardproof.core.settings import SnippetSettings
from cardproof.report.terminal import json_of


@pytest.fixture
def built(shared, tmp_path, monkeypatch):
    """Return a function that renders a case with its snippets and returns the machine output."""

    def _built(name: str, **options):
        folder = copy_case(shared, name, tmp_path)
        monkeypatch.chdir(folder)
        settings = settings_of(folder, snippets=SnippetSettings(**options))
        return json.loads(json_of(render(settings, ONE_JOB)))

    return _built


def failures(report) -> list[tuple[str, int, str]]:
    return [(f["file"], f["line"], f["message"]) for f in report["findings"] if f["check"] == "snippets"]


@pytest.mark.slow
def test_47_names_that_are_not_defined_fail_the_build_at_the_lines_of_the_include(built):
    report = built("47")
    assert report["summary"]["exit"] == 1
    found = failures(report)
    assert [(file, line) for file, line, _ in found] == [("code_snippets.md", 3), ("code_snippets.md", 7)]
    assert "NameError: name 'true' is not defined" in found[0][2]
    assert "NameError: name 'normalize' is not defined" in found[1][2]
    hints = [f["hint"] for f in report["findings"] if f["check"] == "snippets"]
    assert "write True" in hints[0]
    assert "code_snippets.md" in hints[1]


@pytest.mark.slow
def test_49_an_output_marked_as_an_illustration_is_compared_by_kind(built):
    report = built("49")
    assert (report["summary"]["exit"], report["summary"]["pass"]) == (0, 1)
    assert {finding["severity"] for finding in report["findings"]} <= {"note"}


@pytest.mark.slow
def test_50_a_declared_placeholder_has_a_value_for_the_run_and_stays_on_the_page(built):
    report = built("50", placeholders={"NUM_FINETUNE_CLASSES": 7})
    assert report["summary"]["exit"] == 0
    from pathlib import Path

    assert "NUM_FINETUNE_CLASSES" in Path("out/card.md").read_text()


@pytest.mark.slow
def test_50_without_a_declaration_the_hint_says_to_declare_it(built):
    report = built("50")
    assert report["summary"]["exit"] == 1
    (hint,) = [f["hint"] for f in report["findings"] if f["check"] == "snippets"]
    assert "declare it as a placeholder" in hint


@pytest.mark.slow
def test_59_a_page_is_run_for_its_first_model_and_coverage_says_so(built):
    report = built("59")
    assert [(block["model"], block["output"]) for block in report["blocks"]] == [("toynet_8", "322\n")]
    assert (report["summary"]["exercised"], report["summary"]["models"]) == (1, 2)


@pytest.mark.slow
def test_59_all_models_are_run_when_asked(built):
    report = built("59", models="all")
    outputs = [(block["model"], block["output"]) for block in report["blocks"]]
    assert outputs == [("toynet_8", "322\n"), ("toynet_16", "634\n")]
    assert report["summary"]["exercised"] == 2

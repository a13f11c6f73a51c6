"""Audit reports: the numbers are those of the audit, what others wrote is escaped, files outside are not read."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown import markdown
from sites import CARD, ONE_JOB, write_site

from cardproof.build import render
from cardproof.core.settings import load_settings
from cardproof.core.types import VERDICTS
from cardproof.judge.discrepancies import DISCREPANCIES
from cardproof.render.functions.audit_report import AuditSummary, read_summary, summarize, summary_text
from cardproof.render.templates import render_layout

ROOT = Path(__file__).parents[2]
WRONG = CARD.replace("FLOPs: 55376", "FLOPs: 110752").replace("Image Size: '32'", "Image Size: '32'\n    Colour: red")
EXTENSIONS = ["attr_list", "md_in_html", "tables", "pymdownx.superfences"]


@pytest.fixture
def site(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = write_site(tmp_path)
    (folder / "cards").mkdir()
    (folder / "cards/tiny.md").write_text(WRONG)
    return folder


def run_audit(*options: str) -> None:
    from cardproof.commands.cli import cardproof

    cardproof.main(["audit", "cards", "-q", "-j", "1", *options], standalone_mode=False)


def show(site: Path, file: str = "docs/audit.json"):
    (site / "templates/models/report.md").write_text(f"# Report\n\n{{{{ audit_report({file!r}) }}}}\n")
    return render(load_settings(site / "mkdocs.yml"), ONE_JOB)


def html(site: Path) -> str:
    return markdown((site / "docs/models/report.md").read_text(), extensions=EXTENSIONS)


def test_an_audit_keeps_what_its_report_needs(site):
    run_audit("--report", "docs/audit.json")
    audit = read_summary((site / "docs/audit.json").read_text())
    assert audit.verdicts == {"confirmed": 2, "cited": 0, "disputed": 0, "refuted": 1, "unchecked": 1}
    assert (audit.cards, audit.models, audit.measured, audit.explained) == (1, 1, 1, 1)
    assert [field for field, _ in audit.fields] == ["FLOPs", "Image Size", "Parameters"]
    assert audit.unchecked_fields == 1
    ((worst, factor),) = audit.worst
    assert (worst.stated, worst.found, worst.line, factor) == ("110752", "55376", 15, 2.0)
    assert [(kind.name, kind.claims) for kind in audit.kinds] == [("Multiplied by a factor", 1)]
    assert audit.command == "cardproof audit cards --zoo zoo.py:Zoo"
    assert audit.torch


def test_a_report_of_all_that_an_audit_prints_is_that_of_its_summary(site, capsys):
    run_audit("--report", "docs/audit.json")
    capsys.readouterr()
    run_audit("--json")
    (site / "docs/whole.json").write_text(capsys.readouterr().out)
    assert show(site).exit == 0
    reduced = html(site)
    assert show(site, "docs/whole.json").exit == 0
    stamp = re.compile(r"<!-- cardproof:.*")  # it has the digest of the template, which names another file
    assert stamp.sub("", html(site)) == stamp.sub("", reduced)


def test_a_report_says_verdicts_faults_method_and_how_to_repeat_it(site):
    run_audit("--report", "docs/audit.json")
    show(site)
    text = html(site)
    for words in (
        "1 of 1 refuted claims are explained exactly",
        'aria-label="2 confirmed, 1 refuted, 1 unchecked"',
        "stated 110,752, measured 55,376",
        "<small>tiny.md:15</small>",
        "Cardproof cannot check this field",
        "<code>cardproof audit cards --zoo zoo.py:Zoo</code>",
    ):
        assert words in text
    assert text.count("<h2") == 5


def test_a_report_follows_its_file(site):
    run_audit("--report", "docs/audit.json")
    show(site)
    (site / "cards/tiny.md").write_text(WRONG.replace("Parameters: 322", "Parameters: 323"))
    run_audit("--report", "docs/audit.json")
    run = render(load_settings(site / "mkdocs.yml"), ONE_JOB)
    assert [change.path.name for change in run.changes if change.differs] == ["report.md"]
    assert "of 2 refuted claims" in html(site)


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found += [tag, *(name for name, _ in attrs)]


def test_what_audited_cards_say_is_text(site):
    evil = "<script>alert(1)</script>\"'` [x](javascript:y)"
    quoted = evil.replace("'", "''")
    text = WRONG.replace("- Name: tiny\n", f"- Name: '{quoted}'\n").replace("Parameters: 322", f"'{quoted}': 1")
    (site / "cards/tiny.md").write_text(text)
    run_audit("--report", "docs/audit.json")
    audit = json.loads((site / "docs/audit.json").read_text())
    audit["kinds"] = [{"name": evil, "claims": 1, "example": {**EXAMPLE, "model": evil, "explanation": evil}}]
    audit["worst"] = [[{**EXAMPLE, "stated": evil, "file": evil}, 2.0]]
    audit["command"] = evil
    (site / "docs/audit.json").write_text(json.dumps(audit))
    assert {finding.severity for finding in show(site).findings} <= {"note", "warning"}
    assert not {"script", "href", "img"} & set(Tags(html(site)).found)


EXAMPLE = {"model": "m", "field": "f", "file": "a.md", "line": 1, "stated": "1", "found": "2", "explanation": ""}


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("../outside.json", "outside of the site's folder"),
        ("docs/none.json", "cannot be read"),
        ("docs/text.json", "audit 'docs/text.json'"),
        ("docs/other.json", "not what cardproof audit --json prints"),
        ("docs/list.json", "not what cardproof audit --json prints"),
        ("docs/half.json", "not a summary of an audit"),
    ],
)
def test_a_file_that_is_no_audit_is_an_error_of_the_template(site, file, words):
    (site / "docs").mkdir()
    (site.parent / "outside.json").write_text("{}")
    (site / "docs/text.json").write_text("nothing")
    (site / "docs/other.json").write_text('{"claims": 3}')
    (site / "docs/list.json").write_text("[]")
    (site / "docs/half.json").write_text('{"schema": "cardproof-audit/1"}')
    run = show(site, file)
    (finding,) = [finding for finding in run.findings if finding.check == "template"]
    assert (run.exit, finding.place.file) == (1, "templates/models/report.md")
    assert words in finding.message


@pytest.mark.parametrize(
    "faults", [["non-square", "batch-norm", "no-classifier"], ["classes"], ["no-way"], [], ["new"]]
)
def test_the_kinds_of_a_fault_are_those_of_its_claim(faults):
    claim = {
        **EXAMPLE,
        "found": 2,
        "verdict": "refuted",
        "explanation": "Exactly twice.",
        "reason": "",
        "faults": faults,
    }
    counts = dict.fromkeys(("confirmed", "cited", "disputed", "refuted", "unchecked", "explained"), 0)
    data = {"claims": [claim], "findings": [], "summary": {**counts, "cards": 1, "models": 1}}
    assert {kind.name for kind in summarize(data).kinds} == {
        DISCREPANCIES.get(fault, "Other") for fault in faults or ["new"]
    }


def audit_of(files: list[str], reason: str = "", command: str = "cardproof audit cards") -> AuditSummary:
    """Summarise an audit that refuted one claim in each file, and left another unchecked for one reason."""
    refuted = [{**EXAMPLE, "file": file, "verdict": "refuted", "reason": ""} for file in files]
    unchecked = {**EXAMPLE, "file": files[0], "verdict": "unchecked", "reason": reason}
    counts = dict.fromkeys((*VERDICTS, "explained"), 0)
    summary = {**counts, "cards": len(files), "models": 1}
    return summarize(
        {"claims": [*refuted, unchecked], "findings": [], "summary": summary, "method": {"command": command}}
    )


@pytest.mark.parametrize(
    ("files", "named"),
    [
        (["cards/a.md"], "a.md"),
        (["/srv/zoo/cards/a.md", "/srv/zoo/cards/wide/b.md"], "a.md"),
        (["../corpus/wide/a.md", "../corpus/b.md"], "wide/a.md"),
        (["../corpus/a.md", "b.md"], "corpus/a.md"),
        (["a.md", "/mnt/b.md"], "a.md"),
    ],
)
def test_files_are_named_relative_to_the_audited_folder(files, named):
    assert audit_of(files).kinds[0].example.file == named


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("cardproof audit cards --zoo timm", "cardproof audit cards --zoo timm"),
        ("cardproof audit ../corpus/cards --zoo /opt/zoo.py:Zoo", "cardproof audit cards --zoo zoo.py:Zoo"),
        ("cardproof audit '~/my cards' --names=../names.yml", "cardproof audit 'my cards' --names=names.yml"),
    ],
)
def test_the_command_names_no_folder_of_a_machine(command, shown):
    assert audit_of(["a.md"], command=command).command == shown


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("not measured: LookupError: timm 1.0 has no model 'x50'", "the zoo has no model of this name"),
        ("not measured: timm 1.0 has no model 'x50'", "the zoo has no model of this name"),
        ("not measured: torchvision 0.29 has no classification model 'x'", "the zoo has no model of this name"),
        ("not measured: RuntimeError: out of memory", "the network could not be built or run"),
        (
            "x50 is resnet50 of zoo 'timm', which has 25,557,032 parameters: probably another network",
            "the zoo's model of this name is probably another network",
        ),
        ("the zoo has no recipe of these weights", "the zoo has no recipe of these weights"),
    ],
)
def test_reasons_are_words_without_names_of_models_and_exceptions(reason, shown):
    assert audit_of(["a.md"], reason).reasons == ((shown, 1),)


def test_an_audit_that_checked_nothing_has_no_empty_table():
    summary = {**dict.fromkeys((*VERDICTS, "explained"), 0), "cards": 0, "models": 0}
    audit = summarize({"claims": [], "findings": [], "summary": summary})
    page = render_layout("audit.html", audit=audit, versions=[], value=str)
    assert "<table" not in page
    assert [line for line in page.splitlines() if line.startswith("## ")] == ["## Method", "## How to repeat it"]


@pytest.mark.parametrize("name", ["timm", "mmpretrain"])
def test_a_published_audit_shows_no_path_of_a_machine_and_no_exception(name):
    text = (ROOT / f"docs/data/audit-{name}.json").read_text()
    assert not re.search(r"\.\./|\"/|/ho[m]e/|Error\b", text)


def test_the_published_audit_has_the_numbers_of_the_corpus():
    audit = read_summary((ROOT / "docs/data/audit-timm.json").read_text())
    assert (audit.cards, audit.models, sum(audit.verdicts.values())) == (50, 220, 5952)
    assert dict(audit.fields)["FLOPs"] == {"confirmed": 3, "refuted": 208, "unchecked": 9}
    assert audit.explained == 208 + 5  # and five numbers of parameters
    assert {kind.name for kind in audit.kinds} <= set(DISCREPANCIES.values())
    assert summary_text(audit) == (ROOT / "docs/data/audit-timm.json").read_text()


def test_the_published_audit_of_mmpretrain_has_the_numbers_of_the_corpus():
    audit = read_summary((ROOT / "docs/data/audit-mmpretrain.json").read_text())
    assert (audit.cards, audit.models, sum(audit.verdicts.values())) == (63, 402, 4015)
    assert dict(audit.fields)["FLOPs"] == {"confirmed": 210, "refuted": 4, "unchecked": 167}
    assert {kind.name for kind in audit.kinds} <= set(DISCREPANCIES.values())
    assert summary_text(audit) == (ROOT / "docs/data/audit-mmpretrain.json").read_text()

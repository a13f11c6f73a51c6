"""What a run prints: why claims are unchecked, what can be fixed, and no table of fields that are all right."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from msgspec.structs import replace
from report_runs import judged, refuted, run_of
from sites import CARD, build, cardproof

from cardproof.build import audit
from cardproof.core.settings import Settings
from cardproof.core.types import Finding, Fix, Place
from cardproof.judge.card_report import is_checkable
from cardproof.report.finished_run import Run
from cardproof.report.terminal import json_of, print_report, summary

NET = """
Type: model-index
Models:
- Name: tiny
  Metadata:
    FLOPs: 55376
    Parameters: 322
    ID: tiny
    Training Resources: 8x V100
    Architecture: [Gating]
"""


def printed(run: Run, capsys: pytest.CaptureFixture[str], **options: bool) -> str:
    print_report(run, **options)
    return capsys.readouterr().out


def run_with(*judgements, findings=()) -> Run:
    """Return a run that counts what no check judges, as an audit does."""
    run = run_of(*findings, judgements=judgements)
    none = {one.claim.field: 1 for one in judgements if not is_checkable(one)}
    run.cards = [replace(run.cards[0], not_checkable=none)]
    return run


def checked(verdict: str, field: str, line: int, reason: str = ""):
    return replace(judged(verdict, field, line, reason), check="any")


def test_fields_that_are_all_confirmed_or_cited_have_no_table(capsys):
    run = run_with(judged("confirmed", "FLOPs", 1), judged("cited", "Top 1", 2))
    assert "claims about" not in printed(run, capsys)
    assert "FLOPs" in printed(run, capsys, verbose=True)


def test_a_table_has_the_fields_of_which_something_is_open(capsys):
    open_one = checked("disputed", "Top 1", 2)
    text = printed(run_with(judged("confirmed", "FLOPs", 1), open_one), capsys)
    assert "Top 1" in text
    assert "FLOPs" not in text


def test_fields_of_which_nothing_was_checked_are_named_in_one_row(capsys):
    run = run_with(*(checked("unchecked", field, 1) for field in ("Mean", "Std", "Crop", "FLOPs", "Size")))
    assert "Mean, Std, Crop and 2 more         " in printed(run, capsys)


def test_what_no_check_judges_is_counted_apart_and_named(capsys):
    run = run_with(checked("unchecked", "FLOPs", 1, "no zoo"), judged("unchecked", "ID", 2))
    text = printed(run, capsys)
    assert "1 unchecked, 1 not checkable" in text
    assert "no check of them: ID" in text
    assert (summary(run)["unchecked"], summary(run)["not_checkable"]) == (2, 1)


def test_verbose_says_of_each_unchecked_claim_where_it_stands_and_why(capsys):
    run = run_with(checked("unchecked", "FLOPs", 7, "no zoo\nwas named"), judged("unchecked", "ID", 8))
    text = printed(run, capsys, verbose=True)
    assert "1 claim unchecked: no zoo was named\n    card.md:7:5: FLOPs of tiny (1)\n" in text
    assert "card.md:8" not in text
    assert "-v says why" in printed(run, capsys)


def test_verbose_says_each_reason_once_with_at_most_five_places(capsys):
    run = run_with(*(checked("unchecked", "FLOPs", line, "no zoo was named") for line in range(1, 8)))
    text = printed(run, capsys, verbose=True)
    assert text.startswith("7 claims unchecked: no zoo was named\n    card.md:1:")
    assert text.count("card.md:") == 5
    assert "    and 2 more\n" in text


def test_reasons_that_differ_by_the_name_of_the_model_are_one(capsys):
    missing = [
        replace(judged("unchecked", "FLOPs", line, f"no model '{name}'", name), check="any")
        for line, name in ((1, "net-a"), (2, "net-b"))
    ]
    text = printed(run_with(*missing), capsys, verbose=True)
    assert text.startswith("2 claims unchecked: no model '…'\n")
    assert "1 claim unchecked: no model 'net-a'\n" in printed(run_with(missing[0]), capsys, verbose=True)


def test_a_message_of_several_lines_is_printed_on_one(capsys):
    finding = Finding(Place("card.md", 1, 1), "not-measured", "error", "RuntimeError: first\nsecond")
    assert "first second\n" in printed(run_of(finding), capsys)


def test_a_finding_that_can_be_fixed_says_so(capsys):
    fixable, claim = refuted()
    other = replace(fixable, fix=Fix(15, 12, 17, "1"), place=Place("card.md", 16, 12))
    lines = printed(run_with(claim, findings=(fixable, other)), capsys).splitlines()
    assert lines[0].startswith("card.md:15:12: error [flops] [*] FLOPs")
    assert lines[2].startswith("card.md:16:12: error [flops] FLOPs")


@pytest.mark.parametrize(
    ("measured", "recalled", "words"),
    [
        (0, 13, "13 models up to date"),
        (0, 1, "1 model up to date"),
        (2, 11, "2 measured, 11 up to date"),
        (2, 0, "2 measured;"),
        (0, 0, "nothing measured;"),
    ],
)
def test_a_summary_says_what_was_measured_now_and_earlier(capsys, measured, recalled, words):
    run = run_of()
    run.measured, run.recalled = measured, recalled
    assert f"\n{words}" in printed(run, capsys)


def test_an_audit_of_fields_without_a_check_names_them(write, site):
    (site / "model-index.yml").write_text(NET)
    done = cardproof("audit", "model-index.yml", "--zoo", "zoo.py:Zoo", "-v")
    assert "2 confirmed, 1 unchecked, 2 not checkable" in done.stdout
    assert "no check of them: ID, Training Resources" in done.stdout
    assert re.search(r"1 claim unchecked: cannot be seen .*\n    \S+: Architecture of tiny \(Gating\)\n", done.stdout)


def test_a_render_names_the_command_that_fixes_its_templates(site):
    card = site / "templates/models/tiny.md"
    card.write_text(CARD.replace("322", "339"))
    last = cardproof("render").stdout.splitlines()[-1]
    assert last == "[*] 1 fixable with cardproof audit templates/models --fix"
    assert cardproof(*last.partition("cardproof ")[2].split()).returncode == 0
    assert card.read_text() == CARD
    build(site)
    assert "13" not in cardproof("render").stdout.splitlines()[-1]
    assert "1 model up to date, nothing changed" in cardproof("render").stdout


def test_an_audit_counts_its_fixes_and_fix_says_why_it_made_none(site):
    card = site / "templates/models/tiny.md"
    audit = ("audit", "templates/models", "--zoo", "zoo.py:Zoo")
    assert cardproof(*audit, "--fix").stderr == "nothing to fix\n"
    card.write_text(CARD.replace("'32'", "'32'\n    Crop Pct: 0.5"))
    assert cardproof(*audit).stdout.splitlines()[-1] == "1 fixable with --fix-unsafe, which needs a review"
    done = cardproof(*audit, "--fix")
    assert done.stderr == "nothing was fixed: no finding has a safe fix; 1 with --fix-unsafe, which needs a review\n"
    assert done.returncode == 1


def test_the_counts_of_json_stay(site):
    done = cardproof("audit", "templates/models", "--zoo", "zoo.py:Zoo", "--json")
    facts = json.loads(done.stdout)["summary"]
    assert facts["claims"] == sum(
        facts[verdict] for verdict in ("confirmed", "cited", "disputed", "refuted", "unchecked")
    )


def test_a_page_about_no_model_is_not_counted_as_a_card_beside_one_with_claims(capsys):
    run = run_with(judged("confirmed", "FLOPs", 1))
    run.cards = [
        *run.cards,
        replace(run.cards[0], file="README.md", defined=(), findings=(), tally={}, not_checkable={}),
    ]
    assert " on 1 card: 1 confirmed" in printed(run, capsys)
    assert summary(run)["cards"] == 2


def test_errors_are_printed_first_and_notes_on_one_convention_once(capsys):
    rule = "batch norm twice"
    notes = [
        Finding(Place(f"{n}.md", 5, 1), "flops", "note", f"FLOPs of net{n}, more{n} are by fvcore's convention: {rule}")
        for n in range(1, 6)
    ]
    late = Finding(Place("z.md", 1, 1), "flops", "error", "wrong")
    text = printed(run_with(findings=[*notes, late]), capsys)
    first, second, *_ = text.splitlines()
    assert first == "z.md:1:1: error [flops] wrong"
    places = "1.md:5:1, 2.md:5:1, 3.md:5:1 and 2 more"
    assert second == f"1.md:5:1: note [flops] 10 FLOPs are by fvcore's convention: {rule} ({places})"
    assert text.count("fvcore") == 1


def test_each_card_gives_its_long_lists_once(write):
    write("cards/tiny.md", CARD)
    write("cards/other.md", CARD.replace("tiny", "other"))
    run = audit([Path("cards")], Settings())
    asked: list[str] = []

    def counted(card):
        def full():
            asked.append(card.file)
            return card.full()

        return replace(card, full=full)

    expected = json_of(run)
    run.cards = [counted(card) for card in run.cards]
    assert json_of(run) == expected
    assert asked == ["cards/other.md", "cards/tiny.md"]
    assert {claim["model"] for claim in json.loads(expected)["claims"]} == {"tiny", "other"}

"""For GitHub: annotations at their characters, and a summary that nothing in a card can break."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from msgspec.structs import replace
from report_runs import judged, refuted, run_of

from cardproof.core.types import Finding, Place
from cardproof.report.formats import texts_of
from cardproof.report.formats.github import MOST_ROWS
from cardproof.report.terminal import printable


def commands(text: str) -> list[tuple[str, dict[str, str], str]]:
    """Return the commands of a log: name, properties and message, unescaped (actions/runner, ActionCommand.cs)."""

    def plain(text: str, entities: dict[str, str]) -> str:
        for entity, char in entities.items():
            text = text.replace(entity, char)
        return text

    data = {"%0D": "\r", "%0A": "\n"}
    found = []
    for line in re.split("\r\n|\r|\n", text):
        if match := re.fullmatch(r"\s*::([a-z-]+)(?: (.*?))?::(.*)", line):
            pairs = [pair.partition("=") for pair in match[2].split(",")] if match[2] else []
            properties = {name: plain(value, {**data, "%3A": ":", "%2C": ",", "%25": "%"}) for name, _, value in pairs}
            found.append((match[1], properties, plain(match[3], {**data, "%25": "%"})))
    return found


def github(*findings: Finding) -> list[tuple[str, dict[str, str], str]]:
    return commands(texts_of(run_of(*findings), ["github"])["github"])


def test_a_finding_is_shown_at_its_characters():
    (found,) = github(refuted()[0])
    assert found == (
        "error",
        {"file": "card.md", "line": "15", "col": "12", "endColumn": "17", "title": "cardproof flops"},
        "FLOPs of tiny: card says 55377, measured 55376\nOff by one.",
    )


def test_a_severity_has_its_command_and_what_is_settled_is_not_shown():
    place = Place("card.md", 0, 0)
    shown = [Finding(place, "text", severity, "m") for severity in ("error", "warning", "note")]
    settled = Finding(place, "text", "note", "ignored", settled="ignored")
    found = github(*shown, settled)
    assert [name for name, _, _ in found] == ["error", "warning", "notice"]
    assert {(properties["line"], properties["col"]) for _, properties, _ in found} == {("1", "1")}


@given(st.text(max_size=40), st.text(max_size=20).filter(bool))
def test_a_card_gives_no_command_of_its_own(message, file):
    text = f"{message}\n::set-env name=PATH::x\r::add-mask::y,%0A{message}"
    (found,) = github(Finding(Place(file, 3, 4), "text", "error", text, f"::error::{message}"))
    name, properties, said = found
    assert name == "error"
    assert set(properties) == {"file", "line", "col", "title"}
    assert said == "\n".join(printable(line) for line in f"{text}\n::error::{message}".splitlines())


def test_what_steers_a_terminal_is_written_out():
    ((_, _, said),) = github(Finding(Place("card.md", 1, 1), "text", "error", "a \x1b[31m b \u202e c"))
    assert said == "a \\u001b[31m b \\u202e c"


def test_notes_on_one_convention_are_one_annotation_and_one_row():
    rule = "by fvcore's convention: batch norm twice"
    notes = [Finding(Place(f"{n}.md", 5, 1), "flops", "note", f"FLOPs of net{n} is {rule}") for n in range(1, 4)]
    (one,) = github(*notes)
    assert one[2] == f"3 FLOPs are {rule} (1.md:5:1, 2.md:5:1, 3.md:5:1)"
    assert texts_of(run_of(*notes), ["markdown"])["markdown"].count("batch norm twice") == 1


def test_the_last_line_counts():
    finding, judgement = refuted()
    text = texts_of(run_of(finding, judgements=(judgement,)), ["github"])["github"]
    assert text.splitlines()[-1] == "1 claim of 0 models on 1 card: 1 refuted"


HOSTILE = [
    "| a | b |",
    "</td></tr></table><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[x](javascript:alert(1))",
    "![x](https://example.org/track.png)",
    "`code` **bold** ~~gone~~ <!-- comment -->",
    "https://example.org www.example.org a@example.org @somebody #1",
    "line\n# heading\n\n- item",
    "\\| \\` \\",
    "&lt;b&gt; &amp;copy;",
    "x" * 10_000,
]


class Page(HTMLParser):
    """Tags of a page, and the texts of its table cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.cells: list[str] = []
        self.inside = False
        self.feed(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text))

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "td":
            self.inside = True
            self.cells.append("")

    def handle_endtag(self, tag):
        self.inside = self.inside and tag != "td"

    def handle_data(self, data):
        if self.inside:
            self.cells[-1] += data


def markdown(*findings, judgements=()) -> str:
    return texts_of(run_of(*findings, judgements=judgements), ["markdown"])["markdown"]


def test_counts_by_verdict_and_a_row_for_each_refuted_claim():
    finding, judgement = refuted()
    reason = "no zoo was named (--zoo)"
    text = markdown(finding, judgements=(judgement, judged("unchecked", "Layers", 4, reason)))
    cells = [cell.strip() for cell in Page(text).cells]
    assert cells[:10] == ["confirmed", "0", "cited", "0", "disputed", "0", "refuted", "1", "unchecked", "1"]
    assert cells[10:16] == ["card.md:15", "tiny", "FLOPs", "55377", "55376", "Off by one."]
    assert cells[16:] == [reason, "1"]
    assert "2 claims" in text


def test_other_findings_are_listed_by_severity_and_settled_ones_are_not():
    place = Place("card.md", 3, 1)
    shown = [Finding(place, "text", severity, f"this {severity}") for severity in ("error", "warning", "note")]
    text = markdown(*shown, Finding(place, "text", "note", "settled one", settled="known"))
    assert [line for line in text.splitlines() if line.startswith("### ")] == [
        "### Errors",
        "### Warnings",
        "### Notes",
    ]
    assert "settled one" not in text


def test_a_finding_is_shown_with_its_hint():
    text = markdown(Finding(Place("card.md", 3, 1), "text", "warning", "this is wrong", "write that"))
    assert "this is wrong<br>write that" in text


def test_the_table_counts_what_no_check_judges_apart_as_the_headline_does():
    run = run_of(judgements=(judged("unchecked", "Layers", 4, "no zoo"), judged("unchecked", "ID", 5)))
    run.cards = [replace(run.cards[0], not_checkable={"ID": 1})]
    text = texts_of(run, ["markdown"])["markdown"]
    assert "1 unchecked, 1 not checkable" in text
    assert "| unchecked | 1 |\n| not checkable | 1 |" in text


@pytest.mark.parametrize("value", HOSTILE)
def test_what_a_card_says_is_text(value):
    _same_page(value)


@given(st.text(max_size=60))
def test_any_text_is_text(value):
    _same_page(value)


def _same_page(value: str) -> None:
    """Assert that a value changes only texts of the page, and is shown as it is, in one line."""
    page = Page(_with(value))
    assert page.tags == Page(_with("plain")).tags
    shown = printable(" ".join(value.split()))
    shown = shown if len(shown) <= 400 else f"{shown[:400]}…"
    assert [" ".join(cell.split()) for cell in page.cells].count(" ".join(shown.split())) >= 3


def _with(value: str) -> str:
    finding, judgement = refuted(stated=value, model=value)
    return markdown(finding, Finding(Place("card.md", 1, 1), "text", "error", value), judgements=(judgement,))


def test_nobody_is_called():
    assert "@somebody" not in markdown(Finding(Place("card.md", 1, 1), "text", "error", "thanks @somebody"))


def test_a_long_table_is_cut_and_says_so():
    findings = [Finding(Place("card.md", line, 1), "text", "warning", f"w{line}") for line in range(MOST_ROWS + 7)]
    text = markdown(*findings)
    assert "7 more are in the full report." in text
    assert len(Page(text).cells) == 3 * MOST_ROWS

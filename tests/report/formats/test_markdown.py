"""The summary, read by a parser of Markdown: tables of what was found, and nothing that a card could smuggle in."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from msgspec.structs import replace
from outlet_runs import judged, refuted, run_of

from cardproof.core.types import Finding, Place
from cardproof.report.formats import texts_of
from cardproof.report.formats.github import MOST_ROWS
from cardproof.report.terminal import printable

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

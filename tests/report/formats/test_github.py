"""Annotations, read as GitHub's runner reads them: one command a line, whatever a card says."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from outlet_runs import refuted, run_of

from cardproof.core.types import Finding, Place
from cardproof.report.formats import texts_of
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

"""The page of each check is its docstring: the same sections on all, and an example that does what the page shows."""

from __future__ import annotations

import re

import check_examples
import pytest
from check_examples import Change, example_of, section
from msgspec.structs import replace

from cardproof.core.settings import SETTINGS
from cardproof.judge.checks import Check, all_checks

SECTIONS = ["What it does", "Why", "Example", "Fix", "Ignore", "Settings"]
CHANGES = [
    pytest.param(check, change, id=f"{check.name}-{number}")
    for check in all_checks()
    for number, change in enumerate((*example_of(check).fixes, *example_of(check).ignores))
]
by_check = pytest.mark.parametrize("check", all_checks(), ids=lambda check: check.name)


@by_check
def test_a_page_has_the_same_sections_as_all_others_and_names_settings_that_exist(check: Check):
    outside = check_examples.FENCE.sub("", check.page)
    assert re.findall(r"^## (.*)$", outside, re.MULTILINE) == SECTIONS
    assert set(re.findall(r"`(\w+)`", section(check, "Settings"))) <= set(SETTINGS)


@by_check
def test_the_example_prints_what_its_page_shows(check: Check, tmp_path):
    example = example_of(check)
    printed, _ = check_examples.run(example.command, example.files, tmp_path)
    assert printed == example.printed
    words = set(re.findall(r"^card\.md:\d+:\d+: \w+ \[(\S+)\]", printed, re.MULTILINE))
    assert words <= {check.name, *check.findings}
    assert words or check.name == "layers"


@pytest.mark.parametrize(("check", "change"), CHANGES)
def test_a_fix_or_an_ignore_leaves_nothing_to_report(check: Check, change: Change, tmp_path):
    example = example_of(check)
    changed = {**example.files, "card.md": change.apply(example.files["card.md"])}
    if change.command:
        printed, fixed = check_examples.run(change.command, example.files, tmp_path)
        assert fixed == changed["card.md"]
    else:
        printed, _ = check_examples.run(example.command, changed, tmp_path)
    findings = re.split(r"^(?=card\.md:\d)", printed, flags=re.MULTILINE)[1:]
    ignored = [finding for finding in findings if " note [" in finding and "ignored here: " in finding]
    assert findings == (ignored if change in example.ignores else [])


def test_the_tool_writes_what_is_printed_today_and_nothing_else(tmp_path):
    (check,) = (check for check in all_checks() if check.name == "text")
    source = check_examples.source_of(check).read_text(encoding="utf-8")
    printed = example_of(check).printed
    stale = tmp_path / "text.py"
    stale.write_text(source.replace(printed, "old words\n"), encoding="utf-8")
    check_examples.update(replace(check, page=check.page.replace(printed, "old words\n")), stale)
    assert stale.read_text(encoding="utf-8") == source

"""The page of each check is its docstring: five parts, and an example that an audit reports in the same words."""

from __future__ import annotations

import re

import pytest

from cardproof.build import audit
from cardproof.core.settings import SETTINGS, Settings
from cardproof.judge.checks import Check, all_checks

PARTS = ("**What it does.**", "**Why.**", "**Example.**", "**Fix.**", "**Settings.**")
EXAMPLE = re.compile(r"\*\*Example\.\*\* (?:.*? )?`([^`]+)` gives `([^`]+)`\.", re.DOTALL)
ELSEWHERE = {"code", "layers", "min-size", "snippets", "subject", "weights"}
"""Checks whose example needs a zoo or files of its own, or gives a reason and no finding; other tests run the like."""
CARD = """---
license: mit
---
<!--
Type: model-index
Models:
- Name: res2next50
  Metadata:
    {metadata}
  Results:
  - Dataset: ImageNet
    Metrics: {results}
- {identity}
  Metadata: {{Layers: 50}}
-->
# Title

{text}
"""


def example_of(check: Check) -> tuple[str, str]:
    """Return what a card states in the example of a check, and what is reported of it."""
    match = EXAMPLE.search(check.page)
    assert match, check.name
    return " ".join(match[1].split()), " ".join(match[2].split())


@pytest.mark.parametrize("check", all_checks(), ids=lambda check: check.name)
def test_a_check_says_what_it_does_why_what_it_reports_what_a_fix_writes_and_its_settings(check):
    positions = [check.page.find(part) for part in PARTS]
    assert -1 not in positions
    assert positions[:2] == sorted(positions[:2])
    named = re.findall(r"`(\w+)`", check.page[positions[4] :])
    assert set(named) <= set(SETTINGS)


def test_the_examples_of_the_checks_are_reported_in_the_words_of_their_pages(write):
    examples = {check.name: example_of(check) for check in all_checks() if check.name not in ELSEWHERE}
    texts = ("licence", "links", "text", "citation")
    fields = [stated for name, (stated, _) in examples.items() if name not in (*texts, "results", "identity")]
    text = "\n\n".join(examples[name][0] for name in texts)
    results, identity = examples["results"][0], examples["identity"][0]
    card = CARD.format(metadata="\n    ".join(fields), results=results, identity=identity, text=text)
    found = {without_lines(f.message) for f in audit([write("card.md", card)], Settings(zoo="res2next")).findings}
    assert {without_lines(message) for _, message in examples.values()} <= found


def without_lines(message: str) -> str:
    """Return a message without the lines that it names, which depend on the rest of the card."""
    return re.sub(r"(line |card\.md:)\d+(:\d+)?", r"\1N", message)

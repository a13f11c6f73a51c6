"""JUnit XML: each claim is a test. Confirmed and cited ones pass, refuted ones fail, unchecked ones are skipped.

What else is an error is a failed test of its own, so that a report without failures means exit status 0. Blocks of
snippets that ran or were skipped are tests too; one that failed is the error that says why.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal
from xml.etree import ElementTree  # nosec B405  # it writes, and reads nothing

from msgspec import Struct

from cardproof.core.types import Finding, Judgement

if TYPE_CHECKING:
    from cardproof.report.formats.view import View

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, escaped or not (section 2.2)."""


class Case(Struct, frozen=True):
    """One test."""

    file: str
    line: int
    name: str
    outcome: Literal["passed", "failure", "skipped"] = "passed"
    message: str = ""
    text: str = ""


def junit_of(view: View) -> str:
    """Return a run as JUnit XML: a suite for each file, a test for each claim, block and error."""
    cases = list(_cases(view))
    suites: dict[str, list[Case]] = {finding.place.file: [] for finding in view.findings}
    for case in cases:
        suites.setdefault(case.file, []).append(case)
    others: dict[str, list[Finding]] = {}
    for finding in view.findings:
        if finding.severity != "error":
            others.setdefault(finding.place.file, []).append(finding)
    root = ElementTree.Element("testsuites", {"name": "cardproof", **_counts(cases)})
    for file, of_file in sorted(suites.items()):
        root.append(_suite(file, of_file, others.get(file, [])))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _suite(file: str, cases: list[Case], others: list[Finding]) -> ElementTree.Element:
    """Return the suite of a file; ``others`` are warnings and notes."""
    suite = ElementTree.Element("testsuite", {"name": _valid(file), **_counts(cases)})
    names: Counter[str] = Counter()
    for case in cases:
        names[case.name] += 1
        suite.append(_element(case, names[case.name]))
    if others:
        lines = (f"{one.place}: {one.severity} [{one.check}] {one.message}" for one in others)
        ElementTree.SubElement(suite, "system-out").text = _valid("\n".join(lines))
    return suite


def _cases(view: View) -> Iterator[Case]:
    reported: set[int] = set()
    for judgement in view.lists.claims:
        finding = view.finding_of(judgement.claim)
        if finding and finding.severity == "error":
            reported.add(id(finding))
        yield _of_claim(judgement, finding)
    for block in view.lists.blocks:
        if block["status"] != "fail":
            yield _of_block(block)
    for finding in view.findings:
        if finding.severity == "error" and id(finding) not in reported:
            yield _failure(finding, f"{finding.check}: {finding.message}")


def _of_claim(judgement: Judgement, finding: Finding | None) -> Case:
    """Return the test of a claim; its name does not depend on the verdict, so that services keep its history."""
    claim = judgement.claim
    name = f"{claim.model}: {claim.label}"
    if finding and finding.severity == "error":
        return _failure(finding, name)
    skipped = ""
    if judgement.verdict == "unchecked":
        skipped = f"unchecked: {judgement.reason}"
    elif finding and finding.settled:
        skipped = f"{finding.message}: {finding.hint}"
    return Case(claim.place.file, claim.place.line, name, "skipped" if skipped else "passed", skipped)


def _of_block(block: Mapping[str, Any]) -> Case:
    whose = f" for {block['model']}" if block["model"] else ""
    name = f"snippet{whose} on {block['device']}"
    if block["status"] == "pass":
        return Case(block["file"], block["line"], name)
    return Case(block["file"], block["line"], name, "skipped", f"{block['status']}: {block['message']}")


def _failure(finding: Finding, name: str) -> Case:
    text = f"{finding.place}: {finding.message}" + (f"\n{finding.hint}" if finding.hint else "")
    return Case(finding.place.file, finding.place.line, name, "failure", finding.message, text)


def _element(case: Case, number: int) -> ElementTree.Element:
    """Return a case as an element; ``number`` counts the cases of one name."""
    name = case.name if number == 1 else f"{case.name} #{number}"
    attributes = {"classname": case.file, "name": name, "file": case.file, "line": str(max(case.line, 1))}
    element = ElementTree.Element("testcase", {key: _valid(value) for key, value in attributes.items()})
    if case.outcome != "passed":
        outcome = ElementTree.SubElement(element, case.outcome, {"message": _valid(case.message)})
        outcome.text = _valid(case.text) or None
    return element


def _counts(cases: list[Case]) -> dict[str, str]:
    outcomes = Counter(case.outcome for case in cases)
    counts = {"tests": len(cases), "failures": outcomes["failure"], "errors": 0, "skipped": outcomes["skipped"]}
    return {name: str(count) for name, count in counts.items()}


def _valid(text: str) -> str:
    """Return a text with characters that XML forbids as escapes."""
    return _FORBIDDEN.sub(lambda match: f"\\u{ord(match.group()):04x}", text)

"""JUnit XML: each claim is a test. Confirmed and cited ones pass, refuted ones fail, unchecked ones are skipped.

What else is an error is a failed test of its own, so that a report without failures means exit status 0. Blocks of
snippets that ran or were skipped are tests too; one that failed is the error that says why.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from xml.etree import ElementTree  # nosec B405  # of our own text

from junitparser import Attr, Failure, JUnitXml, Skipped, SystemOut, TestCase, TestSuite

from cardproof.core.types import Finding, Judgement, Place
from cardproof.report.finished_run import View

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, escaped or not (section 2.2)."""


class Case(TestCase):
    """One test with its place, as pytest states it."""

    file = Attr()
    line = Attr()


def junit_of(view: View) -> str:
    """Return a run as JUnit XML: a suite for each file, a test for each claim, block and error."""
    cases: dict[str, list[Case]] = {finding.place.file: [] for finding in view.findings}
    for file, case in _cases(view):
        cases.setdefault(file, []).append(case)
    others: dict[str, list[str]] = {}
    for one in view.findings:
        if one.severity != "error":
            line = f"{one.place}: {one.severity} [{one.check}] {one.message}"
            others.setdefault(one.place.file, []).append(line)
    report = JUnitXml("cardproof")
    for file, of_file in sorted(cases.items()):
        report.append(_suite(file, of_file, others.get(file, [])))
    report.update_statistics()
    root = ElementTree.fromstring(report.tostring())  # nosec B314  # our own text
    ElementTree.indent(root)
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text.decode("utf-8") + "\n"


def _suite(file: str, cases: list[Case], others: list[str]) -> TestSuite:
    """Return the suite of a file; ``others`` are warnings and notes. Two of its tests never have one name."""
    suite = TestSuite(_escape_forbidden(file))
    names: Counter[str] = Counter()
    for case in cases:
        names[case.name] += 1
        if names[case.name] > 1:
            case.name = f"{case.name} #{names[case.name]}"
    suite.extend(cases)
    if others:
        suite.append(SystemOut(_escape_forbidden("\n".join(others))))
    return suite


def _cases(view: View) -> Iterator[tuple[str, Case]]:
    reported: set[int] = set()
    for judgement in view.lists.claims:
        finding = view.finding_of(judgement.claim)
        if finding and finding.severity == "error":
            reported.add(id(finding))
        yield judgement.claim.place.file, _claim_case(judgement, finding)
    for block in view.lists.blocks:
        if block["status"] != "fail":
            whose = f" for {block['model']}" if block["model"] else ""
            skipped = "" if block["status"] == "pass" else f"{block['status']}: {block['message']}"
            place = Place(block["file"], block["line"], 1)
            yield block["file"], _case(place, f"snippet{whose} on {block['device']}", skipped)
    for finding in view.findings:
        if finding.severity == "error" and id(finding) not in reported:
            yield finding.place.file, _failure(finding, f"{finding.check}: {finding.message}")


def _claim_case(judgement: Judgement, finding: Finding | None) -> Case:
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
    return _case(claim.place, name, skipped)


def _failure(finding: Finding, name: str) -> Case:
    case = _case(finding.place, name)
    failure = Failure(_escape_forbidden(finding.message))
    failure.text = _escape_forbidden(
        f"{finding.place}: {finding.message}" + (f"\n{finding.hint}" if finding.hint else "")
    )
    case.result = failure
    return case


def _case(place: Place, name: str, skipped: str = "") -> Case:
    """Return a test that passes, or that is skipped for a reason."""
    case = Case(_escape_forbidden(name), _escape_forbidden(place.file))
    case.file = case.classname
    case.line = str(max(place.line, 1))
    if skipped:
        case.result = Skipped(_escape_forbidden(skipped))
    return case


def _escape_forbidden(text: str) -> str:
    """Return a text with characters that XML forbids as escapes."""
    return _FORBIDDEN.sub(lambda match: f"\\u{ord(match.group()):04x}", text)

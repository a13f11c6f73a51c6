"""SARIF 2.1.0, the format of code scanning: a rule for each check, a result with a place and a fix for each finding.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/sarif-v2.1.0-errata01-os-complete.html
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cardproof import __version__
from cardproof.core.json import strict_json
from cardproof.core.paths import in_repository
from cardproof.core.source import BOM_COLUMN
from cardproof.core.types import VERDICTS, Finding, Fix
from cardproof.judge.checks import Check, all_checks, checks_by_word
from cardproof.report.baseline import Key, key_of
from cardproof.report.finished_run import View
from cardproof.report.terminal import summary

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
ROOT = "%SRCROOT%"
"""Base of paths, so that a file of SARIF is the same on every machine."""
FINGERPRINT = "cardproofFinding/v1"
"""By file, check and message without its lines, as in a baseline, since lines move."""
SUPPRESSIONS = {"ignored": "inSource", "known": "external"}


def sarif_of(view: View) -> str:
    """Return a run as SARIF; the same bytes for the same findings."""
    rules = _rules(finding.check for finding in view.findings)
    index = {rule["id"]: number for number, rule in enumerate(rules)}
    seen: Counter[Key] = Counter()
    results = []
    for finding in view.findings:
        key = key_of(finding)
        results.append(_result(finding, index[finding.check], seen[key]))
        seen[key] += 1
    counts = summary(view.run)
    run = {
        "tool": {"driver": {"name": "cardproof", "semanticVersion": __version__, "rules": rules}},
        "invocations": [{"executionSuccessful": view.run.exit != 2, "exitCode": view.run.exit}],
        "originalUriBaseIds": {ROOT: {"description": {"text": "The root of the repository."}}},
        "columnKind": "unicodeCodePoints",
        "results": results,
        "properties": {name: counts[name] for name in ("cards", "models", "claims", *VERDICTS)},
    }
    document = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return strict_json(document, indent=1) + "\n"


def _rules(words: Iterable[str]) -> list[dict[str, Any]]:
    """Return a rule for each check, and one for each further name of findings, with its check's help."""
    rules = {check.name: _rule(check.name, check) for check in all_checks()}
    checks = checks_by_word()
    for word in sorted(set(words) - set(rules)):
        rules[word] = _rule(word, checks[word]) if word in checks else {"id": word}
    return list(rules.values())


def _rule(word: str, check: Check) -> dict[str, Any]:
    page = check.page.strip()
    first = " ".join(page.partition("\n\n")[0].split())
    return {
        "id": word,
        "shortDescription": {"text": first if word == check.name else f"{word}: {first}"},
        "help": {"text": page, "markdown": page},
    }


def _result(finding: Finding, rule: int, before: int) -> dict[str, Any]:
    """Return a finding as a result; ``before`` counts earlier ones of the same file, check and message."""
    text = f"{finding.message}\n{finding.hint}" if finding.hint else finding.message
    file, check, message = key_of(finding)
    identity = json.dumps([in_repository(file) or file, check, message, before])
    result: dict[str, Any] = {
        "ruleId": finding.check,
        "ruleIndex": rule,
        "level": finding.severity,
        "message": {"text": text.replace("](", "\\](")},  # not a link (section 3.11.6)
        "locations": [{"physicalLocation": {"artifactLocation": _file(finding), "region": _region(finding)}}],
        "partialFingerprints": {FINGERPRINT: hashlib.sha256(identity.encode()).hexdigest()[:32]},
    }
    if finding.fix and finding.fix.column != BOM_COLUMN:  # the mark is not a character of the text
        result["fixes"] = [_fix(finding, finding.fix)]
    if finding.settled:
        result["suppressions"] = [{"kind": SUPPRESSIONS[finding.settled], "justification": finding.hint or ""}]
    return result


def _region(finding: Finding) -> dict[str, int]:
    line, column = max(finding.place.line, 1), max(finding.place.column, 1)
    region = {"startLine": line, "startColumn": column}
    if finding.place.end_column and finding.place.end_column >= column:
        region |= {"endLine": line, "endColumn": finding.place.end_column}
    return region


def _fix(finding: Finding, fix: Fix) -> dict[str, Any]:
    line = max(fix.line, 1)
    region = {"startLine": line, "startColumn": fix.column, "endLine": line, "endColumn": fix.end_column}
    replacement = {"deletedRegion": region, "insertedContent": {"text": fix.text}}
    what = "Write what was found." if fix.safe else "A suggestion that somebody should look at."
    changes = [{"artifactLocation": _file(finding), "replacements": [replacement]}]
    return {"description": {"text": what}, "artifactChanges": changes}


def _file(finding: Finding) -> dict[str, str]:
    """Return a file's path from the root of the repository, or its address if it lies outside."""
    inside = in_repository(finding.place.file)
    if inside is None:
        return {"uri": Path(finding.place.file).absolute().as_uri()}
    return {"uri": quote(os.fsencode(inside)), "uriBaseId": ROOT}

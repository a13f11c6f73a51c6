"""Baselines: findings that are accepted for now; reports show them, and only new ones fail."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from cardproof.core.errors import InputError
from cardproof.core.files import show_path
from cardproof.core.types import Finding

if TYPE_CHECKING:
    from cardproof.report.run import Run

FORMAT = "cardproof-baseline/1"
"""Findings are compared by file, check and message, since lines move; a changed value is a new finding."""


def read_baseline(path: Path) -> Counter[tuple[str, str, str]]:
    """Return the findings of a baseline. Raises InputError if the file is missing or invalid."""
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise ValueError(f"its format is {data['format']}")
        rows = [(row["file"], row["check"], row["message"], int(row["count"])) for row in data["findings"]]
        if any(not isinstance(text, str) for row in rows for text in row[:3]):
            raise ValueError("a file, check or message is not text")
        return Counter({(file, check, message): count for file, check, message, count in rows})
    except FileNotFoundError:
        raise InputError(f"{show_path(path)}: no such baseline; --update-baseline writes one") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise InputError(f"{show_path(path)}: this is not a baseline: {error}") from None


def text_of_baseline(run: Run) -> str:
    """Return the baseline of a run: its errors and warnings, in order."""
    counts = Counter(_key(one) for one in run.findings if one.severity != "note" and not one.internal)
    rows = [
        {"file": file, "check": check, "message": message, "count": count}
        for (file, check, message), count in sorted(counts.items())
    ]
    return json.dumps({"format": FORMAT, "findings": rows}, indent=1, ensure_ascii=False) + "\n"


def apply_baseline(run: Run, known: Counter[tuple[str, str, str]]) -> int:
    """Turn the known findings of a run into notes; return how many of the baseline are gone."""
    left = Counter(known)
    run.cards = [replace(card, findings=tuple(_known(card.findings, left))) for card in run.cards]
    run.site_findings = _known(run.site_findings, left)
    return sum(left.values())


def _known(findings: tuple[Finding, ...] | list[Finding], left: Counter[tuple[str, str, str]]) -> list[Finding]:
    found = []
    for finding in findings:
        if finding.severity != "note" and left[_key(finding)] > 0 and not finding.fatal and not finding.internal:
            left[_key(finding)] -= 1
            finding = replace(finding, severity="note", hint="known by the baseline", settled="known")
        found.append(finding)
    return found


def _key(finding: Finding) -> tuple[str, str, str]:
    return finding.place.file, finding.check, finding.message

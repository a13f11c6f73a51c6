"""Baselines: findings that are accepted for now; reports show them, and only new ones fail."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from cardproof.core.errors import InputError
from cardproof.core.paths import show_path
from cardproof.core.types import Finding
from cardproof.report.finished_run import Run

FORMAT = "cardproof-baseline/1"
"""Findings are compared by file, check and message, since lines move; a changed value is a new finding."""
Key = tuple[str, str, str]
"""File, check and message, without the lines that a message names."""
_LINE = re.compile(r"\b(lines?) \d+|(\.\w{1,9}):\d+:\d+")
"""A line, or the place behind a file's name."""


def key_of(finding: Finding) -> Key:
    """Return what identifies a finding when lines move."""
    return finding.place.file, finding.check, _without_lines(finding.message)


def _without_lines(message: str) -> str:
    return _LINE.sub(lambda match: f"{match[1]} N" if match[1] else match[2], message)


def read_baseline(path: Path) -> Counter[Key]:
    """Return the findings of a baseline. Raises InputError if the file is missing or invalid."""
    found: Counter[Key] = Counter()
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise ValueError("its format is another one")
        for row in data["findings"]:
            if any(not isinstance(row[name], str) for name in ("file", "check", "message")):
                raise ValueError("a file, check or message is not text")
            found[row["file"], row["check"], _without_lines(row["message"])] += int(row["count"])
    except FileNotFoundError:
        raise InputError(f"{show_path(path)}: no such baseline; --update-baseline writes one") from None
    except OSError as error:
        raise InputError(f"{show_path(path)}: this is not a baseline: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        expected = f'a JSON object with "format": "{FORMAT}" and "findings" is expected'
        raise InputError(
            f"{show_path(path)}: this is not a baseline: {expected}; --update-baseline writes one"
        ) from None
    return found


def text_of_baseline(run: Run) -> str:
    """Return the baseline of a run: its errors and warnings, in order."""
    counts = Counter(key_of(one) for one in run.findings if one.severity != "note" and not one.internal)
    rows = [
        {"file": file, "check": check, "message": message, "count": count}
        for (file, check, message), count in sorted(counts.items())
    ]
    return json.dumps({"format": FORMAT, "findings": rows}, indent=1, ensure_ascii=False) + "\n"


def apply_baseline(run: Run, known: Counter[Key]) -> int:
    """Turn the known findings of a run into notes; return how many of the baseline are gone."""
    left = Counter(known)
    run.cards = [replace(card, findings=tuple(_with_known_as_notes(card.findings, left))) for card in run.cards]
    run.site_findings = _with_known_as_notes(run.site_findings, left)
    return sum(left.values())


def folder_of_baseline(path: Path, known: Counter[Key]) -> str:
    """Return the folder in which a baseline was written, in words if it is unknown; empty if it is this one."""
    files = {Path(file) for file, _, _ in known}
    if not files or any(file.exists() for file in files):
        return ""
    here = Path.cwd()
    folders = (*here.parents, path.absolute().parent, *path.absolute().parent.parents)
    found = (folder for folder in folders if any((folder / file).exists() for file in files))
    return next((show_path(folder) for folder in found), "the folder in which it was written")


def _with_known_as_notes(findings: tuple[Finding, ...] | list[Finding], left: Counter[Key]) -> list[Finding]:
    found = []
    for finding in findings:
        if finding.severity != "note" and left[key_of(finding)] > 0 and not finding.fatal and not finding.internal:
            left[key_of(finding)] -= 1
            finding = replace(finding, severity="note", hint="known by the baseline", settled="known")
        found.append(finding)
    return found

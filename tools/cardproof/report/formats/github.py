"""Annotations: findings as workflow commands of GitHub, which shows them beside the lines of a pull request.

https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cardproof.report.formats.view import in_repository
from cardproof.report.terminal import headline, printable

if TYPE_CHECKING:
    from cardproof.core.types import Finding
    from cardproof.report.formats.view import View

COMMANDS = {"error": "error", "warning": "warning", "note": "notice"}

_DATA = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_PROPERTY = {**_DATA, ":": "%3A", ",": "%2C"}


def github_of(view: View) -> str:
    """Return the findings that a person must see, an annotation each, and a last line that counts."""
    lines = [_annotation(finding) for finding in view.findings if not finding.settled]
    return "\n".join([*lines, headline(view.run)]) + "\n"


def _annotation(finding: Finding) -> str:
    place = finding.place
    properties = {
        "file": printable(in_repository(place.file) or place.file),
        "line": max(place.line, 1),
        "col": max(place.column, 1),
        **({"endColumn": place.end_column} if (place.end_column or 0) > max(place.column, 1) else {}),
        "title": f"cardproof {finding.check}",
    }
    written = ",".join(f"{name}={_escaped(str(value), _PROPERTY)}" for name, value in properties.items())
    text = f"{finding.message}\n{finding.hint}" if finding.hint else finding.message
    shown = "\n".join(printable(line) for line in text.splitlines())
    return f"::{COMMANDS[finding.severity]} {written}::{_escaped(shown, _DATA)}"


def _escaped(text: str, entities: dict[str, str]) -> str:
    """Return a text that cannot end the command that it stands in."""
    return re.sub("[%\r\n:,]", lambda match: entities.get(match.group(), match.group()), text)

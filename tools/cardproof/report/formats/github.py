"""For GitHub: findings as annotations of a pull request, and a summary in Markdown.

Annotations are workflow commands,
https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands. In the summary, all
texts of a card are escaped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from cardproof.core.paths import in_repository
from cardproof.core.terminal import printable
from cardproof.core.types import Finding, Judgement
from cardproof.render.output.text import markdown_text
from cardproof.report.finished_run import View
from cardproof.report.terminal import headline, shown_counts, summary, with_notes_grouped

COMMANDS = {"error": "error", "warning": "warning", "note": "notice"}
"""Workflow commands by severity."""
_DATA = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY = {**_DATA, ord(":"): "%3A", ord(","): "%2C"}
"""How texts and properties of workflow commands are escaped."""

MOST_ROWS = 100
"""Rows of one table: GitHub shows a summary of at most 1 MiB."""
MOST_TEXT = 400
"""Characters of one cell."""
MOST_REASONS = 5


def github_of(view: View) -> str:
    """Return an annotation for each open finding, one for the notes on a convention, and the counts."""
    lines = [_annotation(finding) for finding in with_notes_grouped(view.findings) if not finding.settled]
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
    written = ",".join(f"{name}={str(value).translate(_PROPERTY)}" for name, value in properties.items())
    text = f"{finding.message}\n{finding.hint}" if finding.hint else finding.message
    shown = "\n".join(printable(line) for line in text.splitlines())
    return f"::{COMMANDS[finding.severity]} {written}::{shown.translate(_DATA)}"


def markdown_of(view: View) -> str:
    """Return a run as a summary in Markdown."""
    facts = summary(view.run)
    refuted = [judgement for judgement in view.lists.claims if judgement.verdict == "refuted"]
    reported = {id(view.finding_of(judgement.claim)) for judgement in refuted}
    findings = with_notes_grouped(view.findings)
    others = [finding for finding in findings if id(finding) not in reported and not finding.settled]
    parts = ["## Cardproof", f"{headline(view.run)}."]
    if facts["claims"]:
        counts = ((verdict, str(number)) for verdict, number in shown_counts(facts).items())
        parts.append(_table(("Verdict", "Claims"), counts))
    if refuted:
        parts += ["### Refuted claims", _refuted(view, refuted)]
    for severity, title in (("error", "Errors"), ("warning", "Warnings"), ("note", "Notes")):
        if found := [finding for finding in others if finding.severity == severity]:
            parts += [f"### {title}", _findings(found)]
    reasons = Counter(one.reason for one in view.lists.claims if one.verdict == "unchecked").most_common(MOST_REASONS)
    if reasons:
        rows = ((_text(reason), str(number)) for reason, number in reasons)
        parts += ["### Not checked", _table(("Reason", "Claims"), rows)]
    return "\n\n".join(parts) + "\n"


def _refuted(view: View, refuted: list[Judgement]) -> str:
    heads = ("Where", "Model", "Field", "Stated", "Found", "Why")
    rows = []
    for judgement in refuted:
        claim, finding = judgement.claim, view.finding_of(judgement.claim)
        why = finding.hint if finding and finding.settled else judgement.explanation or judgement.reason
        cells = (f"{claim.place.file}:{claim.place.line}", claim.model, claim.field, claim.stated, judgement.found)
        rows.append((*map(_code, cells), _text(why or "")))
    return _table(heads, rows)


def _findings(findings: list[Finding]) -> str:
    rows = []
    for finding in findings:
        what = "<br>".join(_text(text) for text in (finding.message, finding.hint) if text)
        rows.append((_code(f"{finding.place.file}:{finding.place.line}"), _code(finding.check), what))
    return _table(("Where", "Check", "What"), rows)


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a table with the first rows, and how many more there are."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    table = "\n".join([f"| {' | '.join(heads)} |", f"|{' :--- |' * len(heads)}", *lines[:MOST_ROWS]])
    more = len(lines) - MOST_ROWS
    return f"{table}\n\n{more} more are in the full report." if more > 0 else table


def _text(value: object) -> str:
    """Return a text escaped for Markdown, without mentions."""
    return markdown_text(_shorten(value)).replace("@", "@<!-- -->")


def _code(value: object) -> str:
    """Return a text as code, in which GitHub makes no mentions and no links."""
    return f"<code>{markdown_text(_shorten(value))}</code>" if value is not None else ""


def _shorten(value: object) -> str:
    text = printable(" ".join(str(value).split()))
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}…"

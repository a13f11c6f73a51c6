"""A summary in Markdown, for a job's page on GitHub or a comment: counts, refuted claims, other findings.

Everything that comes from a card is escaped; it is text, whatever it looks like.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from cardproof.core.types import VERDICTS
from cardproof.render.output.text import markdown_text
from cardproof.report.terminal import headline, printable, summary

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cardproof.core.types import Finding
    from cardproof.report.formats.view import View

MOST_ROWS = 100
"""Rows of one table: GitHub shows a summary of at most 1 MiB."""
MOST_TEXT = 400
"""Characters of one cell."""
MOST_REASONS = 5


def markdown_of(view: View) -> str:
    """Return a run as a summary in Markdown."""
    facts = summary(view.run)
    refuted = [claim for claim in view.lists["claims"] if claim["verdict"] == "refuted"]
    told = {id(view.finding_of(claim)) for claim in refuted}
    others = [finding for finding in view.findings if id(finding) not in told and not finding.settled]
    parts = ["## Cardproof", f"{headline(view.run)}."]
    if facts["claims"]:
        parts.append(_table(("Verdict", "Claims"), ((verdict, str(facts[verdict])) for verdict in VERDICTS)))
    if refuted:
        parts += ["### Refuted claims", _refuted(view, refuted)]
    for severity, title in (("error", "Errors"), ("warning", "Warnings"), ("note", "Notes")):
        if found := [finding for finding in others if finding.severity == severity]:
            parts += [f"### {title}", _findings(found)]
    if reasons := _unchecked(view.lists["claims"]):
        parts += ["### Not checked", reasons]
    return "\n\n".join(parts) + "\n"


def _refuted(view: View, claims: list[dict[str, Any]]) -> str:
    heads = ("Where", "Model", "Field", "Stated", "Found", "Why")
    rows = []
    for claim in claims[:MOST_ROWS]:
        finding = view.finding_of(claim)
        why = finding.hint if finding and finding.settled else claim["explanation"] or claim["reason"]
        where = f"{claim['file']}:{claim['line']}"
        cells = (claim["model"], claim["field"], claim["stated"], claim["found"])
        rows.append((_code(where), *map(_code, cells), _text(why or "")))
    return _table(heads, rows, len(claims))


def _findings(findings: list[Finding]) -> str:
    rows = (
        (_code(f"{finding.place.file}:{finding.place.line}"), _code(finding.check), _text(finding.message))
        for finding in findings[:MOST_ROWS]
    )
    return _table(("Where", "Check", "What"), rows, len(findings))


def _unchecked(claims: Iterable[Mapping[str, Any]]) -> str:
    """Return the most frequent reasons why claims were not checked."""
    reasons = Counter(claim["reason"] for claim in claims if claim["verdict"] == "unchecked")
    rows = ((_text(reason), str(number)) for reason, number in reasons.most_common(MOST_REASONS))
    return _table(("Reason", "Claims"), rows) if reasons else ""


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]], among: int = 0) -> str:
    """Return a table; of ``among`` rows, it has the first ones."""
    shown = [f"| {' | '.join(row)} |" for row in rows]
    table = "\n".join([f"| {' | '.join(heads)} |", f"|{' :--- |' * len(heads)}", *shown])
    more = among - len(shown)
    return f"{table}\n\n{more} more are in the full report." if more > 0 else table


def _text(value: object) -> str:
    """Return a text as Markdown shows it as it is; names behind an @ call nobody."""
    return markdown_text(_clipped(value)).replace("@", "@<!-- -->")


def _code(value: object) -> str:
    """Return a text in the type of code, in which GitHub neither calls people nor links anything."""
    return f"<code>{markdown_text(_clipped(value))}</code>" if value is not None else ""


def _clipped(value: object) -> str:
    text = printable(" ".join(str(value).split()))
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}…"

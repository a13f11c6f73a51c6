"""Reports: one run as JSON, and as text for a terminal. Both are views of the same judgements and findings."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cardproof.read import show_path
from cardproof.words import SEVERITIES, VERDICTS, Finding, Judgement

if TYPE_CHECKING:
    from rich.console import Console

    from cardproof.build import Run
    from cardproof.snippets.pages import PagesRun
    from cardproof.snippets.results import BlockResult, PageRun
    from cardproof.snippets.words import Status

STATUSES: tuple[Status, ...] = ("pass", "fail", "skip", "not-run")

STYLE = {
    "confirmed": "green",
    "cited": "blue",
    "disputed": "yellow",
    "refuted": "bold red",
    "unchecked": "dim",
    "error": "bold red",
    "warning": "yellow",
    "note": "cyan",
}


def json_of(run: Run) -> str:
    """Return the run as one JSON object; the keys of the design stay, others may be added."""
    data = {
        "claims": [_claim(judgement) for judgement in run.verdicts.judgements],
        "published": [_claim(judgement) for judgement in run.verdicts.published],
        "findings": [_finding(finding) for finding in run.findings],
        "blocks": [_block(run, block) for run in page_runs(run) for block in run.blocks],
        "models": [
            {
                "name": model.name,
                "file": card.file,
                "line": model.place.line,
                "collections": list(model.collections),
                "metadata": model.metadata.plain() if model.metadata else {},
            }
            for card in run.reading.cards
            for model in card.models
        ],
        "pages": [
            {
                "page": show_path(change.path),
                "template": show_path(run.templates[change.path]) if change.path in run.templates else None,
                "status": change.status,
                "models": list(run.page_models.get(change.path, ())),
            }
            for change in run.changes
        ],
        "summary": summary(run),
    }
    return json.dumps(data, indent=2, ensure_ascii=False, default=str)


def summary(run: Run) -> dict[str, Any]:
    """Return the counts of a run."""
    verdicts = Counter(judgement.verdict for judgement in run.verdicts.judgements)
    statuses = Counter(block.status for page in page_runs(run) for block in page.blocks)
    severities = Counter(finding.severity for finding in run.findings)
    return {
        **{verdict: verdicts[verdict] for verdict in VERDICTS},
        **{f"{severity}s": severities[severity] for severity in SEVERITIES},
        "explained": sum(judgement.explained for judgement in run.verdicts.judgements),
        "claims": len(run.verdicts.judgements),
        "cards": len(run.reading.cards),
        "models": len(run.reading.models),
        "pages": len(run.page_models),
        "changed": sum(change.differs for change in run.changes),
        "measured": run.measured,
        "recalled": run.recalled,
        **{status: statuses[status] for status in STATUSES},
        "snippets": f"{run.snippets.ran} run, {run.snippets.recalled} recalled" if page_runs(run) else "not run",
        "exercised": len({(r.page, r.model) for r in page_runs(run) if r.model}),
        "devices": sorted({r.device for r in page_runs(run)} | ({"meta"} if run.measured or run.recalled else set())),
        "seconds": round(run.seconds, 3),
        "exit": run.exit,
    }


def page_runs(run: Run) -> list[PageRun]:
    """Return the snippet runs of all pages."""
    return [page for runs in run.snippets.by_card.values() for page in runs]


def print_report(run: Run, console: Console, *, quiet: bool = False) -> None:
    """Print the findings and, unless quiet, the verdicts by field and the summary."""
    for finding in run.findings:
        if finding.severity != "note" or not quiet:
            _print_finding(finding, console)
    if quiet:
        return
    if run.verdicts.judgements:
        console.print(verdict_table(run))
    console.print(_summary_text(run))


def verdict_table(run: Run) -> Table:
    """Return the verdicts by field as a table."""
    fields: dict[str, Counter[str]] = {}
    for judgement in run.verdicts.judgements:
        label = judgement.claim.field
        fields.setdefault(label, Counter())[judgement.verdict] += 1
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("claims about")
    for verdict in VERDICTS:
        table.add_column(verdict, justify="right", style=STYLE[verdict])
    for label, counts in sorted(
        fields.items(), key=lambda item: (-sum(item[1].values()) + item[1]["unchecked"], item[0])
    ):
        if set(counts) != {"unchecked"}:
            table.add_row(escape(label), *(str(counts[verdict] or "") for verdict in VERDICTS))
    others = sum(counts["unchecked"] for counts in fields.values() if set(counts) == {"unchecked"})
    if others:
        table.add_row("other fields", *("" for _ in VERDICTS[:-1]), str(others))
    total = Counter(judgement.verdict for judgement in run.verdicts.judgements)
    table.add_row("all", *(str(total[verdict]) for verdict in VERDICTS), style="bold")
    return table


def _summary_text(run: Run) -> Text:
    facts = summary(run)
    parts = [f"{facts['claims']} claims of {_many(facts['models'], 'model')} on {_many(facts['cards'], 'card')}"]
    parts += [f"{facts[verdict]} {verdict}" for verdict in VERDICTS if facts[verdict]]
    measured = f"{facts['measured']} measured, {facts['recalled']} recalled"
    if run.changes:
        verb = "stale" if run.checked else "written"
        measured += f"; {_many(len(run.changes), 'file')} of the site, {facts['changed']} {verb}"
    text = Text(": ".join([parts[0], ", ".join(parts[1:])]) if len(parts) > 1 else parts[0])
    text.append(f"\n{measured}; {_snippets_text(facts)}; {facts['seconds']:.1f} s", style="dim")
    return text


def _snippets_text(facts: dict[str, Any]) -> str:
    blocks = ", ".join(f"{facts[status]} {status}" for status in STATUSES if facts[status])
    if not blocks:
        return "snippets not run" if facts["snippets"] == "not run" else "no snippets"
    return f"snippets: {blocks}, for {facts['exercised']} of {_many(facts['models'], 'model')}"


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _print_finding(finding: Finding, console: Console) -> None:
    text = Text.assemble(
        (str(finding.place), "bold"),
        ": ",
        (finding.severity, STYLE[finding.severity]),
        f" [{finding.check}] {_safe(finding.message)}",
    )
    console.print(text, soft_wrap=True)
    for line in (finding.hint or "").splitlines():
        console.print(Text(f"    {_safe(line)}", style="dim"), soft_wrap=True)


def _safe(text: str) -> str:
    """Return a text without characters that steer a terminal."""
    return "".join(c if unicodedata.category(c) not in ("Cc", "Cf") else f"\\u{ord(c):04x}" for c in text)


def _claim(judgement: Judgement) -> dict[str, Any]:
    claim = judgement.claim
    return {
        "file": claim.place.file,
        "line": claim.place.line,
        "column": claim.place.column,
        "model": claim.model,
        "field": claim.field,
        "dataset": claim.dataset,
        "stated": claim.stated,
        "found": judgement.found,
        "unit": judgement.unit,
        "verdict": judgement.verdict,
        "allowed": judgement.allowed,
        "difference": judgement.difference,
        "explanation": judgement.explanation,
        "explained": judgement.explained,
        "method": judgement.method,
        "reason": judgement.reason,
        "published": claim.published,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    fix = finding.fix
    return {
        "file": finding.place.file,
        "line": finding.place.line,
        "column": finding.place.column,
        "check": finding.check,
        "severity": finding.severity,
        "message": finding.message,
        "hint": finding.hint,
        "fix": {"line": fix.line, "column": fix.column, "end_column": fix.end_column, "text": fix.text}
        if fix
        else None,
    }


def _block(run: PageRun, block: BlockResult) -> dict[str, Any]:
    return {
        "file": block.file,
        "line": block.line,
        "status": block.status,
        "message": block.message,
        "expected_line": block.expected_line,
        "seconds": block.seconds,
        "device": run.device,
        "output": block.output,
        "model": run.model,
        "hint": block.hint,
        "warnings": list(block.warnings),
        "random_weights": run.random_weights,
    }


def pages_json_of(run: PagesRun) -> str:
    """Return a run of pages as one JSON object: blocks, findings, summary."""
    data = {
        "blocks": [_block(page, block) for page in run.runs for block in page.blocks],
        "findings": [_finding(finding) for finding in run.findings],
        "summary": _pages_summary(run),
    }
    return json.dumps(data, indent=2, ensure_ascii=False)


def print_pages_report(run: PagesRun, console: Console, *, quiet: bool = False) -> None:
    """Print the findings of a run of pages and, unless quiet, its summary."""
    for finding in run.findings:
        _print_finding(finding, console)
    for path in run.updated:
        console.print(f"{show_path(path)}: stated outputs were rewritten", soft_wrap=True)
    if not quiet:
        facts = _pages_summary(run)
        blocks = ", ".join(f"{facts[status]} {status}" for status in STATUSES if facts[status]) or "no blocks"
        console.print(Text(f"{_many(facts['pages'], 'page')}: {blocks}; {facts['seconds']:.1f} s of their own"))


def _pages_summary(run: PagesRun) -> dict[str, Any]:
    blocks = [block for page in run.runs for block in page.blocks]
    statuses = Counter(block.status for block in blocks)
    severities = Counter(finding.severity for finding in run.findings)
    return {
        **{status: statuses[status] for status in STATUSES},
        **{f"{severity}s": severities[severity] for severity in SEVERITIES},
        "pages": len({page.page for page in run.runs}),
        "devices": sorted({page.device for page in run.runs}),
        "updated": len(run.updated),
        "seconds": round(sum(block.seconds for block in blocks), 3),
        "exit": run.exit,
    }

"""One run as JSON, and as text for a terminal: two views of the same judgements and findings."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click
from msgspec import to_builtins
from msgspec.structs import replace

from cardproof.core.json import strict_json
from cardproof.core.paths import show_path
from cardproof.core.terminal import one_line, printable
from cardproof.core.types import INDENTED, SEVERITIES, VERDICTS, Finding, Judgement, shorten
from cardproof.judge.card_report import CardLists, block_row, claim_row, is_checkable
from cardproof.report.finished_run import Run, load_lists

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from cardproof.judge.audit import Audit
    from cardproof.snippets.results import PagesRun
    from cardproof.snippets.types import Status

STATUSES: tuple[Status, ...] = ("pass", "fail", "skip", "not-run")

MOST_PLACES = 5
"""Claims or blocks that are named for one reason."""

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


def json_of(run: Run, lists: CardLists | None = None) -> str:
    """Return the run as one JSON object: keys may be added, never removed. ``lists`` are its long lists, if loaded."""
    lists = lists or load_lists(run)
    status = {show_path(change.path): change.status for change in run.changes}
    pages: list[tuple[str, str | None, list[str]]] = [
        (page, template, [name for name, _ in card.models]) for card in run.cards for page, template in card.pages
    ]
    of_cards = {page for page, _, _ in pages}
    pages += [(page, None, []) for page in status if page not in of_cards]
    data = {
        "claims": [claim_row(judgement) for judgement in lists.claims],
        "published": [claim_row(judgement) for judgement in lists.published],
        "findings": [_finding_row(finding) for finding in run.findings],
        **{name: getattr(lists, name) for name in ("blocks", "models", "headers")},
        "pages": [
            {"page": page, "template": template, "status": status.get(page, "unchanged"), "models": models}
            for page, template, models in pages
        ],
        "summary": summary(run),
        "method": to_builtins(run.method, enc_hook=str) if run.method else None,
    }
    return strict_json(data, indent=2, default=str)


def summary(run: Run) -> dict[str, Any]:
    """Return the counts of a run."""
    verdicts = sum((Counter(tally) for card in run.cards for tally in card.tally.values()), Counter())
    statuses = sum((Counter(card.statuses) for card in run.cards), Counter())
    severities = Counter(finding.severity for finding in run.findings)
    devices = {device for card in run.cards for device in card.devices}
    links = run.links
    said = {"reason": links.missing, "left_out": links.left_out} if links else {}
    more = {name: value for name, value in said.items() if value}
    return {
        **{verdict: verdicts[verdict] for verdict in VERDICTS},
        **{f"{severity}s": severities[severity] for severity in SEVERITIES},
        "not_checkable": run.not_checkable.total(),
        "explained": sum(card.explained for card in run.cards),
        "generated": sum(card.generated for card in run.cards),
        "claims": sum(verdicts.values()),
        "cards": len(run.cards),
        "models": sum(len(card.models) for card in run.cards),
        "pages": sum(len(card.pages) for card in run.cards),
        "changed": sum(change.differs for change in run.changes),
        "measured": run.measured,
        "recalled": run.recalled,
        "unmeasured": run.unmeasured,
        "evaluated": run.evaluated,
        "remembered": run.remembered,
        **{status: statuses[status] for status in STATUSES},
        "snippets": f"{run.snippets_ran} run, {run.snippets_recalled} recalled"
        if any(card.runs for card in run.cards)
        else "not run",
        "links": {**links.counts, "recalled": links.recalled, "date": links.date, **more} if links else "not run",
        "exercised": sum(len(card.exercised) for card in run.cards),
        "devices": sorted(devices | ({"meta"} if run.measured or run.recalled else set())),
        "seconds": round(run.seconds, 3),
        "exit": run.exit,
    }


def print_report(run: Run, *, quiet: bool = False, verbose: bool = False) -> None:
    """Print the findings, errors first, and, unless quiet, the verdicts by field and the summary.

    With ``verbose``, the unchecked claims and the columns of an audit's tables that are not read are named first, and
    the verdicts on all fields are shown, not only on those of which something is open.
    """
    shown = with_notes_grouped(finding for finding in run.findings if finding.severity != "note" or not quiet)
    print_findings(sorted(shown, key=lambda finding: SEVERITIES.index(finding.severity)))
    if verbose:
        _print_unchecked(run)
        for read in (one for card in run.audit.reading.cards for one in card.tables) if run.audit else ():
            if read.unread:
                heads = ", ".join(f"'{head}'" for head, _ in read.unread)
                click.echo(printable(f"{read.place}: columns that are not read: {heads}"))
    if quiet:
        return
    console = new_console()
    if table := verdict_table(run, every=verbose):
        console.print(table)
    console.print(_summary_text(run, verbose), soft_wrap=True)


_BY_CONVENTION = re.compile(
    r"(?P<field>[^\n]{1,100}?) of (?P<names>[^\n]{1,1500}) (?:is|are) (?P<rule>by [^\n]{1,40}'s? convention: .*)"
)
_AND_MORE = re.compile(r" and (\d{1,9}) more$")


def with_notes_grouped(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings with the notes of all cards on one convention as one, with the number of values."""
    kept: list[Finding] = []
    groups: dict[tuple[str, str], list[tuple[Finding, int]]] = {}
    for finding in findings:
        is_open_note = finding.severity == "note" and not finding.settled
        if is_open_note and (match := _BY_CONVENTION.fullmatch(finding.message)):
            more = _AND_MORE.search(match["names"])
            number = match["names"].count(", ") + 1 + (int(more[1]) if more else 0)
            groups.setdefault((match["field"], match["rule"]), []).append((finding, number))
        else:
            kept.append(finding)
    for (field, rule), group in groups.items():
        first, number = group[0][0], sum(values for _, values in group)
        if len(group) > 1:
            places = short_list([str(finding.place) for finding, _ in group])
            first = replace(first, message=f"{number} {field} are {rule} ({places})")
        kept.append(first)
    return kept


def _print_unchecked(run: Run) -> None:
    """Print each reason why a check did not judge claims, with the places of the first claims."""
    by_reason: dict[str, list[Judgement]] = {}
    for judgement in run.judgements:
        if judgement.verdict == "unchecked" and is_checkable(judgement):
            by_reason.setdefault(_generic_reason(judgement), []).append(judgement)
    for reason, judgements in by_reason.items():
        claims = [judgement.claim for judgement in judgements]
        said = reason if len(claims) > 1 else judgements[0].reason
        lines = [f"{plural(len(claims), 'claim')} unchecked: {said}"]
        for claim in claims[:MOST_PLACES]:
            lines.append(f"    {claim.place}: {claim.field} of {claim.model} ({shorten(claim.stated)})")
        if len(claims) > MOST_PLACES:
            lines.append(f"    and {len(claims) - MOST_PLACES} more")
        click.echo("\n".join(printable(one_line(line)) for line in lines))


def _generic_reason(judgement: Judgement) -> str:
    """Return a reason with dots for the model and the stated value, so that those of several claims are equal."""
    reason = judgement.reason
    for text in filter(None, (judgement.claim.model, judgement.claim.stated)):
        reason = re.sub(rf"(?<![\w.-]){re.escape(text)}(?![\w.-])", "…", reason)
    return reason


def new_console() -> Console:
    """Return a console that prints text unchanged."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)


def verdict_table(run: Run, *, every: bool = False) -> Table | None:
    """Return the verdicts by field, of those with a claim that is not confirmed or cited, or of ``every`` field.

    Fields of which nothing was checked share a row. None if there is no row.
    """
    from rich.markup import escape
    from rich.table import Table

    fields: dict[str, Counter[str]] = {}
    for card in run.cards:
        for label, found in card.tally.items():
            fields.setdefault(label, Counter()).update(found)
    for label, number in run.not_checkable.items():
        fields[label]["unchecked"] -= number
    fields = {label: +counts for label, counts in fields.items() if +counts}
    undecided = [label for label, counts in fields.items() if set(counts) == {"unchecked"}] if not every else []
    shown = [label for label in fields if every or not set(fields[label]) <= {"confirmed", "cited"}]
    if not shown:
        return None
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("claims about", overflow="fold")
    for verdict in VERDICTS:
        table.add_column(verdict, justify="right", style=STYLE[verdict], no_wrap=True, min_width=len(verdict))
    for label in sorted(shown, key=lambda label: (fields[label]["unchecked"] - fields[label].total(), label)):
        if label not in undecided:
            table.add_row(escape(printable(label)), *(str(fields[label][verdict] or "") for verdict in VERDICTS))
    if undecided:
        others = sum(fields[label]["unchecked"] for label in undecided)
        table.add_row(escape(printable(short_list(undecided))), *("" for _ in VERDICTS[:-1]), str(others))
    total = sum(fields.values(), Counter())
    table.add_row("all", *(str(total[verdict]) for verdict in VERDICTS), style="bold")
    return table


def short_list(names: Sequence[str], most: int = 3) -> str:
    """Return the first names of a list, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _summary_text(run: Run, verbose: bool) -> Text:
    from rich.text import Text

    facts = summary(run)
    links = f"; {run.links.text()}" if run.links else ""
    text = Text(headline(run))
    if fields := [field for field, _ in run.not_checkable.most_common()]:
        names = short_list(fields, len(fields) if verbose else 5)
        text.append(f"\nnot checkable, since Cardproof has no check of them: {printable(names)}", style="dim")
    if not verbose and facts["unchecked"] > facts["not_checkable"]:
        text.append("\n-v says why claims are unchecked", style="dim")
    if facts["generated"]:
        text.append(
            f"\n{facts['generated']:,} of the confirmed values were generated from the measurements by cardproof init"
        )
    text.append(
        f"\n{_measured_text(run, facts)}; {_snippets_text(facts)}{links}; {facts['seconds']:.1f} s", style="dim"
    )
    if run.zoo and run.audit and not facts["claims"]:
        text.append(f"\n{_no_claims_text(run.audit)}")
    built = facts["measured"] + facts["recalled"] + facts["unmeasured"]
    if run.method and facts["unchecked"] and not built:
        text.append("\nno network was built: name a zoo with --zoo (timm, torchvision, …)")
    return text


def _no_claims_text(audit: Audit) -> str:
    """Return what was looked at in files without a claim, and how to make it readable."""
    from cardproof.judge.checks.reading import READABLE, READABLE_LIST  # a render does not need the checks

    unread = [table for card in audit.reading.cards for table in card.unread]
    what = f"no claim was found in {plural(audit.reading.files, 'file')}"
    if unread:
        more = f" (and {len(unread) - 1} more)" if len(unread) > 1 else ""
        what += f"; the {unread[0].what} at {unread[0].place}{more} is not read: {unread[0].reason}"
    return printable(f"{what}; {READABLE_LIST if unread and unread[0].what == 'list' else READABLE}")


def _measured_text(run: Run, facts: dict[str, Any]) -> str:
    """Return how many models were measured now and earlier, and what became of the files of the site."""
    measured, recalled = facts["measured"], facts["recalled"]
    parts = [f"{measured} measured"] if measured else []
    if recalled:
        parts.append(f"{recalled} up to date" if measured else f"{plural(recalled, 'model')} up to date")
    if facts["unmeasured"]:
        parts.append(f"{facts['unmeasured']} not measured")
    parts = parts or ["nothing measured"]
    if facts["evaluated"]:
        parts.append(f"{plural(facts['evaluated'], 'result')} evaluated")
    if any(change.status == "foreign" for change in run.changes) and not run.checked:
        parts.append("nothing written")
    elif run.files:
        verb = "stale" if run.checked else "written"
        parts.append(f"{facts['changed']} of {run.files} files {verb}" if facts["changed"] else "nothing changed")
    return ", ".join(parts)


def headline(run: Run) -> str:
    """Return the number of claims, and of each verdict, in one line."""
    facts = summary(run)
    verdicts = ", ".join(f"{number} {verdict}" for verdict, number in shown_counts(facts).items() if number)
    claims = f"{plural(facts['claims'], 'claim')} of {plural(facts['models'], 'model')}"
    cards = sum(bool(card.models or card.tally or card.findings) for card in run.cards) or facts["cards"]
    claims += f" on {plural(cards, 'card')}"
    return f"{claims}: {verdicts}" if verdicts else claims


def shown_counts(facts: dict[str, Any]) -> dict[str, int]:
    """Return the number of claims by verdict, and of those that no check judges, if any."""
    apart = facts["not_checkable"]
    counts: dict[str, int] = {
        verdict: facts[verdict] - (apart if verdict == "unchecked" else 0) for verdict in VERDICTS
    }
    return {**counts, "not checkable": apart} if apart else counts


def _snippets_text(facts: dict[str, Any]) -> str:
    blocks = ", ".join(f"{facts[status]} {status}" for status in STATUSES if facts[status])
    if not blocks:
        return "snippets not run" if facts["snippets"] == "not run" else "no snippets"
    return f"snippets: {blocks}, for {facts['exercised']} of {plural(facts['models'], 'model')}"


def plural(number: int, noun: str) -> str:
    """Return a number of things: ``1 family``, ``3 families``."""
    several = f"{noun.removesuffix('y')}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number} {noun if number == 1 else several}"


def print_findings(findings: Iterable[Finding], *, err: bool = False) -> None:
    """Print findings, a line each with its hints below, in colours on a terminal only; with ``err`` to stderr."""
    color = False if os.environ.get("NO_COLOR") else None
    lines = []
    for finding in findings:
        style = STYLE[finding.severity].split()
        severity = click.style(finding.severity, fg=style[-1], bold="bold" in style)
        mark = " [*]" if finding.fix and finding.fix.safe else ""
        place = click.style(printable(str(finding.place)), bold=True)
        lines.append(f"{place}: {severity} [{finding.check}]{mark} {printable(one_line(finding.message))}")
        lines += [click.style(f"    {printable(line)}", dim=True) for line in (finding.hint or "").splitlines()]
    if lines:
        click.echo("\n".join(lines), color=color, err=err)


def count_fixes(findings: Iterable[Finding]) -> tuple[int, int]:
    """Return the number of safe fixes of findings, and of the others; several findings may have the same."""
    safe, unsafe = set(), set()
    for finding in findings:
        if finding.fix and finding.fix.safe:
            safe.add((finding.place.file, finding.fix))
        elif finding.fix or finding.check == INDENTED:
            unsafe.add((finding.place.file, finding.fix or finding.place))
    return len(safe), len(unsafe)


def _finding_row(finding: Finding) -> dict[str, Any]:
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


def pages_json_of(run: PagesRun) -> str:
    """Return a run of pages as one JSON object: blocks, findings, summary."""
    data = {
        "blocks": [block_row(page, block) for page in run.runs for block in page.blocks],
        "findings": [_finding_row(finding) for finding in run.findings],
        "summary": _pages_summary(run),
    }
    return strict_json(data, indent=2)


def print_pages_report(run: PagesRun, *, quiet: bool = False) -> None:
    """Print the findings of a run of pages and, unless quiet, its summary."""
    print_findings(run.findings)
    for path in run.updated:
        click.echo(f"{printable(show_path(path))}: stated outputs were rewritten")
    if not quiet:
        for line in _reasons(run):
            click.echo(printable(line))
        facts = _pages_summary(run)
        blocks = ", ".join(f"{facts[status]} {status}" for status in STATUSES if facts[status]) or "no blocks"
        click.echo(f"{plural(facts['pages'], 'page')}: {blocks}; {facts['seconds']:.1f} s of their own")


_ADVICE = (
    (re.compile(r"no GPU is visible"), "run it on a machine with a GPU"),
    (re.compile(r"needs a GPU"), "run it with --device cuda on a machine with a GPU"),
    (re.compile(r"needs the network"), "run it with --network, or set 'network: true' under 'snippets'"),
    (re.compile(r"needs weights"), "--random-weights runs it with random ones; .network lets it load them"),
)
"""What makes a block run, by its reason; used if the block has no hint of its own."""


def _reasons(run: PagesRun) -> list[str]:
    """Return a line for each reason why blocks were skipped or not run: how many, where, what to do."""
    places: dict[tuple[str, str, str], list[str]] = {}
    for page in run.runs:
        for block in page.blocks:
            if block.status in ("skip", "not-run"):
                reason = " ".join(block.message.split()) or "no reason is given"
                advice = next((text for pattern, text in _ADVICE if pattern.search(reason)), "")
                key = block.status, reason, block.hint or advice
                places.setdefault(key, []).append(f"{block.file}:{block.line}")
    lines = []
    for (status, reason, advice), found in places.items():
        more = [f"and {len(found) - MOST_PLACES} more"] if len(found) > MOST_PLACES else []
        where = ", ".join([*found[:MOST_PLACES], *more])
        lines.append(f"{len(found)} {status}: {reason} ({where})" + (f"; {advice}" if advice else ""))
    return lines


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

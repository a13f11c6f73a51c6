"""The function ``audit_report`` of templates: what an audit of other cards found, as sections of a page."""

from __future__ import annotations

from collections import Counter
from html import escape
from typing import TYPE_CHECKING

from cardproof.core.numbers import parse_number, show_count
from cardproof.core.types import VERDICTS
from cardproof.render.functions.audit_summary import AuditSummary, Example, read_summary
from cardproof.render.functions.compare_table import verdict_bar
from cardproof.render.templates import CallError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

MOST_BYTES = 50_000_000
"""The largest published corpus gives 4 MB."""


NUMBERS = ("Claims", "Refuted", "Number", "Stated", "Measured", "Factor")
"""Columns that hold numbers."""


def audit_report(base: Path, read: Callable[[Path], None]) -> Callable[[str], str]:
    """Return the function; files are read below ``base`` only, and each is told to ``read``."""

    def report(file: str) -> str:
        """Return the report of an audit whose JSON, whole or reduced, is in a file. Raises CallError."""
        path = base / file
        read(path)
        if not path.resolve().is_relative_to(base.resolve()):
            raise CallError(f"audit '{file}' lies outside of the site's folder")
        try:
            if path.stat().st_size > MOST_BYTES:
                raise CallError(f"audit '{file}' has more than {MOST_BYTES:,} bytes; write it with --report")
            return _report(read_summary(path.read_text(encoding="utf-8")))
        except OSError as trouble:
            raise CallError(f"audit '{file}' cannot be read: {trouble.strerror}") from trouble
        except ValueError as trouble:
            raise CallError(f"audit '{file}': {trouble}") from trouble

    return report


def _report(audit: AuditSummary) -> str:
    parts = [
        _lead(audit),
        "## Verdicts by field",
        _wide(
            "Verdicts by field",
            ("Field", "Claims", "Verdicts", "Refuted"),
            [
                (_cell(field), _count(sum(verdicts.values())), _bar(verdicts), _count(verdicts.get("refuted", 0)))
                for field, verdicts in audit.fields
            ],
        ),
    ]
    if audit.unchecked_fields:
        parts.append(f"<p>{audit.unchecked_fields:,} more claims are about fields of which nothing was checked.</p>")
    if audit.kinds:
        rows = [(_cell(kind.name), _count(kind.claims), _claim(kind.example)) for kind in audit.kinds]
        parts += [
            "## Kinds of faults",
            "<p>By what gives the stated value. One claim may show several kinds, so the numbers add up to more than "
            "the refuted claims.</p>",
            _wide("Kinds of faults", ("Kind", "Claims", "One of them"), rows),
        ]
    if audit.worst:
        worst = [_worst(example, factor) for example, factor in audit.worst]
        head = ("Model", "Field", "Stated", "Measured", "Factor", "What gives the stated value")
        parts += [
            "## Furthest off",
            "<p>Counts that differ most from the network's own, by the factor between both; one for each card.</p>",
            _wide("Furthest off", head, worst),
        ]
    return "\n\n".join([*parts, *_method(audit)])


def _lead(audit: AuditSummary) -> str:
    total = sum(audit.verdicts.values())
    models = f"models, {audit.measured:,} of them measured"
    tiles = [("", f"{audit.cards:,}", "cards"), ("", f"{audit.models:,}", models), ("", f"{total:,}", "claims")]
    tiles += [
        (f' class="cp-{verdict}"', f"{audit.verdicts[verdict]:,}", verdict)
        for verdict in VERDICTS
        if audit.verdicts.get(verdict)
    ]
    shown = "".join(f"<div{kind}><b>{number}</b><span>{words}</span></div>" for kind, number, words in tiles)
    refuted = audit.verdicts.get("refuted", 0)
    said = (
        f"<p>{audit.explained:,} of {refuted:,} refuted claims are explained exactly: a way of counting gives the "
        "stated number to the last digit that was written.</p>"
        if refuted
        else "<p>No claim was refuted.</p>"
    )
    bar = verdict_bar(Counter(audit.verdicts))
    return f'<div class="cp-audit">\n<div class="cp-audit__lead">{shown}</div>\n{bar}\n{said}\n</div>'


def _method(audit: AuditSummary) -> list[str]:
    versions = [f"cardproof {audit.cardproof}" if audit.cardproof else "", audit.zoo]
    versions += [f"torch {audit.torch}" if audit.torch else "", audit.date]
    reasons = [(_cell(text), _count(number)) for text, number in audit.reasons]
    notes = [(f"<td><code>{_text(word)}</code></td>", _count(number)) for word, number in audit.notes]
    parts = [
        "## Method",
        "<p>Each network was built without its weights and run once on the meta device at the image size of its card. "
        "Parameters and multiply-adds were counted there and compared with what the card states, at the precision "
        "that it states. Where they differ, inputs, factors and ways of counting were tried, and an explanation is "
        "given only where one of them gives the stated number. Preprocessing was compared with the zoo's configuration "
        "of the same weights, architecture with the layers and functions that ran. A claim for which weights, images "
        "or recipe were not at hand is unchecked, and is neither right nor wrong by this report.</p>",
    ]
    if reasons:
        parts.append(_wide("Why claims were not checked", ("Why claims were not checked", "Claims"), reasons))
    if notes:
        parts.append(_wide("Other findings", ("Other findings", "Number"), notes))
    parts += [
        "## Repeat it",
        f'<div class="highlight"><pre><code>{_text(audit.command)}</code></pre></div>',
        f"<p>Made with {_text(', '.join(text for text in versions if text))}.</p>" if any(versions) else "",
    ]
    return [part for part in parts if part]


def _wide(label: str, head: Iterable[str], rows: Iterable[tuple[str, ...]]) -> str:
    kinds = {text: ' class="cp-number"' if text in NUMBERS else "" for text in head}
    top = "".join(f'<th scope="col"{kind}>{text}</th>' for text, kind in kinds.items())
    body = "\n".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return (
        f'<div class="cp-audit"><div class="cp-wide" tabindex="0" role="region" aria-label="{label}">\n'
        f'<table class="cp-plain">\n<thead><tr>{top}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div></div>'
    )


def _worst(example: Example, factor: float) -> tuple[str, ...]:
    return (
        f"<td><code>{_text(example.model)}</code>{_place(example)}</td>",
        _cell(example.field),
        _shown(example.stated),
        _shown(example.found),
        _number(f"{factor:,.2f}×"),
        f"<td><small>{_text(example.explanation)}</small></td>",
    )


def _claim(example: Example) -> str:
    found = f", found {_value(example.found)}" if example.found else ""
    return (
        f"<td><code>{_text(example.model)}</code> {_text(example.field)}: stated {_value(example.stated)}{found}"
        f"{_place(example)}<br><small>{_text(example.explanation)}</small></td>"
    )


def _place(example: Example) -> str:
    return f"<br><small>{_text(example.file)}:{example.line:d}</small>"


def _bar(verdicts: dict[str, int]) -> str:
    words = ", ".join(f"{number:,} {verdict}" for verdict, number in verdicts.items())
    return f"<td>{verdict_bar(Counter(verdicts))}<small>{_text(words)}</small></td>"


def _value(text: str) -> str:
    """Return a stated or found value; whole numbers get commas, so that a reader can tell millions from billions."""
    number = parse_number(text, "count") if text.isdecimal() else None
    return show_count(number.value) if number else _text(text)


def _shown(text: str) -> str:
    return _number(_value(text))


def _number(text: str) -> str:
    return f'<td class="cp-number">{text}</td>'


def _count(number: int) -> str:
    return _number(f"{number:,d}")


def _cell(text: str) -> str:
    return f"<td>{_text(text)}</td>"


def _text(text: str) -> str:
    """Return a text as HTML on one line."""
    return escape(" ".join(str(text).split()))

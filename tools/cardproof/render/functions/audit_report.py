"""The function ``audit_report`` of templates: the result of an audit of other cards, as sections of a page.

The input is the audit's JSON, complete or reduced to counts, kinds of faults and the worst examples.
"""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from msgspec import Struct, ValidationError, convert, to_builtins

from cardproof.core.field_names import kind_of
from cardproof.core.json import strict_json
from cardproof.core.numbers import parse_number, show_count
from cardproof.core.paths import is_regular, resolve_inside
from cardproof.core.types import VERDICTS
from cardproof.judge.discrepancies import DISCREPANCIES
from cardproof.render.templates import CallError, can_exist, render_layout

SCHEMA = "cardproof-audit/1"
MOST_BYTES = 50_000_000
"""Size limit of the JSON; that of the largest published corpus has 4 MB."""
MOST_WORST = 10
MOST_REASONS = 8


class Example(Struct, frozen=True):
    """A refuted claim."""

    model: str
    field: str
    file: str
    """Relative to the audited folder."""
    line: int
    stated: str
    found: str
    explanation: str


class Kind(Struct, frozen=True):
    """A kind of fault, its number of claims, and one example."""

    name: str
    claims: int
    example: Example


class AuditSummary(Struct, frozen=True):
    """An audit in numbers."""

    command: str
    """The command that repeats it, without the folders that its paths are in."""
    zoo: str
    """Name and version of the distribution that the networks come from; empty if none was measured."""
    torch: str
    cardproof: str
    date: str
    cards: int
    models: int
    measured: int
    """Models with a measured claim."""
    explained: int
    """Refuted counts that another way of counting gives exactly."""
    verdicts: dict[str, int]
    fields: tuple[tuple[str, dict[str, int]], ...]
    """Field -> verdict -> number of claims; without fields of which no claim was checked."""
    unchecked_fields: int
    """Claims about fields of which no claim was checked."""
    kinds: tuple[Kind, ...]
    worst: tuple[tuple[Example, float], ...]
    """Counts that differ most from the measured one, with the factor between both; one for each card."""
    reasons: tuple[tuple[str, int], ...]
    """Why claims were not checked, the most frequent first."""
    notes: tuple[tuple[str, int], ...]
    """Other findings: check, and number of findings."""


def audit_report(base: Path, on_read: Callable[[Path], None]) -> Callable[[str], str]:
    """Return the function; it reads files below ``base`` only, and calls ``on_read`` with the path of each."""

    def report(file: str) -> str:
        """Return the report of an audit whose JSON is in a file. Raises CallError."""
        if not isinstance(file, str) or not can_exist(file):
            raise CallError(f"{file!r:.200} is not the name of a file")
        path = base / file
        if not resolve_inside(path, base):
            raise CallError(f"audit '{file}' lies outside of the site's folder")
        on_read(path)
        try:
            if path.exists() and not is_regular(path):
                raise CallError(f"audit '{file}' is not a regular file")
            if path.stat().st_size > MOST_BYTES:
                raise CallError(f"audit '{file}' has more than {MOST_BYTES:,} bytes; write it with --report")
            audit = read_summary(path.read_text(encoding="utf-8"))
            versions = [f"cardproof {audit.cardproof}" if audit.cardproof else "", audit.zoo]
            versions += [f"torch {audit.torch}" if audit.torch else "", audit.date]
            return render_layout("audit.html", audit=audit, versions=[*filter(None, versions)], value=_with_commas)
        except OSError as trouble:
            raise CallError(f"audit '{file}' cannot be read: {trouble.strerror}") from trouble
        except (ValueError, RecursionError) as trouble:
            raise CallError(f"audit '{file}': {trouble}") from trouble

    return report


def _with_commas(text: str) -> str:
    number = parse_number(text, "count") if text.isdecimal() else None
    return show_count(number.value) if number else text


def summarize(data: dict[str, Any]) -> AuditSummary:
    """Summarise the output of ``cardproof audit --json``. Raises ValueError for other data."""
    try:
        return _summary(data)
    except (KeyError, TypeError, AttributeError) as trouble:
        raise ValueError(f"this is not what cardproof audit --json prints ({trouble!r})") from trouble


def _summary(data: dict[str, Any]) -> AuditSummary:
    claims, summary, method = data["claims"], data["summary"], data.get("method") or {}
    fields: dict[str, Counter[str]] = {}
    for claim in claims:
        fields.setdefault(claim["field"], Counter())[claim["verdict"]] += 1
    checked = {field: counts for field, counts in fields.items() if set(counts) != {"unchecked"}}
    order = sorted(checked, key=lambda field: (-checked[field]["refuted"], -sum(checked[field].values()), field))
    names = _file_names({claim["file"] for claim in claims})
    refuted = [{**claim, "file": names[claim["file"]]} for claim in claims if claim["verdict"] == "refuted"]
    reasons = Counter(_generic_reason(claim["reason"]) for claim in claims if claim["verdict"] == "unchecked")
    checks = Counter(finding["check"] for finding in data["findings"] if finding["severity"] != "error")
    return AuditSummary(
        _without_folders(str(method.get("command", "cardproof audit PATH"))),
        str(method.get("zoo", "")),
        str(method.get("torch", "")),
        str(method.get("cardproof", "")),
        str(method.get("date", "")),
        summary["cards"],
        summary["models"],
        len({claim["model"] for claim in claims if claim["verdict"] in ("confirmed", "refuted")}),
        summary["explained"],
        {verdict: summary[verdict] for verdict in VERDICTS},
        tuple((field, {v: checked[field][v] for v in VERDICTS if checked[field][v]}) for field in order),
        sum(sum(counts.values()) for field, counts in fields.items() if field not in checked),
        _kinds(refuted),
        _largest_differences(refuted),
        tuple(reasons.most_common(MOST_REASONS)),
        tuple(sorted(checks.items(), key=lambda item: (-item[1], item[0]))),
    )


def summary_text(summary: AuditSummary) -> str:
    """Return a summary as JSON, which :func:`read_summary` reads."""
    return strict_json({"schema": SCHEMA, **to_builtins(summary, enc_hook=str)}, indent=1) + "\n"


def read_summary(text: str) -> AuditSummary:
    """Read a summary, or the complete JSON of an audit. Raises ValueError if the text is neither."""
    data = json.loads(text)
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        return summarize(data)
    try:
        return convert(data, AuditSummary)
    except ValidationError as trouble:
        raise ValueError(f"this is not a summary of an audit ({trouble})") from trouble


def _file_names(files: Iterable[str]) -> dict[str, str]:
    """Return the names of files relative to the folder that has them all: the page says nothing of a machine."""
    paths = {file: PurePosixPath(file) for file in files}
    try:
        folder = posixpath.commonpath([str(path.parent) for path in paths.values()])
    except ValueError:  # no file, or absolute and relative ones
        folder = ""
    names = {file: path.relative_to(folder) if folder else path for file, path in paths.items()}
    return {file: "/".join(part for part in name.parts if part not in ("/", "..")) for file, name in names.items()}


def _without_folders(command: str) -> str:
    """Return a command with the names of paths that lead out of the working folder, instead of these paths."""
    words = []
    for word in shlex.split(command):
        option, equals, value = word.rpartition("=")
        leads_out = value.startswith(("/", "../", "~"))
        words.append(f"{option}{equals}{PurePosixPath(value).name}" if leads_out else word)
    return shlex.join(words)


REASONS = (
    (" has no model ", "the zoo has no model of this name"),
    (" has no classification model ", "the zoo has no model of this name"),
    (" has no weights ", "the zoo has no weights of this name"),
    (" says too little to be checked", "the number has so few digits that it says too little to be checked"),
    ("probably another network", "the zoo's model of this name is probably another network"),
    ("probably counted in another way", "this card probably counts FLOPs in another way"),
    (" layers ran; ", "papers count layers in several ways"),
)
"""Words of a reason that has names or numbers -> the same reason for all models."""


def _generic_reason(text: str) -> str:
    """Return a reason without names of models, files and numbers, so that equal ones can be counted."""
    for words, reason in REASONS:
        if words in text:
            return reason
    text = re.sub(r"^not measured: [A-Z]\w*: .*", "the network could not be built or run", text)
    text = re.sub(r"weights \S+ and", "weights and", text)
    text = re.sub(r" \(?[\w.+-]*\.(?:pth|pt|safetensors|npz|tar|bin)\S*", "", text)
    return re.sub(r"(?<!\w)(?<!\d,)\d[\d,]*+ bytes", "a known number of bytes", text)


def _kinds(refuted: list[dict[str, Any]]) -> tuple[Kind, ...]:
    found: dict[str, list[dict[str, Any]]] = {}
    for claim in refuted:
        for name in [DISCREPANCIES.get(fault, "Other") for fault in claim.get("faults", ())] or ["Other"]:
            found.setdefault(name, []).append(claim)
    # the example of a kind is the claim with the fewest other kinds
    kinds = [
        Kind(name, len(claims), _example(min(claims, key=lambda claim: len(claim.get("faults", ()) or [name]))))
        for name, claims in found.items()
    ]
    return tuple(sorted(kinds, key=lambda kind: (-kind.claims, kind.name)))


def _largest_differences(refuted: list[dict[str, Any]]) -> tuple[tuple[Example, float], ...]:
    """Return the counts that differ most, one for each card, so that a family does not fill the list."""
    factors: dict[str, tuple[float, dict[str, Any]]] = {}
    for claim in refuted:
        number = parse_number(str(claim["stated"]), "count")
        found = claim["found"]
        is_count = kind_of(claim["field"]) in ("flops", "parameters") and isinstance(found, int)
        if not is_count or not number or number.value <= 0 or found <= 0:
            continue
        factor = float(number.value) / found
        factor = max(factor, 1 / factor)
        if factor > factors.get(claim["file"], (0.0, {}))[0]:
            factors[claim["file"]] = (factor, claim)
    worst = sorted(factors.values(), key=lambda pair: (-pair[0], pair[1]["file"]))[:MOST_WORST]
    return tuple((_example(claim), round(factor, 3)) for factor, claim in worst)


def _example(claim: dict[str, Any]) -> Example:
    return Example(
        str(claim["model"]),
        str(claim["field"]),
        str(claim["file"]),
        int(claim["line"]),
        str(claim["stated"]),
        "" if claim["found"] is None else str(claim["found"]),
        str(claim["explanation"] or claim["reason"] or ""),
    )

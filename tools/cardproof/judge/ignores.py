"""Ignores: comments in a card that accept a finding, with the reason.

``# cardproof: ignore[flops] reason`` in a model index, ``<!-- cardproof: ignore[closed-site] reason -->`` in the text:
after a value it is about its own line, alone on a line about the next one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from msgspec import Struct
from msgspec.structs import replace

from cardproof.core.errors import did_you_mean
from cardproof.core.source import Source
from cardproof.core.types import Finding, Place
from cardproof.judge.checks import checks_by_word
from cardproof.read.markdown import lines_of

CHECK = "ignore"
_IGNORE = re.compile(r"(?P<before>.*?)(?:#|<!--)[ \t]{0,8}cardproof:[ \t]{0,8}ignore(?P<rest>[^\r\n]*)")
_REST = re.compile(r"\[(?P<words>[a-z0-9., -]{1,200})\][ \t]*(?P<reason>.*)")


class Ignore(Struct, frozen=True):
    """One comment: the findings that it accepts, and the reason."""

    place: Place
    line: int
    """The line that it is about."""
    words: tuple[str, ...]
    reason: str


def apply_ignores(
    source: Source, findings: Iterable[Finding], undecided: Collection[int], proved: bool
) -> list[Finding]:
    """Return a card's findings with the ignored ones as notes, and with findings about the ignores.

    An ignore without a finding is a warning, except on the lines ``undecided``, and for checks that need a network if
    the card's networks were not all ``proved``.
    """
    findings = list(findings)
    if "cardproof:" not in source.text:
        return findings
    ignores, troubles = _read(source)
    used: set[Ignore] = set()
    for index, finding in enumerate(findings):
        if finding.place.file != source.name or finding.fatal or finding.internal:
            continue
        for ignore in ignores:
            if finding.place.line == ignore.line and finding.check in ignore.words:
                used.add(ignore)
                hint = f"ignored here: {ignore.reason}"
                findings[index] = replace(finding, severity="note", hint=hint, fix=None, settled="ignored")
    for ignore in ignores:
        decided = ignore.line not in undecided and (proved or _needs_no_network(ignore.words))
        if ignore not in used and decided:
            message = f"unused ignore: {', '.join(ignore.words)} finds nothing on line {ignore.line}"
            troubles.append(Finding(ignore.place, CHECK, "warning", message, "remove it"))
    return findings + troubles


def _read(source: Source) -> tuple[list[Ignore], list[Finding]]:
    ignores: list[Ignore] = []
    troubles: list[Finding] = []
    known = checks_by_word()
    markdown = source.path.suffix.lower() in (".md", ".mdx")
    for number, (start, line, is_code) in enumerate(lines_of(source.text), 1):
        text = "" if markdown and is_code else line.rstrip("\r\n")  # in code, an ignore is only an example
        match = _IGNORE.match(text) if "cardproof:" in text and len(text) < 5000 else None
        if match is None:
            continue
        place = source.place(start + match.end("before"), start + len(text))
        rest = _REST.match(match["rest"])
        words = tuple(word.strip() for word in rest["words"].split(",") if word.strip()) if rest else ()
        reason = rest["reason"].strip().removesuffix("-->").strip() if rest else ""
        unknown = [word for word in words if word not in known]
        if not words or unknown:
            what = f"no check is called {', '.join(unknown)}" if unknown else "an ignore names what it ignores"
            what += did_you_mean(unknown[0], sorted(known)) if unknown else ""
            hint = "write ignore[check] and a reason; checks are the words in brackets of reports"
            troubles.append(Finding(place, CHECK, "error", what, hint))
        elif not reason:
            message = "an ignore needs a reason; this one ignores nothing"
            troubles.append(Finding(place, CHECK, "error", message, "give the reason behind the brackets"))
        else:
            alone = not match["before"].strip()
            ignores.append(Ignore(place, number + 1 if alone else number, words, reason))
    return ignores, troubles


def _needs_no_network(words: tuple[str, ...]) -> bool:
    checks = [checks_by_word()[word] for word in words]
    return all(check.judge is None and check.check_model is None and check.check_card for check in checks)

"""Overlooked: text that an author meant as code and that the finished page does not show as code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from msgspec import Struct
from pymdownx.superfences import RE_NESTED_FENCE_START  # type: ignore[import-untyped]

from cardproof.snippets.find.observe import ObservedPage, indentation
from cardproof.snippets.find.options import suggest_option

if TYPE_CHECKING:
    from cardproof.core.types import Severity

PYTHON = frozenset({"python", "py", "python3", "py3"})
CONSOLE = frozenset({"pycon", "pycon3", "python-console"})

_LIKE = re.compile(
    r"(?P<before>[> \t]*)(?P<marker>(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*)(?P<fence>`{3,}(?=[^`]*$)|~{3,})(?P<info>.*)$"
)


class Overlooked(Struct, frozen=True):
    """Text that looks like a fence."""

    line: int
    """Index in the page's lines."""
    column: int
    """Of the fence, from 1."""
    severity: Severity
    message: str
    hint: str


def overlooked(page: ObservedPage) -> Iterator[Overlooked]:
    """Yield fence-like text of a page, in the order of its lines; HTML comments are skipped."""
    covered = {fence.start: fence.end for fence in page.fences}
    for fence in page.fences:
        if fence.fate == "lost" and fence.language.lower() in PYTHON | CONSOLE:
            yield _lost(fence.start, page.lines[fence.start])
    index = 0
    while index < len(page.lines):
        match = _LIKE.match(page.lines[index])
        if index in covered:
            index = covered[index]
        elif match and not _in_comment(page, index):
            end = _closing(page, index, match["fence"], covered)
            yield _judged(page, index, match, end is not None)
            index = end or index + 1
        else:
            index += 1


def _lost(index: int, line: str) -> Overlooked:
    message = "looks like a code fence but the page shows it with its back-ticks, as an indented block"
    hint = "indent the fence as far as the text around it, or show a fence inside a longer fence of tildes"
    return Overlooked(index, indentation(line) + 1, "warning", message, hint)


def _judged(page: ObservedPage, index: int, match: re.Match[str], closed: bool) -> Overlooked:
    column = match.start("fence") + 1
    fence, info = match["fence"], match["info"].strip()
    header = RE_NESTED_FENCE_START.match(page.lines[index], indentation(page.lines[index]))
    if not match["marker"] and (index in page.refused or header is None):
        language = re.match(r"\{?\s*\.?([\w#+-]*)", info)[1]  # type: ignore[index]
        severity: Severity = "error" if language.lower() in PYTHON | CONSOLE else "warning"
        message = f"fence header '{info}' is not understood by superfences; write {_rewritten(fence, info, language)}"
        return Overlooked(index, column, severity, message, "options are classes in braces, or a comment line above")
    if not closed:
        hint = f"write a line that is nothing but {fence}, indented like the first one, after the code"
        return Overlooked(index, column, "error", "fence is never closed", hint)
    message = "looks like a code fence but the page does not render it as one"
    hint = "put the fence on a line of its own" if match["marker"] else "indent all its lines as far as its first one"
    return Overlooked(index, column, "warning", message, hint)


def _rewritten(fence: str, info: str, language: str) -> str:
    """Return a header that superfences accepts, with the probable meaning of the refused one."""
    words = re.findall(r"[\w-]+", info)[1:]
    meant = next((option for word in words if (option := suggest_option(word))), "skip")
    return f"{fence} {{ .{language or 'python'} .{meant} }}"


def _closing(page: ObservedPage, index: int, fence: str, covered: dict[int, int]) -> int | None:
    """Return the index after the line that closes a fence; None if it is not closed before the next code."""
    for at in range(index + 1, len(page.lines)):
        if at in covered:
            return None
        if page.lines[at].lstrip("> \t").rstrip() == fence:
            return at + 1
    return None


def _in_comment(page: ObservedPage, index: int) -> bool:
    line = page.lines[index].strip()
    return any(line in comment for comment in page.comments)

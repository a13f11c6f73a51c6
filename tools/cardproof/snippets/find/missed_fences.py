"""Missed fences: text that an author meant as code and that the finished page does not show as code."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cardproof.core.types import Severity
from cardproof.snippets.find.converted_page import CONSOLE, PYTHON, ConvertedPage, indentation, suggest_option

_LIKE = re.compile(
    r"(?P<before>[> \t]*)(?P<marker>(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*)(?P<fence>`{3,}(?=[^`]*$)|~{3,})(?P<info>.*)$"
)
OTHER_SKIPS = re.compile(
    r"<!-{2,3}\s*(?:skip\s*:\s*(?:next|start)\b|pytest-codeblocks\s*:\s*skip|pytest\.mark\.skip|no-?test\b|"
    r"(?:pytest|phmdoctest|mktestdocs|doctest|markdown-docs)[\s:+._-]{1,4}(?:mark[.-])?(?:no-?test|skip)\b)"
    r"[^>\n]{0,200}?(?:if\([^\n]{0,200}?\)\s*)?-->",
    re.IGNORECASE,
)
"""Comments of sybil, pytest-codeblocks, pytest-markdown-docs, phmdoctest and others that skip a block."""
_MYST = re.compile(r"\{([\w-]+)\}[ \t]*([\w+-]*)")
_RUNS = frozenset({"code-cell", "testcode", "doctest", "jupyter-execute", "ipython", "ipython3"})
"""Directives of MyST and Sphinx whose code is Python."""
_DIRECTIVE_OPTION = re.compile(r"[> \t]*:[\w-]+:")


MissedFence = tuple[int, Severity, str, str, int]
"""Text that looks like a fence: the index of its line, severity, message, hint, and the fence's column from 1."""


def missed_fences(page: ConvertedPage) -> Iterator[MissedFence]:
    """Yield fence-like text of a page, in the order of its lines; HTML comments are skipped."""
    covered = {fence.start: fence.end for fence in page.fences}
    for fence in page.fences:
        if fence.fate == "lost" and fence.language.lower() in PYTHON | CONSOLE:
            message = "looks like a code fence but the page shows it with its back-ticks, as an indented block"
            hint = "indent the fence as far as the text around it, or show a fence inside a longer fence of tildes"
            yield fence.start, "warning", message, hint, indentation(page.lines[fence.start]) + 1
        header = _MYST.fullmatch(page.lines[fence.start].strip("> \t`~"))
        if fence.fate == "shown" and not fence.language and header and header[1].lower() in PYTHON | CONSOLE | _RUNS:
            column = indentation(page.lines[fence.start]) + 1
            yield _missed_directive(
                page, fence.start, column, page.lines[fence.start][column - 1 :].split("{")[0], header
            )
    index = 0
    while index < len(page.lines):
        line = page.lines[index]
        match = _LIKE.match(line)
        if found := _skipped_elsewhere(page, index):
            yield found
        if index in covered:
            index = covered[index]
        elif match and not any(line.strip() in comment for comment in page.comments):
            end = _line_after_fence(page, index, match["fence"], covered)
            yield _missed_fence(page, index, match, end is not None)
            index = end or index + 1
        else:
            index += 1


def _skipped_elsewhere(page: ConvertedPage, index: int) -> MissedFence | None:
    """Return a comment by which another tool skips the block below, which is run here."""
    line = page.lines[index]
    match = OTHER_SKIPS.search(line)
    fence = next((fence for fence in page.fences if fence.end > index), None)
    if not match or not any(match[0][4:-3].strip("- ") in comment for comment in page.comments):
        return None
    if fence is None or fence.start <= index or fence.language.lower() not in PYTHON | CONSOLE:
        return None
    message = f"'{match[0]}' is a comment of another tool: the block below it is run here"
    return index, "warning", message, 'write <!-- snippet: skip reason="…" --> to skip it', match.start() + 1


def _missed_fence(page: ConvertedPage, index: int, match: re.Match[str], closed: bool) -> MissedFence:
    column = match.start("fence") + 1
    fence, info = match["fence"], match["info"].strip()
    if not match["marker"] and (index in page.refused or not (page.is_commonmark or _is_header(page.lines[index]))):
        if myst := _MYST.match(info):
            return _missed_directive(page, index, column, fence, myst)
        language = re.match(r"\{?\s*\.?([\w#+-]*)", info)[1]  # type: ignore[index]
        severity: Severity = "error" if language.lower() in PYTHON | CONSOLE else "warning"
        message = f"fence header '{info}' is not understood; write {_accepted_header(fence, info, language)}"
        return index, severity, message, "options are classes in braces, or a comment line above", column
    if not closed:
        hint = f"write a line that is nothing but {fence}, indented like the first one, after the code"
        return index, "error", "fence is never closed", hint, column
    message = "looks like a code fence but the page does not render it as one"
    hint = "put the fence on a line of its own" if match["marker"] else "indent all its lines as far as its first one"
    return index, "warning", message, hint, column


def _is_header(line: str) -> bool:
    from pymdownx.superfences import RE_NESTED_FENCE_START  # type: ignore[import-untyped]  # few pages need it

    return RE_NESTED_FENCE_START.match(line, indentation(line)) is not None


def _accepted_header(fence: str, info: str, language: str) -> str:
    """Return a header that superfences accepts, with the probable meaning of the refused one."""
    given = re.findall(r"""(?<![\w-])([\w-]+)=("[^"]*"|'[^']*'|[^\s{}]+)""", info)
    rest = re.sub(r"""(?<![\w-])[\w-]+=("[^"]*"|'[^']*'|[^\s{}]+)""", " ", info)
    if name := re.search(r"(?<![\w./-])[\w./-]{1,200}\.(?:py|pyi|ipynb)\b", rest):
        rest = rest.replace(name[0], " ")
        given.append(("title", f'"{name[0]}"'))
    words = [word for word in re.findall(r"[A-Za-z][\w-]*", rest) if word != language]
    options = dict.fromkeys(f".{option}" for word in words if (option := suggest_option(word)))
    kept = [f"{'hl_lines' if key == 'highlight' else key}={value}" for key, value in given]
    if marked := re.search(r"\{([\d, -]+)\}", rest):
        kept.append(f'hl_lines="{" ".join(re.findall(r"[0-9-]+", marked[1]))}"')
    if re.search(r"\b(?:showLineNumbers|line-?numbers|linenos?)\b", rest, re.IGNORECASE):
        kept.append('linenums="1"')
    unknown = [".skip"] if words and not (options or kept) else []
    return " ".join([f"{fence} {{ .{language or 'python'}", *options, *unknown, *kept, "}"])


def _missed_directive(page: ConvertedPage, index: int, column: int, fence: str, header: re.Match[str]) -> MissedFence:
    """Return what to write for a directive of MyST, such as ``{code-block} python``, or for knitr's ``{python}``."""
    name, language = header[1].lower(), header[2].lower()
    options: list[str] = []
    for line in page.lines[index + 1 :]:
        if not _DIRECTIVE_OPTION.match(line):
            break
        options.append(line.strip("> \t"))
    is_python = name in PYTHON | CONSOLE
    if is_python or name in _RUNS or language.startswith("ipython"):
        language = name if is_python else "python"
    elif name not in ("code", "code-block", "sourcecode"):
        language = ""
    skipped = " .skip" if any("skip" in option for option in options) else ""
    message = f"'{header[0].strip()}' is a directive of another tool, and its code is not run here"
    if language:
        message += f"; write {fence} {{ .{language}{skipped} }}"
    hint = f"and leave out the lines below it: {' '.join(options)}" if options else "directives are not run"
    return index, "warning", message, hint, column


def _line_after_fence(page: ConvertedPage, index: int, fence: str, covered: dict[int, int]) -> int | None:
    """Return the index after the line that closes a fence; None if it is not closed before the next code."""
    for at in range(index + 1, len(page.lines)):
        if at in covered:
            return None
        if page.lines[at].lstrip("> \t").rstrip() == fence:
            return at + 1
    return None

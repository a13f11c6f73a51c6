"""A converted page: its fences with their options, its comments and prose, and the source of each of its lines."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher, get_close_matches
from typing import Any, Literal, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from cardproof.snippets.types import Options

T = TypeVar("T")

Origin = tuple[str | None, int]
"""An included file, or None for the page itself, and its line, from 1."""

PYTHON = frozenset({"python", "py", "python3", "py3"})
CONSOLE = frozenset({"pycon", "pycon3", "python-console"})

NAMES = ("skip", "gpu", "network", "expect-error", "hide", "fresh", "output")
"""Options of a block; ``setup`` exists in comments only."""
THEME_CLASSES = frozenset({"annotate", "copy", "no-copy", "select", "no-select", "highlight", "linenums", "result"})
"""Classes of mkdocs-material and pymdown."""
OTHER_NAMES = {
    **dict.fromkeys(("notest", "no-test", "norun", "no-run", "ignore", "skipped", "no-check", "noexec"), "skip"),
    **dict.fromkeys(("cuda", "requires-gpu", "needs-gpu"), "gpu"),
    **dict.fromkeys(("internet", "online", "net"), "network"),
    **dict.fromkeys(("raises", "error", "should-fail", "expect-exception"), "expect-error"),
    **dict.fromkeys(("hidden", "invisible"), "hide"),
    **dict.fromkeys(("new", "isolated", "reset"), "fresh"),
    **dict.fromkeys(("out", "outputs", "stdout"), "output"),
}
"""Names of the options in other tools."""

WRONG_TIMEOUT = "option 'timeout' needs a number of seconds: '.timeout=120'"
_SECONDS = re.compile(r"\d{1,6}(?:\.\d{1,3})?")
_WORD = re.compile(r"""([\w-]+)(?:=(?:"([^"]*)"|'([^']*)'|(\S+)))?""")

Fate = Literal["shown", "commented", "lost"]
"""What the page makes of a fence: code, a part of an HTML comment, or neither (its back-ticks show)."""


class Fence(Struct):
    """A closed fence whose header was accepted; code and fate are known after the conversion."""

    start: int
    """Index in the page's lines of the header."""
    end: int
    """Index after the closing line."""
    language: str
    classes: tuple[str, ...]
    """Fence classes after the language."""
    attributes: dict[str, str]
    """Attributes of the header: ``reason="…"``, ``title="…"``, and ``id`` for ``#name``."""
    code: str = ""
    fate: Fate = "lost"


class Comment(Struct, frozen=True):
    """A ``<!-- snippet: … -->`` that is a comment of the page."""

    line: int
    """Index in the page's lines."""
    text: str
    """The text after ``snippet:``."""


class Prose(Struct):
    """The text between two fences or comments."""

    text: str = ""
    paragraphs: int = 0
    others: int = 0
    """Headings, list items, tables, images."""


class ConvertedPage(Struct, frozen=True):
    """A converted page, after its snippets (``--8<--``) were included."""

    lines: tuple[str, ...]
    origins: tuple[Origin, ...]
    """For each line: the included file, or None for the page, and its line there, from 1."""
    fences: tuple[Fence, ...]
    """All of them, by line."""
    shown: tuple[Fence | Comment | Prose, ...]
    """The visible parts, in the order of the HTML."""
    comments: tuple[str, ...]
    """Texts of all HTML comments."""
    refused: frozenset[int]
    """Indexes of lines that were refused as headers."""
    missing: tuple[str, ...]
    """Paths of missing snippet files."""
    is_commonmark: bool = False
    """No site converts the page: it has no superfences."""


def indentation(line: str) -> int:
    """Return the number of characters before a fence: blanks and the marks of block quotes."""
    return len(line) - len(line.lstrip("> \t"))


def fence_options(classes: Sequence[str], attributes: Mapping[str, str]) -> tuple[Options, list[str], list[str]]:
    """Return the options of a fence header, error messages and warnings.

    A class that is neither an option nor of the theme may be the author's own style: that is a warning, unless it is
    close to the name of an option.
    """
    options, errors, warnings = Options(), [], []
    for key in (".timeout", "timeout", "data-timeout"):
        if key in attributes:
            options = _with_option(options, "timeout", {"timeout": attributes[key]})
            errors += [WRONG_TIMEOUT] if options.timeout is None else []
    for name in classes:
        if (known := "output" if name == "expected" else name) in NAMES:
            options = _with_option(options, known, attributes)
        elif name == "timeout":
            errors.append(WRONG_TIMEOUT)
        elif meant := suggest_option(name):
            errors.append(f"unknown option '.{name}', did you mean '.{meant}'?")
        elif name not in THEME_CLASSES:
            warnings.append(f"class '.{name}' is not an option of a snippet and changes nothing about how it runs")
    return options, errors, warnings


def comment_options(text: str, options: Options) -> tuple[Options, list[str]]:
    """Return options with those of a comment (``skip reason="…"``) added, and error messages."""
    words = [(match[1], next((v for v in match.groups()[1:] if v is not None), None)) for match in _WORD.finditer(text)]
    values = {name: value for name, value in words if value is not None}
    errors = []
    for name, value in words:
        if name == "timeout":
            options = _with_option(options, name, values)
            errors += [WRONG_TIMEOUT] if options.timeout is None else []
        elif name in NAMES:
            options = _with_option(options, name, {"error": value, **values} if value else values)
        elif name not in ("reason", "error") or value is None:
            meant = suggest_option(name)
            suggestion = f", did you mean '{meant}'?" if meant else ""
            errors.append(f"unknown option '{name}' in a snippet comment{suggestion}")
    return options, errors


def suggest_option(word: str) -> str | None:
    """Return the option that an unknown word probably means."""
    word = word.lower().replace("_", "-")
    close = get_close_matches(word, NAMES, 1, 0.75)
    return OTHER_NAMES.get(word) or (close[0] if close else None)


def _with_option(options: Options, name: str, values: Mapping[str, Any]) -> Options:
    if name == "expect-error":
        return replace(options, expect_error=values.get("error") or values.get("data-error") or "")
    if name == "skip":
        reason = values.get("reason") or values.get("data-reason") or options.reason
        return replace(options, skip=True, reason=reason)
    if name == "timeout":
        text = str(values.get("timeout", ""))
        return replace(options, timeout=float(text) if _SECONDS.fullmatch(text) and float(text) else None)
    changes: dict[str, Any] = {name: True}
    return replace(options, **changes)


MOST_PAIRS = 4_000_000
"""Pairs of lines that are compared with one another; of longer texts, only what is equal at both ends is found."""


def align_lines(old: Sequence[str], known: Sequence[T], new: Sequence[str]) -> list[T | None]:
    """Return the entry of ``known`` for each new line: that of the equal or replaced old line; None for an added one.

    Lines are compared without their blanks; ``known`` is as long as ``old``.
    """
    before, after = ["".join(line.split()) for line in old], ["".join(line.split()) for line in new]
    found: list[T | None] = [None] * len(new)
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    is_short = len(before) * len(after) <= MOST_PAIRS
    for tag, i, i_end, j, j_end in matcher.get_opcodes() if is_short else _opcodes_without_diff(before, after):
        if tag in ("equal", "replace"):
            for at in range(j, j_end):
                found[at] = known[min(i + at - j, i_end - 1)]
    return found


def _opcodes_without_diff(before: Sequence[str], after: Sequence[str]) -> list[tuple[str, int, int, int, int]]:
    """Return the equal lines at the start and the end of two texts, and all between them as replaced."""
    same = [one == other for one, other in zip(before, after, strict=False)]
    head = same.index(False) if False in same else len(same)
    rest = zip(reversed(before[head:]), reversed(after[head:]), strict=False)
    same = [one == other for one, other in rest]
    tail = same.index(False) if False in same else len(same)
    i, j = len(before) - tail, len(after) - tail
    between = [("replace", head, i, head, j)] if i > head else []
    return [("equal", 0, head, 0, head), *between, ("equal", i, len(before), j, len(after))]


def fill_gaps(known: Sequence[T | None], first: T) -> list[T]:
    """Fill each None with the entry before it."""
    result: list[T] = []
    for item in known:
        first = first if item is None else item
        result.append(first)
    return result

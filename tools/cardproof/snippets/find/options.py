"""Options of a block, from fence classes or from a comment on the line above."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from msgspec.structs import replace

from cardproof.snippets.types import Options

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


def fence_options(classes: Sequence[str], attributes: Mapping[str, str]) -> tuple[Options, list[str], list[str]]:
    """Return the options of a fence header, error messages and warnings.

    A class that is neither an option nor of the theme may be the author's own style: that is a warning, unless it is
    close to the name of an option.
    """
    options, errors, warnings = Options(), [], []
    for key in (".timeout", "timeout", "data-timeout"):
        if key in attributes:
            options = _with(options, "timeout", {"timeout": attributes[key]})
            errors += [WRONG_TIMEOUT] if options.timeout is None else []
    for name in classes:
        if (known := "output" if name == "expected" else name) in NAMES:
            options = _with(options, known, attributes)
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
            options = _with(options, name, values)
            errors += [WRONG_TIMEOUT] if options.timeout is None else []
        elif name in NAMES:
            options = _with(options, name, {"error": value, **values} if value else values)
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


def _with(options: Options, name: str, values: Mapping[str, Any]) -> Options:
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

"""Causes: a block that lacks a name says which block before it should have given it, and what became of that one."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from msgspec.structs import replace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cardproof.snippets.types import Block, Outcome

_LACKS = re.compile(r"NameError: name '(\w+)' is not defined")
_UNDECLARED = re.compile(r"NameError: name '([A-Z][A-Z0-9_]+)' is not defined")
_OTHER_LANGUAGE = re.compile(r"NameError: name '(true|false|null|none)' is not defined")
_PYTHON = {"true": "True", "false": "False", "null": "None", "none": "None"}
_PROMPT = re.compile(r"(?m)^[ \t]*(?:>>>|\.\.\.) ?(.*)$")


def with_causes(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return the outcomes of a page's blocks, in page order, with those that only follow from earlier ones told so.

    What lacks a name of a block that was skipped or not run is skipped too: it could not be tried. What lacks a name
    of a block that failed stays failed, with a hint to the block where the trouble began.
    """
    result: list[Outcome] = []
    for outcome in outcomes:
        lacks = _LACKS.search(outcome.message) if outcome.status == "fail" else None
        name = lacks[1] if lacks else ""
        cause = next((earlier for earlier in reversed(result) if _should_define(earlier, name)), None)
        result.append(_explained(outcome, name, cause) if name and cause else outcome)
    return result


def hint_for(error: str | None) -> str | None:
    """Return what to do about a NameError of an upper-case name that is not declared, or of another language's name."""
    if other := _OTHER_LANGUAGE.search(error or ""):
        return f"write {_PYTHON[other[1]]}: that is how Python spells {other[1]}"
    if not (match := _UNDECLARED.search(error or "")):
        return None
    return (
        f"declare it as a placeholder: 'placeholders: {{{match[1]}: value}}' under the plugin cardproof, "
        f"or set it in hidden set-up: <!-- snippet: setup … -->"
    )


def _should_define(outcome: Outcome, name: str) -> bool:
    return outcome.status != "pass" and name in _defined(outcome.block)


def _explained(outcome: Outcome, name: str, cause: Outcome) -> Outcome:
    file, line = cause.block.located(1)
    where = f"line {line}" if file == outcome.block.file else f"{file}:{line}"
    if cause.status == "fail":
        return replace(outcome, hint=f"'{name}' comes from the block at {where}, which failed")
    became = "skipped" if cause.status == "skip" else "not run"
    return replace(outcome, status="skip", message=f"needs '{name}' of the block at {where}, which was {became}")


def _defined(block: Block) -> set[str]:
    """Return the names that a block's code binds, at whatever depth; none for code that is no Python."""
    code = "\n".join(_PROMPT.findall(block.code)) if block.console else block.code
    try:
        nodes = list(ast.walk(ast.parse(code)))
    except (SyntaxError, ValueError, RecursionError):
        return set()
    names = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    names |= {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
    return names

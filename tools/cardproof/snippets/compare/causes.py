"""Causes: why a name is undefined: an earlier block that failed or did not run, or an undeclared placeholder."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

if TYPE_CHECKING:
    from cardproof.snippets.types import Block, Outcome

_UNDEFINED = re.compile(r"NameError: name '(\w+)' is not defined")
_UNDECLARED = re.compile(r"NameError: name '([A-Z][A-Z0-9_]+)' is not defined")
_OTHER_LANGUAGE = re.compile(r"NameError: name '(true|false|null|none)' is not defined")
_PYTHON = {"true": "True", "false": "False", "null": "None", "none": "None"}
_PROMPT = re.compile(r"(?m)^[ \t]*(?:>>>|\.\.\.) ?(.*)$")


def with_causes(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return the outcomes of a page's blocks, in page order, with the causes of undefined names.

    A block that needs a name of a block that was skipped or not run is skipped too. One that needs a name of a failed
    block stays failed, with a hint to that block.
    """
    result: list[Outcome] = []
    for outcome in outcomes:
        undefined = _UNDEFINED.search(outcome.message) if outcome.status == "fail" else None
        name = undefined[1] if undefined else ""
        unfinished = (earlier for earlier in reversed(result) if name and earlier.status != "pass")
        cause = next((earlier for earlier in unfinished if name in _defined(earlier.block)), None)
        result.append(_explained(outcome, name, cause) if cause else outcome)
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


def _explained(outcome: Outcome, name: str, cause: Outcome) -> Outcome:
    file, line = cause.block.located(1)
    where = f"line {line}" if file == outcome.block.file else f"{file}:{line}"
    if cause.status == "fail":
        return replace(outcome, hint=f"'{name}' comes from the block at {where}, which failed")
    state = "skipped" if cause.status == "skip" else "not run"
    return replace(outcome, status="skip", message=f"needs '{name}' of the block at {where}, which was {state}")


def _defined(block: Block) -> set[str]:
    """Return the names that a block's code binds, at any depth; none if it is not valid Python."""
    code = "\n".join(_PROMPT.findall(block.code)) if block.console else block.code
    try:
        nodes = list(ast.walk(ast.parse(code)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    names = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    names |= {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
    return names

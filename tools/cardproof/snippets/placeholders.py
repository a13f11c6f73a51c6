"""Placeholders: names that stand for a reader's own value get one from the configuration, for the run only."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from cardproof.snippets.types import Block, Options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NAME = re.compile(r"[A-Z][A-Z0-9_]+")
_UNDEFINED = re.compile(r"NameError: name '([A-Z][A-Z0-9_]+)' is not defined")

_PYTHON = {"true": "True", "false": "False", "null": "None", "none": "None"}
_OTHER_LANGUAGE = re.compile(r"NameError: name '(true|false|null|none)' is not defined")


class PlaceholderError(Exception):
    """A declared placeholder that cannot be one; the message says why."""


def with_placeholders(blocks: Sequence[Block], values: Mapping[str, Any], file: str) -> tuple[Block, ...]:
    """Return the blocks of a page with hidden set-up that gives the declared placeholders they use their values.

    ``file`` is where the placeholders are declared. The blocks themselves stay as written. Raises PlaceholderError.
    """
    check_placeholders(values)
    result: list[Block] = []
    run: list[Block] = []
    for block in [*blocks, None]:
        if run and (block is None or block.options.fresh):
            result += _run(run, values, file)
            run = []
        if block is not None:
            run.append(block)
    return tuple(result)


def check_placeholders(values: Mapping[str, Any]) -> None:
    """Raise PlaceholderError for a name that is not upper-case or a value that is no number, text, list or mapping."""
    for name, value in values.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise PlaceholderError(f"placeholder '{name}' is no upper-case name")
        try:
            ast.literal_eval(repr(value))
        except (ValueError, SyntaxError):
            raise PlaceholderError(f"placeholder {name} has a value of type {type(value).__name__}") from None


def used_placeholders(code: str, values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the declared names that code reads, sorted; none for code that is no Python. Consoles count as well."""
    lines = re.findall(r"(?m)^[ \t]*(?:>>>|\.\.\.) ?(.*)$", code) if code.lstrip().startswith(">>>") else [code]
    try:
        tree = ast.parse("\n".join(lines))
    except (SyntaxError, ValueError, RecursionError):
        return ()
    read = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    return tuple(sorted(read & set(values)))


def hint_for(error: str | None) -> str | None:
    """Return what to do about a NameError of an upper-case name that nobody declared; None for other errors."""
    other = _OTHER_LANGUAGE.search(error or "")
    if other:
        return f"write {_PYTHON[other[1]]}: that is how Python spells {other[1]}"
    match = _UNDEFINED.search(error or "")
    if not match:
        return None
    return (
        f"declare it as a placeholder: 'placeholders: {{{match[1]}: value}}' under the plugin cardproof, "
        f"or set it in hidden set-up: <!-- snippet: setup … -->"
    )


def _run(blocks: Sequence[Block], values: Mapping[str, Any], file: str) -> list[Block]:
    """Return blocks that share their names, with set-up before them; it takes over where the first starts afresh."""
    names = sorted({name for block in blocks for name in used_placeholders(block.code, values)})
    if not names:
        return list(blocks)
    code = "\n".join(f"{name} = {values[name]!r}" for name in names)
    fresh = blocks[0].options.fresh
    set_up = Block(file, 1, code, Options(hide=True, setup=True, fresh=fresh))
    return [set_up, replace(blocks[0], options=replace(blocks[0].options, fresh=False)), *blocks[1:]]

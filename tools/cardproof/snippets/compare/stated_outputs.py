"""Stated outputs: the outputs that the text of a block states, and the statements that they belong to."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator, Sequence
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from cardproof.snippets.doctest_blocks import Example, examples
from cardproof.snippets.name_uses import tree_of
from cardproof.snippets.types import Block, ConsoleError

Kind = Literal["strict", "loose", "console", "output"]

_OTHER = r"(?:#\s*(?:noqa|type:|pyright:|pylint:|mypy:|fmt:|ruff:)[^#]*(?=#))?"
"""A comment for another tool before it, such as ``# noqa``."""
_STRICT = re.compile(_OTHER + r"#\s*prints\s*:[ \t]?|#>[ ]?", re.IGNORECASE)
_LOOSE = re.compile(_OTHER + r"#\s*prints\b[^:]*\blike\b[^:]*:[ \t]?|" + _OTHER + r"#\s*e\.g\.:[ \t]?", re.IGNORECASE)
_MOST_STATEMENTS = 20
"""Statements of an inner body whose outputs together may be a stated one."""
_MARK = re.compile(r"(?<!\s)\s*+(?:#\s*+\(\d++\)!?|#\s*+snippet:\s*+hide)\s*+$")
"""A code annotation of mkdocs-material, or the mark of a hidden line: no part of an expectation."""

Span = tuple[int, int, int]
"""Line within the code (or within the stated output), from 1; first and last column, from 0, the last not included."""


class Expectation(Struct, frozen=True):
    """One stated output."""

    kind: Kind
    text: str
    line: int
    """Line of its first text within the block's code; for ``output`` within the stated output."""
    spans: tuple[Span, ...]
    """Position of each line of ``text``; empty if there is no text."""
    statements: tuple[tuple[int, int], ...] = ()
    """First and last line of the statements whose output this may be: those after the previous expectation."""
    inner: tuple[tuple[int, int], ...] = ()
    """The same within the body of a function, class, loop, condition or ``with``: the statements of that body."""
    in_function: bool = False
    """That body runs when it is called."""
    can_grow: bool = True
    """It has lines of its own, so that lines can be added or removed."""
    example: Example | None = None
    """Of a console."""
    swallowed: int | None = None
    """Line of a ``...`` that was meant as output and is a prompt (cpython#76690)."""
    heading: Span | None = None
    """Of an expectation without text: the place after ``# prints:``."""


def expectations(block: Block) -> tuple[Expectation, ...]:
    """Return all stated outputs of a block, in the order of their lines. Raises ConsoleError.

    A block that is not valid Python has none: it fails before anything could be compared.
    """
    found = _console(block.code) if block.console else _expectations_in_comments(block.code)
    if block.stated_output is not None:
        text = block.stated_output[0]
        lines = text.split("\n") if text else []
        spans = tuple((number, 0, len(line)) for number, line in enumerate(lines, 1))
        found.append(Expectation("output", text, 1, spans))
    return tuple(found)


def compared_lines(block: Block) -> set[int]:
    """Return the lines of code on which an output is stated."""
    return {span[0] for expectation in expectations(block) for span in expectation.spans}


def unknown_directives(block: Block) -> tuple[tuple[int, str], ...]:
    """Return the directives of a console that are not known here, with the lines of their examples."""
    try:
        found = examples(block.code) if block.console else ()
    except ConsoleError:
        return ()
    return tuple((example.line, name) for example in found for name in example.unknown)


class Comment(Struct, frozen=True):
    """A comment of Python code."""

    line: int
    column: int
    text: str
    alone: bool
    """Whether it is alone on its line."""


def _expectations_in_comments(code: str) -> list[Expectation]:
    comments = comments_of(code)
    try:
        statements = statement_lines(code)
        bodies = tuple(_bodies(ast.parse(code)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    found: list[Expectation] = []
    used, index = 0, 0
    while index < len(comments):
        count = _comment_count(comments, index)
        if not count:
            index += 1
            continue
        own = [s for s in statements if s[0] <= comments[index].line]
        same = found[-1].statements[-1:] if found else ()
        since = own[-1:] if same and own and own[-1] == same[0] else own[used:]
        used = len(own)
        inner, in_function = _statements_before_comment(bodies, comments[index])
        stated = _expectation(comments[index : index + count], tuple(since))
        found.append(replace(stated, inner=inner, in_function=in_function))
        index += count
    return found


_Body = tuple[int, tuple[tuple[int, int], ...], bool]
"""Statements that are not at the top level: their column, their lines, and whether they are in a function."""


def _bodies(node: ast.AST, in_function: bool = False) -> Iterator[_Body]:
    """Yield the bodies below a node, outer ones first."""
    in_function = in_function or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
            if not hasattr(child, "body") and isinstance(child, ast.stmt) and _prints_when_called(child):
                yield child.col_offset, ((child.lineno, child.end_lineno or child.lineno),), True
            inside = in_function or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            for name in ("body", "orelse", "finalbody"):
                if nodes := [item for item in getattr(child, name, ()) if isinstance(item, ast.stmt)]:
                    lines = tuple((item.lineno, item.end_lineno or item.lineno) for item in nodes)
                    yield nodes[0].col_offset, lines, inside
            yield from _bodies(child, in_function)


def _prints_when_called(node: ast.stmt) -> bool:
    inner = (item for function in ast.walk(node) if isinstance(function, ast.Lambda) for item in ast.walk(function))
    return any(isinstance(item, ast.Name) and item.id == "print" for item in inner)


def _statements_before_comment(bodies: Sequence[_Body], comment: Comment) -> tuple[tuple[tuple[int, int], ...], bool]:
    """Return the statements of an inner body up to the one that a comment is about, and whether it is a function's."""
    found: tuple[tuple[tuple[int, int], ...], bool] = ((), False)
    ends = -1
    for column, lines, in_function in bodies:
        if comment.alone and comment.column < column:
            continue
        upto = tuple(item for item in lines if item[0] <= comment.line)
        beside = upto and upto[-1][0] <= comment.line <= upto[-1][1]
        if upto and (beside or comment.alone) and upto[-1][1] >= ends:
            found, ends = (upto[-_MOST_STATEMENTS:], in_function), upto[-1][1]
    return found


def statement_lines(code: str) -> list[tuple[int, int]]:
    """Return first and last line of each top-level statement; those that share a line are one. Raises SyntaxError."""
    lines: list[tuple[int, int]] = []
    for node in ast.parse(code).body:
        first = min([node.lineno, *(item.lineno for item in getattr(node, "decorator_list", []))])
        last = node.end_lineno or node.lineno
        if lines and first <= lines[-1][1]:
            lines[-1] = (lines[-1][0], last)
        else:
            lines.append((first, last))
    return lines


def comments_of(code: str) -> list[Comment]:
    """Return the comments of Python code; none if it is not."""
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(code + "\n").readline))
    except (SyntaxError, ValueError, RecursionError, MemoryError, tokenize.TokenError):
        return []
    comments = []
    for token in tokens:
        if token.type == tokenize.COMMENT:
            line, column = token.start
            comments.append(Comment(line, column, token.string, not token.line[:column].strip()))
    return comments


def _comment_count(comments: Sequence[Comment], index: int) -> int:
    """Return the number of comments, from this one on, that are one expectation; 0 if this is an ordinary comment."""
    first = comments[index]
    marker = marker_of(first.text)
    if not marker:
        return 0
    heading = _is_heading(first.text, marker)
    count = 1
    for before, after in zip(comments[index:], comments[index + 1 :], strict=False):
        own = marker_of(after.text)
        if heading:
            more = own is None
        else:
            more = first.alone and own == marker and not _is_heading(after.text, marker)
            more = more and first.text.startswith("#>") == after.text.startswith("#>")
        if not (more and after.alone and after.line == before.line + 1):
            break
        count += 1
    return count


def marker_of(comment: str) -> re.Pattern[str] | None:
    """Return the pattern of the words by which a comment states an output; None for another comment."""
    return next((pattern for pattern in (_LOOSE, _STRICT) if pattern.match(comment)), None)


def _is_heading(comment: str, marker: re.Pattern[str]) -> bool:
    """Return whether an expectation's text begins on the next line; ``#>`` alone states an empty line."""
    return not comment.startswith("#>") and not _MARK.sub("", marker.sub("", comment, count=1)).strip()


def _expectation(comments: Sequence[Comment], statements: tuple[tuple[int, int], ...]) -> Expectation:
    first = comments[0]
    marker = marker_of(first.text)
    assert marker
    heading = _is_heading(first.text, marker)
    spans, lines = [], []
    for comment in comments[1:] if heading else comments:
        start = (re.match(r"#[ \t]?", comment.text) if heading else marker.match(comment.text)).end()  # type: ignore[union-attr]
        text = _MARK.sub("", comment.text[start:]).rstrip()
        lines.append(text)
        spans.append((comment.line, comment.column + start, comment.column + start + len(text)))
    place = None
    if heading and not spans:
        start = first.text.index(":") + 1
        end = start if first.text[start:].strip() else len(first.text)
        place = (first.line, first.column + start, first.column + end)
    return Expectation(
        "loose" if marker is _LOOSE else "strict",
        "\n".join(lines),
        spans[0][0] if spans else first.line,
        tuple(spans),
        statements,
        can_grow=first.alone or bool(heading and spans),
        heading=place,
    )


def _console(code: str) -> list[Expectation]:
    raw = code.split("\n")
    return [_example(example, raw) for example in examples(code)]


def _example(example: Example, raw: Sequence[str]) -> Expectation:
    last, lines = example.end_line, example.want.split("\n")[:-1]
    spans = tuple((last + number, example.indent, len(raw[last + number - 1])) for number in range(1, len(lines) + 1))
    tree = tree_of(example.source)
    is_simple = bool(tree and tree.body) and not hasattr(tree.body[-1], "body")  # type: ignore[union-attr]
    blank = "<BLANKLINE>" if "DONT_ACCEPT_BLANKLINE" in example.flags else ""
    text = "\n".join(blank if line.strip() == "<BLANKLINE>" else line for line in lines)
    return Expectation(
        "console",
        text,
        last + 1,
        spans,
        ((example.line, last),),
        example=example,
        swallowed=last if raw[last - 1].strip() == "..." and is_simple else None,
    )

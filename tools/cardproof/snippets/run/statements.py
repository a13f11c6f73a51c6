"""Statements: a block's code as compiled top-level statements with their positions in the source."""

from __future__ import annotations
import __future__

import ast
import linecache
import threading
from collections.abc import Iterator
from inspect import CO_COROUTINE
from types import CodeType
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from cardproof.snippets.types import ConsoleError

if TYPE_CHECKING:
    from cardproof.snippets.run.messages import Code
    from cardproof.snippets.types import Block

_REPLAYED = (
    ast.Import,
    ast.ImportFrom,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Assign,
    ast.AnnAssign,
    ast.AugAssign,
    ast.If,
    ast.Try,
)
"""Statements that a spawned worker runs again to define the page's names: no bare calls, no loops."""

FILTERS = threading.Lock()
"""Held while Python's filters of warnings, which all threads share, are others."""

FUTURES = sum(getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)


class Span(NamedTuple):
    """First and last line of a statement within the block's code, from 1."""

    line: int
    end_line: int


class Statement(Struct, frozen=True):
    """One top-level statement, or one example of a console."""

    code: CodeType
    span: Span
    value_is_shown: bool
    """It is an expression of a console, or a comment beside it states its value."""
    replayed: bool
    states_error: bool
    """A console's example that states a traceback."""
    may_spawn: bool
    """A script may start processes here that import it again: below a main guard, or in a console."""


class Place:
    """The positions of a block's lines in the source that a person edits."""

    def __init__(self, code: Code | Block) -> None:
        self.code = code
        count = code.code.count("\n") + 1
        self.origins = code.lines or tuple((code.file, code.line + index) for index in range(count))

    def origin(self, line: int) -> tuple[str, int]:
        """Return file and line of a line within the block."""
        return self.origins[max(0, min(line, len(self.origins)) - 1)]

    def line(self, file: str, number: int, first: int, last: int) -> int | None:
        """Return the line of the block, between two of its lines, that has this position."""
        within = (line for line in range(first, last + 1) if self.origin(line) == (file, number))
        return next(within, None)


def statements(code: Code, flags: int) -> tuple[tuple[Statement, ...], int]:
    """Return a block's statements and the ``__future__`` flags after it; raise SyntaxError with the source's lines.

    The whole block is compiled before any of it runs, as Python does with a file.
    """
    from cardproof.snippets.compare.habit import valued_lines  # the process that forks pages does not need it

    place = Place(code)
    found = []
    left_out, valued = (_left_out(code), frozenset()) if code.console else (frozenset(), valued_lines(code.code))
    for text, first, states_error in _parts(code):
        if first in left_out:
            continue
        for node in _parsed(text, first, place, flags):
            line = min([node.lineno, *(item.lineno for item in getattr(node, "decorator_list", []))])
            end_line = node.end_lineno or line
            body = _moved(node, place)
            shown = isinstance(node, ast.Expr) and (code.console or end_line in valued)
            is_single = code.console or shown
            tree = ast.Interactive([body]) if is_single else ast.Module([body], [])
            mode = "single" if is_single else "exec"
            compiled = compile(tree, place.origin(line)[0], mode, _flags(flags), dont_inherit=True)
            flags |= compiled.co_flags & FUTURES
            replayed = isinstance(node, _REPLAYED) and not compiled.co_flags & CO_COROUTINE
            may_spawn = code.console or _is_main_guard(node)
            found.append(Statement(compiled, Span(line, end_line), shown, replayed, states_error, may_spawn))
    return tuple(found), flags


def parsed(code: Code | Block) -> list[ast.stmt]:
    """Return the syntax trees of a block's statements, in the same order. Raises SyntaxError."""
    place = Place(code)
    return [node for text, first, _ in _parts(code) for node in _parsed(text, first, place, 0)]


def _is_main_guard(node: ast.stmt) -> bool:
    names = ast.walk(node.test) if isinstance(node, ast.If) else ()
    return any(isinstance(item, ast.Name) and item.id == "__name__" for item in names)


def _parts(code: Code | Block) -> Iterator[tuple[str, int, bool]]:
    """Return pieces of Python, the line at which each begins, and whether it states a traceback."""
    if not code.console:
        yield code.code, 1, False
        return
    from cardproof.snippets.console import examples  # few pages have consoles

    try:
        found = examples(code.code)
    except ConsoleError as trouble:
        file, line = Place(code).origin(trouble.line)
        raise SyntaxError(f"not a console: {trouble}", (file, line, None, None)) from None
    for example in found:
        yield example.source, example.line, example.error is not None


def _left_out(code: Code) -> frozenset[int]:
    """Return the first lines of a console's examples that are not run."""
    from cardproof.snippets.console import examples

    try:
        return frozenset(example.line for example in examples(code.code) if example.left_out)
    except ConsoleError:
        return frozenset()


def _parsed(text: str, first: int, place: Place, flags: int) -> list[ast.stmt]:
    """Parse a piece whose first line is this line of the block; line numbers of the result are the block's.

    Blank lines before it give it its line of the source, if possible, so that warnings are right.
    """
    file, line = place.origin(first)
    padding = 0 if place.code.lines else line - 1
    try:
        tree = compile("\n" * padding + text, file, "exec", _flags(flags) | ast.PyCF_ONLY_AST, dont_inherit=True)
    except SyntaxError as error:
        if place.code.lines and error.lineno is not None:
            error.filename, error.lineno = place.origin(error.lineno + first - 1)
            error.end_lineno = None
        raise
    assert isinstance(tree, ast.Module)
    for node in tree.body:
        ast.increment_lineno(node, first - 1 - padding)
    return tree.body


def _flags(flags: int) -> int:
    return flags | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


def _moved(node: ast.stmt, place: Place) -> ast.stmt:
    """Give all nodes the lines of the source."""
    for item in ast.walk(node):
        if isinstance(item, ast.expr | ast.stmt | ast.excepthandler | ast.arg | ast.keyword | ast.alias | ast.pattern):
            line = place.origin(item.lineno)[1]
            end_line = place.origin(item.end_lineno or item.lineno)[1]
            item.lineno, item.end_lineno = line, max(line, end_line)
    return node


class Sources:
    """The page's source as ``linecache`` gives it to tracebacks, warnings and ``inspect.getsource``."""

    def __init__(self) -> None:
        self._files: dict[str, list[str]] = {}

    def add(self, code: Code, *aliases: str) -> None:
        """Add a block's Python at its source lines; the rest of the files stays blank."""
        place = Place(code)
        for text, first, _ in _parts(code):
            for line, content in enumerate(text.splitlines(), first):
                self._put(*place.origin(line), content)
        lines = self._files.setdefault(code.file, [])
        for alias in aliases:
            linecache.cache[alias] = (1, None, lines, alias)

    def __contains__(self, file: object) -> bool:
        return file in self._files

    def _put(self, file: str, number: int, content: str) -> None:
        lines = self._files.setdefault(file, [])
        lines += ["\n"] * (number - len(lines))
        lines[number - 1] = f"{content}\n"
        linecache.cache[file] = (1, None, lines, file)

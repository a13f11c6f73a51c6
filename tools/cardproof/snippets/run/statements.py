"""Statements: a block's top-level statements, compiled, with their positions in the source; and what they raise."""

from __future__ import annotations
import __future__

import ast
import linecache
import threading
import traceback
from collections.abc import Iterable, Iterator
from inspect import CO_COROUTINE
from pathlib import Path
from types import CodeType

from msgspec import Struct

from cardproof.snippets.types import Block, ConsoleError

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

_AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
_HERE = str(Path(__file__).parents[1])
FUTURES = sum(getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)


Span = tuple[int, int]
"""First and last line of a statement within the block's code, from 1."""


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


def statements(block: Block, flags: int) -> tuple[tuple[Statement, ...], int]:
    """Return a block's statements and the ``__future__`` flags after it; raise SyntaxError with the source's lines.

    The whole block is compiled before any of it runs, as Python does with a file.
    """
    from cardproof.snippets.compare.value_comments import valued_lines  # the process that forks pages does not need it

    found = []
    valued = frozenset[int]() if block.console else valued_lines(block.code)
    for text, first, states_error, is_left_out in _pieces_of_code(block):
        for node in () if is_left_out else _parse_piece(text, first, block, flags):
            line = min([node.lineno, *(item.lineno for item in getattr(node, "decorator_list", []))])
            end_line = node.end_lineno or line
            body = _with_source_lines(node, block)
            shown = isinstance(node, ast.Expr) and (block.console or end_line in valued)
            is_single = block.console or shown
            tree = ast.Interactive([body]) if is_single else ast.Module([body], [])
            mode = "single" if is_single else "exec"
            compiled = compile(tree, block.located(line)[0], mode, flags | _AWAIT, dont_inherit=True)
            flags |= compiled.co_flags & FUTURES
            replayed = isinstance(node, _REPLAYED) and not compiled.co_flags & CO_COROUTINE
            may_spawn = block.console or _is_main_guard(node)
            found.append(Statement(compiled, (line, end_line), shown, replayed, states_error, may_spawn))
    return tuple(found), flags


def parse_statements(block: Block) -> list[ast.stmt]:
    """Return the syntax trees of a block's statements, in the same order. Raises SyntaxError."""
    return [node for text, first, *_ in _pieces_of_code(block) for node in _parse_piece(text, first, block, 0)]


def _is_main_guard(node: ast.stmt) -> bool:
    names = ast.walk(node.test) if isinstance(node, ast.If) else ()
    return any(isinstance(item, ast.Name) and item.id == "__name__" for item in names)


def _pieces_of_code(block: Block) -> Iterator[tuple[str, int, bool, bool]]:
    """Yield pieces of Python, the first line of each, whether it states a traceback, and whether it is not run."""
    if not block.console:
        yield block.code, 1, False, False
        return
    from cardproof.snippets.doctest_blocks import examples  # few pages have consoles

    try:
        found = examples(block.code)
    except ConsoleError as trouble:
        raise SyntaxError(f"not a console: {trouble}", (*block.located(trouble.line), None, None)) from None
    for example in found:
        yield example.source, example.line, example.error is not None, example.left_out is not None


def _parse_piece(text: str, first: int, block: Block, flags: int) -> list[ast.stmt]:
    """Parse a piece whose first line is this line of the block; line numbers of the result are the block's.

    Blank lines before it give it its line of the source, if possible, so that warnings are right.
    """
    file, line = block.located(first)
    padding = 0 if block.lines else line - 1
    try:
        tree = compile("\n" * padding + text, file, "exec", flags | _AWAIT | ast.PyCF_ONLY_AST, dont_inherit=True)
    except SyntaxError as error:
        if block.lines and error.lineno is not None:
            error.filename, error.lineno = block.located(error.lineno + first - 1)
            error.end_lineno = None
        raise
    assert isinstance(tree, ast.Module)
    for node in tree.body:
        ast.increment_lineno(node, first - 1 - padding)
    return tree.body


def _with_source_lines(node: ast.stmt, block: Block) -> ast.stmt:
    """Give all nodes the lines of the source."""
    for item in ast.walk(node):
        if isinstance(item, ast.expr | ast.stmt | ast.excepthandler | ast.arg | ast.keyword | ast.alias | ast.pattern):
            line = block.located(item.lineno)[1]
            end_line = block.located(item.end_lineno or item.lineno)[1]
            item.lineno, item.end_lineno = line, max(line, end_line)
    return node


class Sources:
    """The page's source as ``linecache`` gives it to tracebacks, warnings and ``inspect.getsource``."""

    def __init__(self) -> None:
        self._files: dict[str, list[str]] = {}

    def add(self, block: Block, alias: str) -> None:
        """Add a block's Python at its source lines; the rest of the files stays blank."""
        for text, first, *_ in _pieces_of_code(block):
            for line, content in enumerate(text.removesuffix("\n").split("\n"), first):
                file, number = block.located(line)
                lines = self._files.setdefault(file, [])
                lines += ["\n"] * (number - len(lines))
                lines[number - 1] = f"{content}\n"
                linecache.cache[file] = (1, None, lines, file)
        lines = self._files.setdefault(block.file, [])
        linecache.cache[alias] = (1, None, lines, alias)

    def __contains__(self, file: object) -> bool:
        return file in self._files


def describe(
    error: BaseException, sources: Sources, block: Block, statement: Span | None
) -> tuple[str, str, int | None]:
    """Describe the exception that a statement raised, or compiling the block if ``statement`` is None.

    Return class and message, the last lines of the traceback, without frames of the runner and folders of this machine,
    and the line within the block's code.
    """
    whole = traceback.TracebackException.from_exception(error)
    frames = [(frame.filename, frame.lineno or 0) for frame in reversed(whole.stack)]
    _shorten(whole, sources, set())
    summary = "".join(whole.format_exception_only()).rstrip("\n")
    if isinstance(error, SyntaxError) and not statement:
        summary = summary.rsplit("\n", 1)[-1]
        line = block.line_at(error.filename or "", error.lineno or 0)
    else:
        line = deepest_line(block, frames, statement) if statement else None
    if isinstance(error, SystemExit):
        summary = f"{summary}: the code ends the program here"
    return summary, "".join(whole.format()).rstrip("\n"), line


def deepest_line(block: Block, frames: Iterable[tuple[str, int]], statement: Span) -> int:
    """Return the line of the first of these frames (file and line) that lies in the statement; else its first line."""
    lines = (block.line_at(file, number, statement) for file, number in frames)
    return next((line for line in lines if line is not None), statement[0])


def _shorten(error: traceback.TracebackException, sources: Sources, seen: set[int]) -> None:
    """Keep the page's frames, and the last of each run of library frames; in causes and groups as well."""
    if id(error) in seen:
        return
    seen.add(id(error))
    kept: list[traceback.FrameSummary] = []
    begun = False
    for frame in error.stack:
        ours = frame.filename in sources
        begun = begun or ours
        if frame.filename.startswith(_HERE) or not begun:
            continue
        if kept and not ours and kept[-1].filename not in sources:
            kept.pop()
        kept.append(frame)
    for frame in kept:
        if frame.filename not in sources:
            _ = frame.line  # read now: it is looked up by the file name
            frame.filename = _short_library_name(frame.filename)
    error.stack = traceback.StackSummary.from_list(kept)
    for name in ("__cause__", "__context__"):
        other = getattr(error, name)
        if other is not None:
            _shorten(other, sources, seen)
            if not other.stack:  # raised and handled inside a library
                setattr(error, name, None)
    for other in getattr(error, "exceptions", None) or ():
        _shorten(other, sources, seen)


def _short_library_name(filename: str) -> str:
    """Return a library's file name from its package on."""
    parts = Path(filename).parts
    for index in range(len(parts) - 1, 0, -1):
        if parts[index - 1] in ("site-packages", "dist-packages") or parts[index - 1].startswith("python3."):
            return "/".join(parts[index:])
    return filename

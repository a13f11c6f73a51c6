"""Consoles: the examples of a ``>>>`` block as doctest reads them, and what their directives ask for."""

from __future__ import annotations

import re

from msgspec import Struct

from cardproof.snippets.name_uses import tree_of
from cardproof.snippets.types import ConsoleError

IGNORED_OUTPUT = frozenset({"IGNORE_OUTPUT", "IGNORE_RESULT", "IGNORE_WANT", "SHOW_WARNINGS"})
"""Flags of pytest-doctestplus and xdoctest with which an output is not compared."""
LEFT_OUT = {
    "SKIP": "marked '# doctest: +SKIP'",
    "REMOTE_DATA": "needs the network: marked '# doctest: +REMOTE_DATA'",
    "REQUIRES": "marked '# doctest: +REQUIRES', a condition of xdoctest that is not decided here",
}
"""Flags whose examples are not run, with the reason."""
OTHER_FLAGS = frozenset({"ALLOW_BYTES", "ALLOW_UNICODE", "FLOAT_CMP", "IGNORE_WARNINGS", "NUMBER"})
"""Further flags of pytest, pytest-doctestplus and xdoctest that are known here, beside doctest's own."""

_PROMPT = re.compile(r"(?m)^[ \t]*>>>(?:[ \t]|$)")
_DIRECTIVE = re.compile(r"""#\s*x?doctest:\s*((?:[^\n'"(#]|\([^)\n]*\))*)(?=#|$)""", re.MULTILINE)
_FLAG = re.compile(r"([+-]?)(\w+)(?:\([^)\n]*\))?")
_ALONE = re.compile(r"[ \t]*>>>[ \t]*#\s*x?doctest:")
_TROUBLE = re.compile(r"line (\d+) of the docstring for \S+ (.*)", re.DOTALL)


class Example(Struct, frozen=True):
    """One example of a console."""

    source: str
    """Without prompts."""
    line: int
    """First line within the block's code, from 1."""
    end_line: int
    """Last line with a prompt."""
    indent: int
    want: str
    error: str | None
    """The last lines of a stated traceback."""
    flags: frozenset[str]
    """Directives that are on."""
    unknown: tuple[str, ...] = ()
    """Directives that are not known here."""

    @property
    def left_out(self) -> str | None:
        return next((reason for flag, reason in LEFT_OUT.items() if flag in self.flags), None)

    @property
    def is_compared(self) -> bool:
        return self.left_out is None and self.flags.isdisjoint(IGNORED_OUTPUT)


def is_console(code: str) -> bool:
    """Return whether code has prompts, at its beginning or after lines of Python."""
    first = next((line for line in code.split("\n") if line.strip()), "")
    if first.startswith(">>>"):
        return True
    return bool(_PROMPT.search(code)) and tree_of(code) is None and tree_of(_head(code)) is not None


def examples(code: str) -> tuple[Example, ...]:
    """Return the examples of a console; Python before the first prompt is one of them. Raises ConsoleError."""
    from doctest import DocTestParser  # not small, and few pages have consoles

    parser = DocTestParser()
    parser._OPTION_DIRECTIVE_RE = re.compile(r"(?!)")  # type: ignore[attr-defined]  # it ends at flags of other tools
    try:
        found = parser.get_examples(code + "\n")
    except ValueError as trouble:
        match = _TROUBLE.match(str(trouble))
        raise ConsoleError(match[2] if match else str(trouble), int(match[1]) if match else 1) from None
    raw = code.split("\n")
    head = _head(code)
    tree, first = tree_of(head), len(head.split("\n"))
    result = [Example(head, 1, first, 0, "", None, frozenset())] if tree and tree.body else []
    lasting = {n: _flags(line)[0] for n, line in enumerate(raw, 1) if _ALONE.match(line)}
    for example in found:
        line = end = example.lineno + 1
        while end < len(raw) and raw[end].lstrip().startswith("..."):
            end += 1
        flags, unknown = _flags(example.source)
        for at, others in lasting.items():  # a directive on a line of its own is for all that follow, as in xdoctest
            flags = flags | others if at < line else flags
        error = example.exc_msg.strip() if example.exc_msg else None
        result.append(Example(example.source, line, end, example.indent, example.want, error, flags, unknown))
    return tuple(result)


def _flags(source: str) -> tuple[frozenset[str], tuple[str, ...]]:
    """Return the flags that directives turn on, and the words that are not known here."""
    from doctest import OPTIONFLAGS_BY_NAME

    known = {*OPTIONFLAGS_BY_NAME, *LEFT_OUT, *IGNORED_OUTPUT, *OTHER_FLAGS}
    on: set[str] = set()
    unknown = []
    for directive in _DIRECTIVE.finditer(source):
        for match in _FLAG.finditer(directive[1]):
            sign, name = match.groups()
            if name == "SKIP" or (name in known and sign):
                (on.discard if sign == "-" else on.add)(name)
            if name not in known or not sign:
                unknown.append(match[0])
    return frozenset(on), tuple(unknown)


def _head(code: str) -> str:
    match = re.search(r"(?m)^[ \t]*>>>", code)
    return code[: match.start()].rstrip() if match else ""

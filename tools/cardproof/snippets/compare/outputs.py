"""Outputs: whether an output matches a stated one. All tolerances apply together, in one pass over both texts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

WHOLE_DIGITS = 4
"""Decimals of ``1.``: torch leaves them out if all are zero, and prints four otherwise."""

MOST_BRACES = 100
"""With more braces in an output, sets are compared in the order in which they were printed."""

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
_BROKEN_ANSI = re.compile(rf"{_ANSI.pattern}|\x1b\]?")
"""The same, and what begins like an escape sequence and is not one."""
_DEVICE = re.compile(r",\s*device='(?!cpu)\w+(?::\d+)?'")
_TOKEN = re.compile(
    r"""
      (?<=\bat)(?P<address>\ 0x(?:[0-9a-fA-F]*\.\.\.|[0-9a-fA-F]+))
    | (?P<any>\.\.\.)
    | (?P<blanks>(?<![ \t])[ \t]*+|)
      (?P<number>(?:(?<![\w)\]])[-+])?(?<![\w.])(?:\d+(?:\.(?!\.)\d*)?|\.\d+)(?:[eE][-+]?\d+)?(?!\.?\d))
    | (?P<character>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_ARRAY = re.compile(r"\b(?:tensor|array)\(")
_SHAPE = re.compile(r"(?<=\]),\s*shape=\(\d[\d, ]*\)(?=[,)])")
"""What numpy writes since 2.2 of an array that it shortens."""
_BLANKS = re.compile(r"""(?P<text>'[^'\n]*'|"[^"\n]*")|(?<=[\[(])\s+|\s+(?=[\]),])|(?P<between>\s+)""")
_SPELLINGS = (
    (re.compile(r"\bnp\.(?:float|int|uint|complex|bool|str|bytes)\w*\(([^()\n]*)\)"), r"\1"),
    (re.compile(r"\bnp\.(True|False)_"), r"\1"),
    (re.compile(r"\bnumpy\.(bool|str)_(?=')"), r"numpy.\1"),
    (re.compile(r"(\bgrad_fn=<\w*?Backward)\d+(?=>)"), r"\1"),
)
"""What newer versions of numpy and torch write and older ones do not, or the reverse, and how it is left out."""
_PATTERN = re.compile(
    rf"(?P<lines>(?:\A|\n)[ \t]*\.\.\.(?:[ \t]*\n[ \t]*\.\.\.)*[ \t]*(?:\n|\Z)) | {_TOKEN.pattern}", _TOKEN.flags
)
"""The same for stated outputs; lines of nothing but dots are one token, with the line breaks around them."""


class Token(Struct, frozen=True):
    """A character, or a unit of comparison: a number, an address, a set, or the dots of a pattern."""

    kind: str
    text: str = ""
    blanks: str = ""
    """Before a number: they shrink and grow with it."""
    parts: tuple[tuple[Token, ...], ...] = ()
    """The elements of a set."""
    cut_after: bool = False
    """A number directly before ``...``: the beginning of one."""
    cut_before: bool = False


SameNumber = Callable[[Token, Token], bool]


def same_output(want: str, got: str) -> bool:
    """Return whether a cleaned output equals a strictly stated one, as any version of torch or numpy writes it."""
    if _matches(want, got, _same_number) or _matches_as_doctest_does(want, got):
        return True
    pair = in_one_spelling(want, got)
    return pair != (want, got) and _matches(*pair, _same_number)


def close_output(want: str, got: str) -> bool:
    """Return whether an output equals a stated one except for numbers that differ by less than 1e-5 of themselves."""
    return same_output(want, got) or _matches(*in_one_spelling(want, got), _close_number)


def same_kinds(want: str, got: str) -> bool:
    """Return whether an output equals a loosely stated one: except for numbers, which may be whole or not."""
    return same_output(want, got) or _matches(want, got, _same_kind)


def has_decimals(text: str) -> bool:
    """Return whether a text has a number that is not whole, which depends on weights, seeds and devices."""
    return any(token.kind == "number" and _is_decimal(token.text) for token in _tokens(text))


def _matches_as_doctest_does(want: str, got: str) -> bool:
    """Return whether dots stand for text by doctest's rules, which lets them cut a number or a word anywhere."""
    if "..." not in want:
        return False
    from doctest import ELLIPSIS, OutputChecker  # rarely needed, and not small

    return OutputChecker().check_output(f"{want}\n", f"{got}\n", ELLIPSIS)


def in_one_spelling(want: str, got: str) -> tuple[str, str]:
    """Return both texts without what versions of numpy and torch write differently.

    Only what one of them leaves out is removed from the other, so that no value is lost that both state.
    """
    for pattern, replacement in _SPELLINGS:
        if bool(pattern.search(want)) != bool(pattern.search(got)):
            want, got = pattern.sub(replacement, want), pattern.sub(replacement, got)
    if _ARRAY.search(want) and _ARRAY.search(got):
        if bool(_SHAPE.search(want)) != bool(_SHAPE.search(got)):
            want, got = _SHAPE.sub("", want), _SHAPE.sub("", got)
        want, got = _with_joined_arrays(want), _with_joined_arrays(got)
    return want, got


def _with_joined_arrays(text: str) -> str:
    """Return a text with each ``tensor(…)`` and ``array(…)`` on one line, and one blank between its values."""
    parts, end = [], 0
    for match in _ARRAY.finditer(text):
        if match.start() < end:
            continue
        stop = _closing_parenthesis(text, match.end() - 1)
        parts += [text[end : match.start()], _BLANKS.sub(_one_blank, text[match.start() : stop])]
        end = stop
    return "".join([*parts, text[end:]])


def _one_blank(found: re.Match[str]) -> str:
    return found["text"] or (" " if found["between"] else "")


def _closing_parenthesis(text: str, start: int) -> int:
    """Return the index after the parenthesis that closes the one at ``start``; the end of the text if none does."""
    depth = 0
    for index in range(start, len(text)):
        depth += (text[index] in "([") - (text[index] in ")]")
        if depth == 0:
            return index + 1
    return len(text)


def clean_output(text: str) -> str:
    """Return an output as a terminal shows it, without blanks at the ends of lines and line ends at its own end."""
    return "\n".join(line.rstrip() for line in as_shown(_BROKEN_ANSI.sub("", text)).split("\n")).rstrip("\n")


def as_shown(text: str) -> str:
    """Return text as a terminal shows it: without escape sequences and overwritten characters.

    The beginning of a sequence stays: what is written next may end it.
    """
    return "\n".join(map(_without_overwritten, _ANSI.sub("", text).split("\n")))


def without_device(want: str, got: str) -> str:
    """Return an output without ``, device='cuda:0'``, unless the page states a device."""
    return got if "device=" in want else _DEVICE.sub("", got)


def _without_overwritten(line: str) -> str:
    shown = ""
    for part in line.split("\r"):
        shown = part + shown[len(part) :]
    return shown


def _matches(want: str, got: str, number: SameNumber) -> bool:
    pattern = "\n".join(line.rstrip() for line in want.split("\n")).rstrip("\n")
    wanted, found = list(_tokens(pattern, dots=True)), list(_tokens(got))
    if (
        "{" in pattern
        and max(pattern.count("{"), got.count("{")) <= MOST_BRACES
        and _matches_pattern(_with_sets(wanted), _with_sets(found), number)
    ):
        return True
    return _matches_pattern(wanted, found, number)


def _tokens(text: str, dots: bool = False) -> Iterator[Token]:
    """Yield the tokens of a text; ``...`` is a token of patterns only."""
    cut_before = False
    for match in (_PATTERN if dots else _TOKEN).finditer(text):
        kind = match.lastgroup or "character"
        if kind == "any" and dots:
            yield Token("any")
        elif kind == "any":
            yield from (Token("character", ".") for _ in range(3))
        elif kind == "number":
            after = dots and text.startswith("...", match.end())
            before = cut_before and not match["blanks"]
            yield Token("number", match["number"], match["blanks"], cut_after=after, cut_before=before)
        else:
            yield Token(kind, match[kind])
        cut_before = kind == "any" and dots


def _with_sets(tokens: Sequence[Token]) -> list[Token]:
    """Return tokens with each ``{a, b}`` (no colon: not a dict) as one."""
    result, index = [], 0
    while index < len(tokens):
        found = _set_at(tokens, index) if tokens[index].text == "{" else None
        if found:
            result.append(found[0])
            index = found[1]
        else:
            result.append(tokens[index])
            index += 1
    return result


def _set_at(tokens: Sequence[Token], start: int) -> tuple[Token, int] | None:
    """Return the set that begins at a brace, and the index after it; None if it is not a set."""
    depth, quote, parts, first = 0, "", [], start + 1
    for index in range(start, len(tokens)):
        text = tokens[index].text if tokens[index].kind == "character" else ""
        if quote:
            quote = "" if text == quote else quote
        elif text in ("'", '"'):
            quote = text
        elif text and text in "{[(":
            depth += 1
        elif text and text in "}])":
            depth -= 1
        elif text == ":" and depth == 1:
            return None
        if not quote and ((text == "," and depth == 1) or depth == 0):
            parts.append(_set_element(tokens[first:index]))
            first = index + 1
        if depth == 0:
            usable = text == "}" and all(parts)
            return (Token("set", parts=tuple(parts)), index + 1) if usable else None
    return None


def _set_element(tokens: Sequence[Token]) -> tuple[Token, ...]:
    blank = [token.kind == "character" and token.text.isspace() for token in tokens]
    kept = [i for i, is_blank in enumerate(blank) if not is_blank]
    inner = list(tokens[kept[0] : kept[-1] + 1]) if kept else []
    if inner and inner[0].blanks:
        inner[0] = replace(inner[0], blanks="")
    return tuple(_with_sets(inner))


def _matches_pattern(want: Sequence[Token], got: Sequence[Token], number: SameNumber) -> bool:
    """Match a pattern: the pieces between its dots are in the output in this order, each at the first place it fits."""
    pieces: list[list[Token]] = [[]]
    dots: list[str] = []
    for token in want:
        if token.kind in ("any", "lines"):
            dots.append(token.kind)
            pieces.append([])
        else:
            pieces[-1].append(token)
    at, end = 0, len(got)
    for piece, before, after in zip(pieces, ["", *dots], [*dots, ""], strict=True):
        for start in _possible_starts(before, at, end - len(piece), got, is_last=not after):
            at = start + len(piece)
            fits = after != "lines" or not (before or piece) or at == end or got[at].text == "\n"
            if fits and all(_same_token(token, got[start + k], number) for k, token in enumerate(piece)):
                break
        else:
            return False
    return True


def _possible_starts(dots: str, at: int, last: int, got: Sequence[Token], *, is_last: bool) -> Iterator[int]:
    """Yield the possible starts of a piece, up to ``last``, after dots at ``at``; the last piece ends the output."""
    end = len(got)
    for start in range(max(at, last) if is_last else at, (last if dots else min(last, 0)) + 1):
        after_line = start > at and (got[start - 1].text == "\n" or (is_last and start == end))
        if dots != "lines" or after_line or (start == at and start in (0, end)):
            yield start


def _same_token(want: Token, got: Token, number: SameNumber) -> bool:
    if want.kind != got.kind:
        return False
    if want.kind == "number":
        return number(want, got)
    if want.kind == "set":
        return _same_set(want.parts, got.parts, number)
    return want.kind == "address" or want.text == got.text


def _same_set(want: Sequence[tuple[Token, ...]], got: Sequence[tuple[Token, ...]], number: SameNumber) -> bool:
    """Return whether each wanted element matches another element; ``...`` matches all the others."""
    elements = [part for part in want if [token.kind for token in part] != ["any"]]
    if len(elements) != len(got) and (len(elements) == len(want) or len(elements) > len(got)):
        return False
    fits = [[j for j, part in enumerate(got) if _matches_pattern(element, part, number)] for element in elements]
    taken: dict[int, int] = {}

    def place(index: int, tried: set[int]) -> bool:
        for j in fits[index]:
            if j not in tried:
                tried.add(j)
                if j not in taken or place(taken[j], tried):
                    taken[j] = index
                    return True
        return False

    return all(place(index, set()) for index in range(len(elements)))


def _same_number(want: Token, got: Token) -> bool:
    """Return whether two numbers are equal at the precision that is written."""
    if want.cut_after or want.cut_before:
        starts = not want.cut_after or got.text.startswith(want.text) or want.cut_before
        return starts and (not want.cut_before or got.text.endswith(want.text) or want.cut_after)
    if want.text == got.text:
        return want.blanks == got.blanks
    if not (_is_decimal(want.text) and _is_decimal(got.text)):
        return False
    if bool(want.blanks) != bool(got.blanks) and len(want.blanks + want.text) != len(got.blanks + got.text):
        return False
    try:
        return abs(Decimal(want.text) - Decimal(got.text)) <= _half_unit(want.text)
    except ArithmeticError:  # an exponent beyond what decimals hold
        return False


def _close_number(want: Token, got: Token) -> bool:
    try:
        one, other = Decimal(want.text), Decimal(got.text)
        return _same_number(want, got) or abs(one - other) <= Decimal("1e-8") + Decimal("1e-5") * abs(one)
    except ArithmeticError:
        return False


def _same_kind(want: Token, got: Token) -> bool:
    return _is_decimal(want.text) == _is_decimal(got.text)


def _is_decimal(text: str) -> bool:
    return any(sign in text for sign in ".eE")


def _half_unit(text: str) -> Decimal:
    mantissa, _, exponent = text.lower().partition("e")
    _, point, decimals = mantissa.partition(".")
    digits = len(decimals) or (WHOLE_DIGITS if point else 0)
    return Decimal(5).scaleb(int(exponent or 0) - digits - 1)

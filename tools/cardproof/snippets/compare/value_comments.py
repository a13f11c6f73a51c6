"""Value comments: values beside what prints them, as in ``print(x.shape)  # torch.Size([9, 9])`` of tutorials.

Such a comment need not be an output. It is read as one only if all of it is a value, beside a print or a bare
expression, and a difference is a warning.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from cardproof.snippets.compare.outputs import same_output
from cardproof.snippets.compare.stated_outputs import Comment, comments_of, compared_lines, marker_of
from cardproof.snippets.name_uses import tree_of
from cardproof.snippets.types import Block

ValueComparison = Literal["holds", "differs", "unclear", "unrelated"]

_MARKER = re.compile(
    r"#\s*(?:->|→|=>|⇒|>>>|(?:outputs?|out|returns?|results?|print|should print)\s*:|should print\b)\s*", re.IGNORECASE
)
_UNREAD = re.compile(r"#\s*(?:outputs?|print|returns?)\s*:\s*\S|#\s*=>\s*\S|#\s*should print\b", re.IGNORECASE)
"""Comments that state an output in another form, for readers only."""
_ANGLES = re.compile(r"<(?:class '[\w.]+'|\w+Backward\d*|[\w.<> ]{1,100} at 0x[0-9a-fA-F.]+)>")
_NUMBERS = re.compile(r"\[(?=.*\d)[\s\d.eE+\-\[\]]+\]", re.DOTALL)
"""An array of numpy as it is printed: without commas."""
_CALLS = re.compile(
    r"(?:torch\.)?(?:tensor|Size|device)|(?:np\.|numpy\.)?(?:array|dtype)|torch\.return_types\.\w+|"
    r"(?:collections\.)?(?:OrderedDict|Counter|deque)|o?dict_\w+|range|set|frozenset"
)
_SCALARS = re.compile(r"np\.(?:float|int|uint|complex|bool|str)\w*")
_DTYPES = re.compile(
    r"(?:(?:torch|np|numpy)\.)?(?:bool|u?int\d+|float\d+\w*|bfloat16|complex\d+|half|double|long|short|strided|sparse_coo)"
)
_ARRAY = re.compile(r"\b(?:tensor|array)\(")
_HEAD = re.compile(r"torch\.Size|tensor|array|<class")
_FOOTNOTE = re.compile(r"[(\[]\d[)\]]")
_NAMES = frozenset({"nan", "inf", "int", "float", "str", "object"})
_INCIDENTAL = frozenset({"device", "dtype", "grad_fn", "requires_grad", "shape", "size"})
"""Arguments of a tensor that one may write and the other leave out."""
_RANDOM = re.compile(r"rand|rng|multinomial|normal|uuid|time\(|perf_counter|now\(")
_LONGEST = 2000
_LONGEST_OUTPUT = 20_000


class StatedValue(Struct, frozen=True):
    """A comment that states a value."""

    line: int
    """Of the comment."""
    text: str
    lines: tuple[int, int]
    """First and last line of the statement beside it."""
    is_top: bool
    """The statement is not in the body of another."""
    is_print: bool
    is_random: bool
    """The statement draws random numbers, or asks for the time."""
    is_marked: bool
    """An arrow or a word says that it is an output."""


def stated_values(code: str) -> tuple[StatedValue, ...]:
    """Return the comments of Python code that state the value of a print or a bare expression."""
    if "#" not in code:
        return ()
    tree = tree_of(code)
    if tree is None:
        return ()
    by_line = {comment.line: comment for comment in comments_of(code)}
    top = {id(node) for node in tree.body}
    found = (
        _stated_value(node, by_line, id(node) in top)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant)
    )
    by_comment = {item.line: item for item in found if item}  # of statements that share a line, the last
    return tuple(by_comment[line] for line in sorted(by_comment))


def valued_lines(code: str) -> frozenset[int]:
    """Return the last lines of the expressions whose values are stated."""
    return frozenset(item.lines[1] for item in stated_values(code) if item.is_top and not item.is_print)


def compare_value(stated: StatedValue, got: str) -> ValueComparison:
    """Return whether what was printed, or the ``repr`` of the value, is what a comment states.

    ``unclear`` is what looks like an output and cannot be compared; ``unrelated`` may be a comment like any other.
    """
    if len(got) > _LONGEST_OUTPUT:
        return "unrelated"
    want, found = _values_in(stated.text), _values_in(got)
    if same_output(stated.text, got) or (want and found and _all_agree(want, found)):
        return "holds"
    if want and isinstance(want[0], ast.Constant) and want[0].value == got:
        return "holds"
    if stated.is_print and same_output(f"...{stated.text}...", got):
        return "holds"
    if want and stated.is_random and depends_on_weights(stated):
        return "unrelated"
    if not want:
        return "unclear" if stated.is_marked and len(got) <= _LONGEST else "unrelated"
    kinds = [_kind_of_value(node) for node in want]
    if _FOOTNOTE.fullmatch(stated.text) or (kinds == ["shape"] and _ARRAY.search(got)) or "device" in kinds:
        return "unrelated"  # the number of a note, the shape of what is printed, or the author's device
    if found and kinds == [_kind_of_value(node) for node in found]:
        return "differs"
    head = _HEAD.match(stated.text)
    if not stated.is_print or not (stated.is_marked or head or kinds == ["type"]):
        return "unrelated"
    return "differs" if found or (head and head[0] in got) else "unclear"


def depends_on_weights(stated: StatedValue) -> bool:
    """Return whether a stated value is more than shapes and types."""
    return any(_kind_of_value(node) not in ("shape", "type") for node in _values_in(stated.text) or ())


def unread_outputs(block: Block) -> tuple[int, ...]:
    """Return the lines of comments that state an output in a form that is not compared."""
    if block.console or block.stated_output is not None:
        return ()
    comments = comments_of(block.code)
    compared = compared_lines(block) | {stated.line for stated in stated_values(block.code)}
    return tuple(
        c.line for c in comments if c.line not in compared and not marker_of(c.text) and _UNREAD.search(c.text)
    )


def _stated_value(node: ast.Expr, comments: Mapping[int, Comment], is_top: bool) -> StatedValue | None:
    last = node.end_lineno or node.lineno
    beside, below = comments.get(last), _comments_below(last + 1, node.col_offset, comments)
    call = node.value
    is_print = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "print"
    if not is_print and not is_top:
        return None
    run = [beside] if beside and not beside.alone else below
    if not run:
        return None
    marker = _MARKER.match(run[0].text)
    texts = [run[0].text[marker.end() :] if marker else run[0].text[1:], *(comment.text[1:] for comment in run[1:])]
    text = "\n".join(texts).strip()
    is_random = bool(_RANDOM.search(ast.unparse(call)))
    if not (0 < len(text) <= _LONGEST) or not (_values_in(text) or (marker and is_print)):
        return None
    return StatedValue(run[0].line, text, (node.lineno, last), is_top, is_print, is_random, marker is not None)


def _comments_below(line: int, column: int, comments: Mapping[int, Comment]) -> list[Comment]:
    """Return the comments on the lines directly below a statement."""
    found = []
    while (comment := comments.get(line)) and comment.alone and comment.column == column:
        found.append(comment)
        line += 1
    return found


def _values_in(text: str) -> list[ast.expr] | None:
    """Return the values that a text consists of, with blanks between them; None if anything else is in it."""
    text = text.strip()
    if not text or "\\" in text or len(text) > _LONGEST:
        return None
    if _NUMBERS.fullmatch(text):
        text = re.sub(r"(?<=[\d.\]])\s+(?=[-+\d.\[])", ", ", text)
    text = _ANGLES.sub(lambda match: f"type({match[0]!r})", text)
    if (whole := _value(text)) is not None:
        return [whole]
    values = [_value(part) for part in _parts(text)]
    return [value for value in values if value is not None] if len(values) > 1 and None not in values else None


def _value(text: str) -> ast.expr | None:
    try:
        node = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    leaves = [item for item in ast.walk(node) if isinstance(item, ast.Constant | ast.Name | ast.Attribute)]
    is_only_dots = len(leaves) == 1 and _is_dots(leaves[0])
    return node if _is_value(node) and not is_only_dots else None


def _parts(text: str) -> Iterator[str]:
    """Yield the parts of a text between blanks outside of brackets and quotes."""
    depth, quote, part = 0, "", ""
    for char in text:
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        else:
            depth += (char in "([{") - (char in ")]}")
        if char.isspace() and not quote and depth == 0:
            if part:
                yield part
            part = ""
        else:
            part += char
    if part:
        yield part


def _is_value(node: ast.expr, *, inside: bool = False) -> bool:
    match node:
        case ast.Constant(value):
            return inside or value is not ...
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=ast.Constant(value=int() | float())):
            return True
        case ast.UnaryOp(op=ast.USub(), operand=ast.Name()):
            return inside and _is_value(node.operand, inside=True)
        case ast.Tuple(elts) | ast.List(elts) | ast.Set(elts):
            return all(_is_value(item, inside=True) for item in elts)
        case ast.Dict(keys, values):
            return all(key is not None and _is_value(key, inside=True) for key in (*keys, *values))
        case ast.Name(name):
            is_type = bool(_DTYPES.fullmatch(name))
            return (is_type and name[-1].isdigit()) or (inside and (is_type or name in _NAMES))
        case ast.Attribute():
            return bool(_DTYPES.fullmatch(ast.unparse(node)))
        case ast.Call(function, arguments, keywords):
            name = _dotted_name(function)
            known = name == "type" or _CALLS.fullmatch(name) or _SCALARS.fullmatch(name)
            given = [*arguments, *(keyword.value for keyword in keywords)]
            return bool(known and given) and all(_is_value(item, inside=True) for item in given)
    return False


def _dotted_name(node: ast.expr) -> str:
    return ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""


def _kind_of_value(node: ast.expr) -> str:
    """Return what a value is: those of different kinds are not compared."""
    node = _without_class(node)
    match node:
        case ast.Tuple(elts) | ast.List(elts) if elts and all(
            isinstance(item, ast.Constant) and type(item.value) is int for item in elts
        ):
            return "shape" if isinstance(node, ast.Tuple) else "list"
        case ast.Constant(value=bool() | None):
            return "flag"
        case ast.Constant(value=str() | bytes()):
            return "text"
        case ast.Constant() | ast.UnaryOp():
            return "number"
        case ast.Attribute() | ast.Name():
            return "type"
        case ast.Call(function):
            name = _dotted_name(function).rpartition(".")[2]
            return {"tensor": "array", "array": "array", "type": "type", "dtype": "type"}.get(name, name)
    return type(node).__name__


def _without_class(node: ast.expr) -> ast.expr:
    """Return a value without a call that only names its class: ``torch.Size([3])`` is ``(3,)``."""
    if isinstance(node, ast.Call) and len(node.args) == 1 and not node.keywords:
        name, only = _dotted_name(node.func), node.args[0]
        if name.rpartition(".")[2] == "Size" and isinstance(only, ast.List | ast.Tuple):
            return ast.Tuple(only.elts, ast.Load())
        if _SCALARS.fullmatch(name):
            return only
        if name.rpartition(".")[2] == "dtype" and isinstance(only, ast.Constant) and isinstance(only.value, str):
            return ast.Name(only.value, ast.Load())
    return node


def _all_agree(want: Sequence[ast.expr], got: Sequence[ast.expr]) -> bool:
    """Return whether values agree one by one; dots stand for any number of them."""
    dots = next((index for index, node in enumerate(want) if _is_dots(node)), None)
    if dots is not None:
        before, after = want[:dots], want[dots + 1 :]
        enough = len(got) >= len(before) + len(after)
        return enough and _all_agree(before, got[:dots]) and _all_agree(after, got[len(got) - len(after) :])
    return len(want) == len(got) and all(_values_agree(a, b) for a, b in zip(want, got, strict=True))


def _is_dots(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...


def _values_agree(want: ast.expr, got: ast.expr) -> bool:
    one, other = _without_class(want), _without_class(got)
    number = _number(one)
    if number is not None:
        found = _number(other)
        return found is not None and _same_number(number, found)
    is_shape = one is not want or other is not got
    match one, other:
        case (ast.Tuple(a), ast.Tuple(b)) | (ast.List(a), ast.List(b)) | (ast.Set(a), ast.Set(b)):
            return _all_agree(a, b)
        case ((ast.Tuple(a) | ast.List(a)), (ast.Tuple(b) | ast.List(b))) if is_shape:
            return _all_agree(a, b)
        case ast.Dict(a, b), ast.Dict(c, d):
            return _all_agree([*filter(None, a), *b], [*filter(None, c), *d])
        case ast.Call(f, a, k), ast.Call(g, b, m):
            given = {keyword.arg: keyword.value for keyword in m}
            stated = {keyword.arg: keyword.value for keyword in k}
            names = (stated.keys() | given.keys()) - (_INCIDENTAL - (stated.keys() & given.keys()))
            same_name = _dotted_name(f).rpartition(".")[2] == _dotted_name(g).rpartition(".")[2]
            return (
                same_name
                and _all_agree(a, b)
                and all(n in stated and n in given and _values_agree(stated[n], given[n]) for n in names)
            )
    return _text_of(one) == _text_of(other)


def _text_of(node: ast.expr) -> str:
    """Return a value as text, without the number of a gradient's function and the module of a type."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return re.sub(r"(?<=Backward)\d+(?=>)", "", ast.unparse(node))


def _number(node: ast.expr) -> tuple[float, bool] | None:
    sign = -1 if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) else 1
    node = node.operand if isinstance(node, ast.UnaryOp) else node
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return sign * node.value, isinstance(node.value, float)
    return None


def _same_number(want: tuple[float, bool], got: tuple[float, bool]) -> bool:
    """Return whether numbers agree: whole ones exactly; others depend on seeds and versions."""
    if want[1] and want[0] % 1:
        return got[1]
    return want[1] == got[1] and abs(want[0] - got[0]) < (0.05 if want[1] else 0.5)

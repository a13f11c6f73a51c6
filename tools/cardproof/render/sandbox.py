"""The sandbox of templates: Jinja's, and limits on the size of each value, on turns of loops, and on time.

Every value of a template comes from an operator, a filter, a call, a literal or the output of a block. Each of them
is checked here, so that no value is large enough for one call into native code to take all memory or long.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, MappingView
from contextlib import contextmanager
from functools import wraps
from traceback import walk_tb
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

from jinja2 import TemplateSyntaxError, nodes, pass_context
from jinja2.environment import TemplateModule
from jinja2.parser import Parser
from jinja2.runtime import LoopContext, Undefined, markup_join, str_join
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

MOST_SIZE = 10_000_000
"""Characters of one value or page; a table of a thousand models has a tenth of it."""
ITEM = 20
"""Characters that an item of a list counts for."""
MOST_SHOWN = 100_000_000
"""Characters that all expressions of one rendering show, also those inside macros and blocks."""
MOST_DEPTH = 100
"""Lists in lists."""
MOST_TURNS = 1_000_000
"""Turns of all loops of one rendering."""
MOST_BITS = 10_000
"""Of a whole number; Python writes 14,000 bits as text."""
MOST_EXPONENT = 64
MOST_REPEATED = 100_000
"""The limit of ``range`` in Jinja's sandbox."""
MOST_WIDTH = 9_999
"""Characters that a number or text is filled up to, spaces of an indentation, decimals."""
MOST_FORMAT = 10_000
"""Characters of a text with places for values."""

VERSION = "2"
"""Of the code that templates are compiled to; another one is not taken from the cache."""

GLOBALS = ("range", "dict", "namespace")
"""What remains of Jinja's own global names."""

_FILLED = frozenset(
    ["ljust", "rjust", "center", "zfill", "expandtabs", "to_bytes", "batch", "slice", "indent", "round", "tojson"]
)
"""Filters and methods that make as much as a number says."""
_JOINED = frozenset(["replace", "join", "indent", "wordwrap", "translate"])
"""Filters and methods that repeat a text which they are given."""
_MOST_MADE = 100_000_000
"""Characters that one of them may make for a moment, before the size of the result is checked."""
_SPEC = re.compile(r"%(?:\([^)]*\))?[-#0 +]*(\d*\*?)(?:\.(\d*\*?))?|\{[^{}:]*:([^{}]*\{?)")
"""The width and precision of each place in a text for ``%`` or ``format``."""

_TURNS, _SIZED, _TEXTS = "cardproof turns", "cardproof sized", "cardproof texts"
"""Filters that templates cannot name, because of their blanks."""


class Budget:
    """What one rendering may still use; shared by an environment and its overlays."""

    def __init__(self) -> None:
        self._end = float("inf")
        self._seconds = 0.0
        self._turns = self._shown = 0

    def start(self, seconds: float) -> None:
        self._seconds, self._end = seconds, time.monotonic() + seconds
        self._turns = self._shown = 0

    def check(self) -> None:
        """Raise TimeoutError once the time is over; unlike a signal, this holds in every thread and system."""
        if time.monotonic() > self._end:
            raise TimeoutError(f"rendering it took more than {self._seconds:g} seconds")

    def turns(self, items: Iterable[Any]) -> Iterator[Any]:
        """Yield the items of a loop. Raises ValueError if all loops together take too many turns."""
        for item in items:
            self._turns += 1
            if self._turns > MOST_TURNS:
                raise ValueError(f"loops with more than {MOST_TURNS:,} turns in all are too long for a template")
            if self._turns % 1000 == 0:
                self.check()
            yield item

    def show(self, characters: int) -> None:
        """Count what an expression shows. Raises ValueError if all show too much."""
        self._shown += characters
        if self._shown > MOST_SHOWN:
            raise _too_large()

    def sized(self, value: Any) -> Any:
        """Return a value unless it is too large; an iterator ends with an error once its items are."""
        if isinstance(value, Iterator) and not isinstance(value, LoopContext):
            return self._counted(value)
        size(value)
        return value

    def _counted(self, items: Iterator[Any]) -> Iterator[Any]:
        total = 0
        for item in items:
            self.check()
            total += ITEM + size(item)
            if total > MOST_SIZE:
                raise _too_large()
            yield item


def size(value: Any) -> int:
    """Return the characters and items in a value, through lists and mappings. Raises ValueError if it is too large."""
    if isinstance(value, str):
        if len(value) > MOST_SIZE:
            raise _too_large()
        return len(value)
    total, todo = 0, [(value, 0)]
    while todo:
        item, depth = todo.pop()
        if isinstance(item, str):
            total += len(item)
        elif isinstance(item, TemplateModule):
            total += sum(map(len, item._body_stream))
        elif isinstance(item, bytes | bytearray | memoryview):
            raise ValueError("a template has no use for bytes")
        elif isinstance(item, int) and item.bit_length() > MOST_BITS:
            raise ValueError(f"a number of more than {MOST_BITS:,} bits is too large for a template")
        elif isinstance(item, _LISTS):
            if depth == MOST_DEPTH:
                raise ValueError(f"more than {MOST_DEPTH} lists in one another are too many for a template")
            parts: Any = item._Namespace__attrs if isinstance(item, Namespace) else item
            total += ITEM * len(parts)
            if total <= MOST_SIZE and not isinstance(item, range):
                todo += ((part, depth + 1) for part in parts)
                todo += ((part, depth + 1) for part in (parts.values() if isinstance(parts, Mapping) else ()))
        if total > MOST_SIZE:
            raise _too_large()
    return total


_LISTS = (Mapping, list, tuple, set, frozenset, range, Namespace, MappingView)


def _too_large() -> ValueError:
    return ValueError(f"a text or list of more than {MOST_SIZE:,} characters and items is too large for a template")


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment of templates."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, finalize=_shown, **options)
        self.requested: set[str] = set()
        """Names of the templates that were requested."""
        self.budget = Budget()
        self.globals = {name: self.globals[name] for name in GLOBALS}
        del self.filters["random"]  # a page has the same bytes whenever it is rendered
        for name, function in list(self.filters.items()):
            self.add_filter(name, function)
        self.filters[_TURNS] = self.budget.turns
        self.filters[_SIZED] = self.budget.sized
        self.filters[_TEXTS] = _text_of

    def add_filter(self, name: str, function: Callable[..., Any]) -> None:
        first = 1 if hasattr(function, "jinja_pass_arg") else 0

        @wraps(function)
        def limited(*arguments: Any, **options: Any) -> Any:
            self.budget.check()
            given = _countable_arguments(name, arguments)
            _check_arguments(name, given[first], [*given[first + 1 :], *options.values()])
            return self.budget.sized(function(*given, **options))

        self.filters[name] = limited

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805  (as in Jinja)
        """Call a method, macro or function, with limits on methods of values, and on the result."""
        __self.budget.check()
        owner = getattr(__obj, "__self__", None)
        given: Iterable[Any] = args
        if isinstance(owner, str | int | float):
            given = _countable_arguments(__obj.__name__, args)
            _check_arguments(__obj.__name__, owner, [*given, *kwargs.values()])
        return __self.budget.sized(super().call(__context, __obj, *given, **kwargs))

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        inner = super().wrap_str_format(value)
        if inner is None:
            return None

        @wraps(inner)
        def limited(*args: Any, **kwargs: Any) -> str:
            _check_format(value.__self__, (args, kwargs))
            return inner(*args, **kwargs)

        return limited

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Compute a sum, product and so on. Raises ValueError if the result would be too large."""
        if operator == "**" and not (isinstance(right, int | float) and abs(right) <= MOST_EXPONENT):
            raise ValueError(f"a power above {MOST_EXPONENT} is too large for a template")
        if operator == "%" and isinstance(left, str):
            _check_format(left, right)
        for repeated, times in ((left, right), (right, left)) if operator == "*" else ():
            is_repetition = isinstance(repeated, str | list | tuple) and isinstance(times, int)
            if is_repetition and len(repeated) * times > MOST_REPEATED:
                raise ValueError(f"more than {MOST_REPEATED:,} repeated items are too many for a template")
        return self.budget.sized(super().call_binop(context, operator, left, right))

    def concat(self, parts: Iterable[str]) -> str:  # as Jinja's "".join
        """Join the output of a template, macro or block. Raises ValueError, in the line that makes it too large."""
        found, total = [], 0
        for part in parts:
            found.append(part)
            total += len(part)
            if total > MOST_SIZE:
                if throw := getattr(parts, "throw", None):
                    throw(_too_large())
                raise _too_large()
        return "".join(found)

    def compile(self, source: Any, name: Any = None, filename: Any = None, *options: Any, **more: Any) -> Any:
        """Compile a template. Raises TemplateSyntaxError, also if Jinja or Python cannot compile it."""
        with _syntax_errors(self, source, name, filename):
            return super().compile(source, name, filename, *options, **more)

    def parse(self, source: str, name: Any = None, filename: Any = None) -> nodes.Template:
        """Parse a template. Raises TemplateSyntaxError, also if it nests too deeply."""
        with _syntax_errors(self, source, name, filename):
            return super().parse(source, name, filename)

    def _generate(self, source: nodes.Template, *arguments: Any, **options: Any) -> str:
        _Limits().visit(source)
        return super()._generate(source, *arguments, **options)

    def _load_template(self, name: str, globals: Any) -> Any:
        self.budget.check()
        self.requested.add(name)
        return super()._load_template(name, globals)


@pass_context
def _shown(context: Any, value: Any) -> Any:
    """Return what an expression shows. Raises TypeError for what is not a text, ValueError for half of a letter."""
    if isinstance(value, str):
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError as trouble:
                raise ValueError(f"{value[trouble.start]!a} is half of a surrogate pair, which no file holds") from None
    elif isinstance(value, FunctionType | MethodType | BuiltinFunctionType):
        raise TypeError("this is a function and has no text of its own; call it, with ()")
    elif isinstance(value, Iterator) and not isinstance(value, LoopContext):
        raise TypeError("this is a sequence that is computed; make it a text with | join, or a list with | list")
    context.environment.budget.show(size(value) if not isinstance(value, Undefined) else 0)
    return value


@pass_context
def _text_of(context: Any, parts: list[Any]) -> str:
    """Return values joined by ``~``."""
    shown = [_shown(context, part) for part in parts]
    size(shown)
    return markup_join(shown) if context.eval_ctx.autoescape else str_join(shown)


def _check_arguments(name: str, value: Any, arguments: list[Any]) -> None:
    """Raise ValueError if a filter or method would make too much for its arguments."""
    length = size(value)
    if name == "format":
        _check_format(value, arguments)
    if name == "sum" and any(not isinstance(argument, str | int | float) for argument in arguments):
        raise ValueError("a sum in a template is one of numbers")
    if name not in _FILLED and name not in _JOINED:
        return
    numbers = [abs(argument) for argument in arguments if isinstance(argument, int)] if name in _FILLED else []
    if max(numbers, default=0) > MOST_WIDTH:
        raise ValueError(f"{name} with more than {MOST_WIDTH:,} is too large for a template")
    texts = [size(argument) for argument in arguments if isinstance(argument, str | Mapping)] if name in _JOINED else []
    if name == "join" and isinstance(value, str):  # the method: the separator comes first
        texts.append(len(value))
        length = max(map(size, arguments), default=0)
    if (length + 1) * max([*numbers, *texts], default=0) > _MOST_MADE:
        raise ValueError(f"the result of {name} is too large for a template")


def _countable_arguments(name: str, arguments: Iterable[Any]) -> list[Any]:
    """Return the arguments of a call; items to join as a list, so that they can be counted first."""
    return [list(value) if name == "join" and isinstance(value, Iterator) else value for value in arguments]


def _check_format(text: Any, values: Any) -> None:
    """Raise ValueError if a text with places for values would become too large."""
    if not isinstance(text, str):
        return
    if len(text) > MOST_FORMAT:
        raise ValueError(f"a text of more than {MOST_FORMAT:,} characters is too large for a format in a template")
    for spec in _SPEC.finditer(text):
        for width in filter(None, spec.groups()):
            if "*" in width or "{" in width:
                raise ValueError("a width that is computed is refused in a template")
            if any(len(digits.lstrip("0")) > len(str(MOST_WIDTH)) for digits in re.findall(r"\d+", width)):
                raise ValueError(f"a width above {MOST_WIDTH:,} is too large for a template")
    if (text.count("%") + text.count("{")) * size(values) > _MOST_MADE:
        raise ValueError("the result of a format is too large for a template")


class _Limits(NodeTransformer):
    """Adds the limits of loops, literals and ``~`` to a parsed template: the rest is limited when it is called."""

    def visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> nodes.Node:
        """Return a node with limits, after its parts."""
        self.generic_visit(node)
        if isinstance(node, nodes.For):
            node.iter = _filter_node(node.iter, _TURNS)
        elif isinstance(node, nodes.Concat):
            return _filter_node(nodes.List(node.nodes, lineno=node.lineno), _TEXTS)
        elif isinstance(node, nodes.List | nodes.Tuple | nodes.Dict) and getattr(node, "ctx", "load") == "load":
            has_names = any(True for _ in node.find_all((nodes.Name, nodes.Call, nodes.Filter)))
            return _filter_node(node, _SIZED) if has_names else node
        return node


def _filter_node(node: nodes.Node, name: str) -> nodes.Expr:
    found = nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)
    environment = node.environment or next(node.iter_child_nodes()).environment
    assert environment
    found.set_environment(environment)
    return found


@contextmanager
def _syntax_errors(environment: Sandbox, source: Any, name: Any, filename: Any) -> Iterator[None]:
    """Make what Jinja's and Python's compilers raise for a template a TemplateSyntaxError at its line."""
    try:
        yield
    except (TemplateSyntaxError, TimeoutError):
        raise
    except Exception as trouble:
        message = f"it cannot be compiled: {getattr(trouble, 'msg', trouble)}"
        if isinstance(trouble, RecursionError | MemoryError):
            message = "it nests too deeply, or has too many operators in one expression"
        line = _line_of(trouble, environment, source)
        raise TemplateSyntaxError(message, line, name, filename) from None


def _line_of(trouble: Exception, environment: Sandbox, source: Any) -> int:
    """Return the line of the node that was compiled last, or of the code that Python refused."""
    if isinstance(trouble, SyntaxError) and isinstance(source, str):
        code = ImmutableSandboxedEnvironment.compile(environment, source, raw=True)
        known = re.findall(r"\b(\d+)=(\d+)", code.rpartition("debug_info = ")[2])
        lines = [int(line) for line, at in known if int(at) <= (trouble.lineno or 0)]
        return lines[-1] if lines else 1
    line = 1
    for frame, _ in walk_tb(trouble.__traceback__):
        for found in (frame.f_locals.get("node"), frame.f_locals.get("self")):
            if isinstance(found, nodes.Node):
                line = found.lineno or line
            elif isinstance(found, Parser):
                line = found.stream.current.lineno
    return line

"""YAML: read as nodes with positions, with YAML 1.1's traps as findings, and written so that every reader agrees."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from cardproof.core.errors import InputError
from cardproof.core.source import Source, read_source
from cardproof.core.types import Finding, Fix, Place

if TYPE_CHECKING:  # imported when a file is read
    import yaml

MAX_NODES = 100_000
"""Nodes after aliases are followed: a few lines of nested aliases can stand for billions of values."""
MAX_DEPTH = 100

_TAG = "tag:yaml.org,2002:"
# YAML 1.2, core schema, section 10.3.2
FLOAT_1_2 = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INT = re.compile(r"[-+]?[0-9]+")
_HEX = re.compile(r"0[xX][0-9a-fA-F]+")
_INT_1_1 = re.compile(r"[-+]?[0-9][0-9a-fA-FxX_:]*")
MAX_DIGITS = 300
"""Of an integer: a longer one is text. It converts to no other kind of number, and to text only slowly."""
_PLAIN_VALUE = re.compile(r"(\s*+(?:- ++)*+[^:#'\"\s][^:#'\"]*+:\s++)([^'\"\[{|>].*\S)")
_INDENTED_KEY = re.compile(r" {0,200}(?:- {1,20}){0,9}(?P<key>[A-Za-z_][\w .-]{0,60}):(?:\s|$)")
MAX_QUOTED = 2000
"""Characters of a line whose value is quoted by a fix."""


class _Span(Struct, eq=False):
    source: Source
    start: int
    end: int

    @property
    def place(self) -> Place:
        return self.source.place(self.start)


class Scalar(_Span, eq=False):
    """A single value; ``text`` is what was written, without quotes."""

    value: str | int | float | bool | None
    text: str
    style: str

    @property
    def place(self) -> Place:
        return self.source.place(self.start, self.end)

    def plain(self) -> Any:
        """Return the value; infinity and NaN, which JSON does not have, as they are written."""
        return self.text if isinstance(self.value, float) and not math.isfinite(self.value) else self.value

    def fix(self, text: str) -> Fix | None:
        """Return the edit that replaces this value by ``text``, in its style; None if it spans lines."""
        place = self.place
        if place.end_column is None or self.style not in ("", "'", '"'):
            return None
        return Fix(place.line, place.column, place.end_column, f"{self.style}{text}{self.style}")


class Sequence(_Span, eq=False):
    """A list of nodes."""

    items: list[Node]

    def plain(self) -> list[Any]:
        return [item.plain() for item in self.items]


class Mapping(_Span, eq=False):
    """A mapping with case-insensitive keys, as the model-index format defines it."""

    entries: dict[str, tuple[Scalar, Node]]

    def get(self, key: str) -> Node | None:
        entry = self.entries.get(key.lower())
        return entry[1] if entry else None

    def __iter__(self) -> Iterator[tuple[Scalar, Node]]:
        return iter(self.entries.values())

    def plain(self) -> dict[str, Any]:
        return {key.text: value.plain() for key, value in self}


Node = Scalar | Sequence | Mapping


def items_of(node: Node) -> list[Node]:
    """Return the entries of a list, or the one value in place of a list."""
    return node.items if isinstance(node, Sequence) else [node]


def read_yaml(source: Source, start: int = 0, end: int | None = None) -> tuple[Node | None, list[Finding]]:
    """Read the YAML document in ``source.text[start:end]``.

    Returns the root node, or None for an empty or invalid document, and the findings. A syntax error is fatal.
    """
    import yaml

    text = source.text[start:end]
    try:
        root = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.MarkedYAMLError as trouble:
        return None, [_syntax_error(trouble, source, start, text)]
    except yaml.reader.ReaderError:
        # The reader gives a position in bytes of its own buffer; read_source has reported the character's place.
        return None, []
    except RecursionError:
        return None, [_limit_exceeded(source, start, f"nested deeper than {MAX_DEPTH} levels")]
    if root is None:
        return None, []
    resolver = _Resolver(source, start)
    try:
        return resolver.node(root, 0), resolver.findings
    except _LimitError as trouble:
        return None, [_limit_exceeded(source, start, str(trouble))]


class _LimitError(Exception):
    pass


class _Resolver:
    """Converts the nodes of one PyYAML document."""

    def __init__(self, source: Source, offset: int) -> None:
        self.source = source
        self.offset = offset
        self.findings: list[Finding] = []
        self._count = 0
        self._reported: set[int] = set()
        self._scalars: dict[int, Scalar] = {}
        """By the identity of a node: a long text that many aliases stand for is converted once."""

    def node(self, node: yaml.Node, depth: int) -> Node:
        """Convert a node and all below it; lists and mappings anew for each alias, as they may be changed.

        Raises _LimitError if they are too many or too deep.
        """
        import yaml

        self._count += 1
        if self._count > MAX_NODES:
            raise _LimitError(f"holds more than {MAX_NODES:,} values once its aliases are followed")
        if depth > MAX_DEPTH:
            raise _LimitError(f"nested deeper than {MAX_DEPTH} levels, or an alias that contains itself")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        start, end = self._span(node)
        if isinstance(node, yaml.SequenceNode):
            return Sequence(self.source, start, end, [self.node(item, depth + 1) for item in node.value])
        return Mapping(self.source, start, end, self._entries(node, depth))

    def _entries(self, node: yaml.Node, depth: int) -> dict[str, tuple[Scalar, Node]]:
        import yaml

        entries: dict[str, tuple[Scalar, Node]] = {}
        inherited: list[Mapping] = []
        for key_node, value_node in node.value:
            value = self.node(value_node, depth + 1)
            if key_node.tag == _TAG + "merge":
                inherited += (item for item in items_of(value) if isinstance(item, Mapping))
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self._report(key_node, "yaml-key", "error", "a key must be a single value, not a list or mapping")
                continue
            key = self._scalar(key_node)
            if key.text.lower() in entries:
                first = entries[key.text.lower()][0].place.line
                message = f"key '{key.text}' stands here again (first on line {first}); readers keep only one of them"
                self._report(key_node, "duplicate-key", "error", message, "delete one of the two")
            entries[key.text.lower()] = (key, value)
        merged: dict[str, tuple[Scalar, Node]] = {}
        for mapping in reversed(inherited):  # the first wins
            merged.update(mapping.entries)
        return {**merged, **entries}

    def _scalar(self, node: yaml.ScalarNode) -> Scalar:
        if known := self._scalars.get(id(node)):
            return known
        start, end = self._span(node)
        style = node.style or ""
        text = node.value.rstrip("\n") if style in ("|", ">") else node.value
        value = node.value if style else self._value(node)
        self._scalars[id(node)] = found = Scalar(self.source, start, end, value, text, style)
        return found

    def _value(self, node: yaml.ScalarNode) -> str | int | float | bool | None:
        text: str = node.value
        kind, lower = node.tag.removeprefix(_TAG), text.lower()
        is_number = FLOAT_1_2.fullmatch(text) is not None
        if kind == "null":
            return None
        if kind == "bool":
            if lower in ("true", "false"):
                return lower == "true"
            if lower in ("yes", "no", "on", "off"):
                return self._report_trap(node, f"the boolean {'true' if lower in ('yes', 'on') else 'false'}")
            return self._not_as_tagged(node)
        if len(text) > MAX_DIGITS and (kind in ("int", "float") or is_number):
            self._report(node, "yaml-limits", "error", f"a number of {len(text):,} digits: it is read as text")
            return text
        if kind == "int":
            if _HEX.fullmatch(text):
                return int(text, 16)
            if _INT.fullmatch(text):
                is_octal = re.match(r"[-+]?0.", text)
                return self._report_trap(node, "octal", "decimal") if is_octal else int(text)
            if _INT_1_1.fullmatch(text):
                return self._report_trap(node, "a number in base 60" if ":" in text else "a number")
            return self._not_as_tagged(node)
        if kind == "float" and not is_number:
            is_special = lower.lstrip("+-") in (".inf", ".nan")
            return float(text.replace(".", "")) if is_special else self._report_trap(node, "a number")
        if kind == "str" and is_number:
            written = _as_yaml_1_1(text)
            message = f"'{text}' is a number under YAML 1.2, but text for YAML 1.1 readers such as PyYAML"
            self._report(node, "yaml-1.1", "warning", message, f"write {written}", written)
        if kind in ("float", "str") and is_number:
            return float(text)
        if node.tag.startswith(_TAG + "python") or not node.tag.startswith(_TAG):
            self._report(node, "yaml-tag", "error", f"tag {node.tag!r} is not followed: cards are data")
        return text

    def _not_as_tagged(self, node: yaml.ScalarNode) -> str:
        message = f"'{node.value[:40]}' is not what its tag {node.tag.removeprefix(_TAG)} says: it is read as text"
        self._report(node, "yaml-tag", "error", message, "take the tag away")
        return str(node.value)

    def _report_trap(self, node: yaml.ScalarNode, old: str, new: str = "text") -> str:
        """Report a value that is another one under YAML 1.1, and return it as text."""
        text = str(node.value)
        message = f"'{text}' is {old} under YAML 1.1, and {new} under YAML 1.2"
        self._report(node, "yaml-1.1", "warning", message, f"quote it: '{text}'", f"'{text}'")
        return text

    def _span(self, node: yaml.Node) -> tuple[int, int]:
        return self.offset + node.start_mark.index, self.offset + node.end_mark.index

    def _report(
        self, node: yaml.Node, check: str, severity: Any, message: str, hint: str | None = None, text: str | None = None
    ) -> None:
        start, end = self._span(node)
        if start in self._reported:
            return  # an alias shows the same characters again
        self._reported.add(start)
        place = self.source.place(start, end)
        fixable = text is not None and place.end_column is not None
        fix = Fix(place.line, place.column, place.end_column or 0, text or "") if fixable else None
        self.findings.append(Finding(place, check, severity, message, hint, fix))


def _as_yaml_1_1(text: str) -> str:
    """Write a YAML 1.2 number for YAML 1.1 readers: with a dot, and a sign in the exponent."""
    mantissa, _, exponent = text.lower().partition("e")
    if "." not in mantissa:
        mantissa += ".0"
    if exponent and exponent[0] not in "+-":
        exponent = "+" + exponent
    return mantissa + ("e" + exponent if exponent else "")


def _syntax_error(trouble: yaml.MarkedYAMLError, source: Source, offset: int, text: str) -> Finding:
    mark = trouble.problem_mark or trouble.context_mark
    index = mark.index if mark else 0
    place = source.place(offset + min(index, len(text)))
    message = f"not valid YAML: {trouble.problem or trouble}"
    if trouble.context:
        message += f" ({trouble.context})"
    hint, fix = None, None
    if "mapping values are not allowed" in message:
        hint, fix = _quote_hint(source, place, text, index)
    elif text[index : index + 1] == "\t":
        hint = "indent with spaces: YAML allows no tabs"
    if hint is None:
        hint = _indentation_hint(text, index)
    return Finding(place, "yaml-syntax", "error", message, hint, fix, fatal=True)


def _quote_hint(source: Source, place: Place, text: str, index: int) -> tuple[str | None, Fix | None]:
    """Return the hint and fix that quote a plain value with ``: ``; nothing if the line is invalid with quotes too."""
    first, line = _line_at(text, index)
    match = _PLAIN_VALUE.match(line) if len(line) <= MAX_QUOTED else None
    if not match:
        holds = ": " in line[: index - first]
        return "a value that holds ': ' must be quoted" if holds else None, None
    quoted = "'" + match[2].replace("'", "''") + "'"
    if not _is_valid(text[:first] + line[: match.start(2)] + quoted):
        return None, None
    fix = Fix(place.line, match.start(2) + 1, match.end(2) + 1, quoted)
    return f"a value that holds ': ' must be quoted: {quoted}", fix


def _indentation_hint(text: str, index: int) -> str | None:
    """Return a hint for a line ``key: value`` that would be valid in the column of the key above it."""
    first, line = _line_at(text, index)
    match = _INDENTED_KEY.match(line)
    if match is None:
        return None
    column = match.start("key") + 1
    above = next(filter(None, map(_INDENTED_KEY.match, reversed(text[:first].splitlines()))), None)
    if above is None or (nearest := above.start("key") + 1) == column:
        return None
    moved = " " * (nearest - column) + line[max(0, column - nearest) :]
    if line[: max(0, column - nearest)].strip() or not _is_valid(text[:first] + moved):
        return None
    return (
        f"bad indentation: '{match['key']}' begins in column {column} and '{above['key']}' above it in column "
        f"{nearest}; keys of one mapping begin in the same column"
    )


def _line_at(text: str, index: int) -> tuple[int, str]:
    """Return where the line of a position starts, and the line without its end."""
    first = text.rfind("\n", 0, index) + 1
    end = text.find("\n", index)
    return first, text[first : end if end >= 0 else len(text)].rstrip("\r")


def _is_valid(text: str) -> bool:
    import yaml

    try:
        yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, RecursionError):
        return False
    return True


def _limit_exceeded(source: Source, start: int, message: str) -> Finding:
    return Finding(source.place(start), "yaml-limits", "error", message, fatal=True)


def read_yaml_file(path: Path) -> Node | None:
    """Read a YAML file that is not a card. Raises InputError, with file, line and column, for its errors."""
    source, findings = read_source(path, path.as_posix())
    tree: Node | None = None
    if source:
        tree, more = read_yaml(source)
        findings += more
    for finding in findings:
        if finding.severity == "error":
            raise InputError(f"{finding.place}: {finding.message}")
    return tree


class Inline(list[Any]):
    """A list that :func:`to_yaml` writes on one line."""


def to_yaml(data: Any) -> str:
    """Return plain data and nodes, which keep their own characters, as YAML in block style without anchors.

    A text is quoted if a reader of YAML 1.1 or 1.2 would take it for another value, and with two quotes if it would end
    the comment of a model index.
    """
    import yaml

    text: str = yaml.dump(data, Dumper=_dumper(), sort_keys=False, allow_unicode=True, width=100_000)
    return text


@cache
def _dumper() -> type[yaml.SafeDumper]:
    import yaml

    class Dumper(yaml.SafeDumper):
        """Writes nodes as well, and repeats what occurs twice: the Hub does not accept anchors."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

        def text(self, text: str) -> yaml.Node:
            style = '"' if "-->" in text else "'" if FLOAT_1_2.fullmatch(text) else None
            return self.represent_scalar(f"{_TAG}str", text, style=style)

        def scalar(self, node: Scalar) -> yaml.Node:
            """Return a value with its own characters; in quotes if it would read as another value without."""
            if node.value is None:
                return self.represent_none(None)
            if isinstance(node.value, str):
                return self.text(node.text)
            tag = self.resolve(yaml.ScalarNode, node.text, (True, False))  # type: ignore[no-untyped-call]
            return self.represent_scalar(tag, node.text)

        def inline(self, items: Inline) -> yaml.Node:
            return self.represent_sequence(f"{_TAG}seq", items, flow_style=True)

        def mapping(self, node: Mapping) -> yaml.Node:
            return self.represent_dict((key.text, value) for key, value in node)

        def sequence(self, node: Sequence) -> yaml.Node:
            return self.represent_list(node.items)

    Dumper.add_representer(str, Dumper.text)
    Dumper.add_representer(Inline, Dumper.inline)
    Dumper.add_representer(Mapping, Dumper.mapping)
    Dumper.add_representer(Sequence, Dumper.sequence)
    Dumper.add_multi_representer(Scalar, Dumper.scalar)
    return Dumper

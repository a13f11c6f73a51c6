"""The list "Model Stats" of timm's cards for the Hub, and similar lists: their models, and what they state."""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct, field

from cardproof.core.field_names import canonical_dataset, kind_of, normal_field, scale_of
from cardproof.core.numbers import MAX_TEXT, has_own_scale, parse_stated
from cardproof.core.source import Source
from cardproof.core.types import Number
from cardproof.core.yaml import Mapping, Scalar
from cardproof.read.markdown import Line, text_lines
from cardproof.read.models import Model, TableValue, UnreadTable, parse_size, stated_model
from cardproof.read.table_cells import span_without_marks
from cardproof.read.table_columns import COUNTS
from cardproof.read.table_values import LEAST_RATIO, SMALLEST

WORDS = ("model stats", "param", "flops", "macs", "multiply-adds", "mult-adds", "madds")
"""In lower case; a text without any of them has no list that is looked for."""
_TITLE = re.compile(r" {0,3}# {1,5}Model card for (`?)(?P<name>[\w./-]{1,200})\1 {0,5}\r?\n?", re.IGNORECASE)
_HEADING = re.compile(r" {0,3}(?P<level>#{1,6}) {1,5}([`*_]{0,3})(?P<name>[A-Za-z][\w.+/-]{1,200})\2[ #]{0,5}\r?\n?")
_NAMING = ("model_name", "name", "title")
"""Fields of a header that may name the model of the page."""
_STATS = re.compile(
    r"(?P<indent>[ \t]{0,8})(?:[-*+][ \t]{1,5}|#{1,6} )?(?:\*\*|__)?Model Stats ?:?(?:\*\*|__)?:?\s{0,20}",
    re.IGNORECASE,
)
_KEY = r"#?[A-Za-z][\w() #/.×^-]{0,40}?"
_ITEM = re.compile(
    rf"(?P<indent>[ \t]{{0,16}})[-*+][ \t]{{1,5}}"
    rf"(?P<mark>\*\*|__)?(?P<key>{_KEY})(?(mark)(?::(?P=mark)|(?P=mark) ?:)|:)"
    r"[ \t]{0,5}(?P<value>[^\s][^\r\n]{0,200})"
)
_ANY_ITEM = re.compile(r"(?P<indent>[ \t]{0,16})[-*+][ \t]")
_SIZES = re.compile(r"(?:(?P<when>train|test) ?= ?)?(?P<size>\d{1,5} ?x ?\d{1,5})")
_THREE_SIDES = re.compile(r"\d ?x ?\d{1,5} ?x")


class _Entry(Struct, frozen=True):
    """An item ``key: value`` of a list."""

    key: Scalar
    value: Scalar

    @property
    def kind(self) -> str:
        return kind_of(self.key.text)

    @property
    def number(self) -> Number | None:
        return parse_stated(self.value.text, "count", scale_of(self.key.text))

    @property
    def is_count(self) -> bool:
        """Whether it is sure to state a count."""
        number = self.number if self.kind in COUNTS else None
        return number is not None and (self.has_unit or number.value >= SMALLEST or "." in self.value.text)

    @property
    def has_unit(self) -> bool:
        return bool(scale_of(self.key.text)) or has_own_scale(self.value.text)


class _List(Struct):
    """Items of one level, with the line "Model Stats" above them if there is one."""

    start: int
    named: bool
    level: int = -1
    entries: list[_Entry] = field(default_factory=list)

    @property
    def repeated(self) -> str:
        """A count that it states twice."""
        keys = [normal_field(entry.key.text) for entry in self.entries if entry.kind in COUNTS]
        return next((key for key in keys if keys.count(key) > 1), "") if len(keys) < MAX_TEXT else keys[0]


class _Title(Struct, frozen=True):
    level: int
    name: Scalar
    certain: bool
    """Whether it says "Model card for"."""


def read_model_stats(
    source: Source, start: int, header: Mapping | None = None, only: str = ""
) -> tuple[Model | None, list[UnreadTable]]:
    """Return what the list "Model Stats" states of the page's model, and the lists with counts that are not read.

    ``only`` is the name of the only model that its header has results of; else the title names it, or a field of the
    header. Nothing is read if several lists, or titles of several models, make it uncertain.
    """
    lists, titles = _lists_and_titles(source, start)
    counting = [one for one in lists if any(entry.is_count for entry in one.entries)]
    named = [one for one in lists if one.named and one.entries]
    model = None
    reason = ""
    if len(named) > 1:
        reason = "the page has several lists 'Model Stats'"
    elif named:
        name = _name(source, named[0], titles, header, only)
        if isinstance(name, str):
            reason = name
        elif key := named[0].repeated:
            reason = f"it states {key} more than once"
        elif cells := [cell for entry in named[0].entries for cell in _cells(source, entry, named[0])]:
            model = stated_model(source, name, cells, "details")
            counting = [one for one in counting if one is not named[0]]
    unread = [_unread_list(source, one, reason) for one in counting if one.named]
    if others := [one for one in counting if not one.named]:
        more = f" (one of {len(others)} such lists)" if len(others) > 1 else ""
        unread.append(_unread_list(source, others[0], f"only a list below the words 'Model Stats' is read{more}"))
    return model, unread


def _unread_list(source: Source, one: _List, reason: str) -> UnreadTable:
    return UnreadTable(source.place(one.start if one.named else one.entries[0].key.start), reason, (), True, "list")


def _name(source: Source, stats: _List, titles: list[_Title], header: Mapping | None, only: str) -> Scalar | str:
    """Return the name of the model that a list is about, or the reason why that is uncertain."""
    certain = [title for title in titles if title.certain]
    first = [title for title in titles if title.level == 1 and _is_name(title.name.text)]
    of_page = certain or first
    below = [title for title in titles if not title.certain and title.level > 1 and title.name.start < stats.start]
    below = [title for title in below if _is_name(title.name.text) and not canonical_dataset(title.name.text)]
    others = {title.name.text for title in (*of_page, *below)}
    if len(others) > 1:
        return f"titles name several models: {', '.join(sorted(others)[:3])}"
    if only:
        return Scalar(source, stats.start, stats.start, only, only, "")
    if of_page:
        return of_page[0].name
    for key in _NAMING if header else ():
        node = header.get(key) if header else None
        if isinstance(node, Scalar) and isinstance(node.value, str) and _is_name(node.text):
            return node
    return "neither the title nor the header names its model, as in '# Model card for NAME'"


def _is_name(text: str) -> bool:
    """Return whether a title of one word is a model's name: ``resnet50.a1_in1k``, and not ``Overview``."""
    return bool(re.fullmatch(r"[A-Za-z][\w.+/-]{1,200}", text)) and any(character.isdigit() for character in text)


def _lists_and_titles(source: Source, start: int) -> tuple[list[_List], list[_Title]]:
    """Return the lists of a text with an item ``key: value``, and its headings of one word."""
    lists: list[_List] = []
    titles: list[_Title] = []
    current: _List | None = None
    for line in text_lines(source, start):
        text = "" if line.is_code else line.text
        if match := _STATS.fullmatch(text):
            current = _List(line.start + match.end("indent"), True)
            lists.append(current)
            continue
        if current and line.text.startswith(("    ", "\t")):
            text = line.text  # an item that is indented far, and no code
        if _ITEM.match(text) or (current and _ANY_ITEM.match(text)):
            current = _add_item(source, line, current, lists)
        elif line.text.strip():
            current = None
            if match := _TITLE.fullmatch(text):
                titles.append(_Title(1, _scalar(source, line, *match.span("name")), True))
            elif match := _HEADING.fullmatch(text):
                titles.append(_Title(len(match["level"]), _scalar(source, line, *match.span("name")), False))
    return lists, titles


def _add_item(source: Source, line: Line, current: _List | None, lists: list[_List]) -> _List | None:
    """Add an item to the list that it belongs to, and return that list; an item further in belongs to another item."""
    any_item, match = _ANY_ITEM.match(line.text), _ITEM.match(line.text)
    assert any_item
    level = len(any_item["indent"].expandtabs(4))
    if current and current.level < 0:
        current.level = level
    if current is None or level < current.level or (level > current.level and not current.named):
        if match is None:
            return None
        current = _List(line.start, False, level)
        lists.append(current)
    if match and level == current.level:
        first = line.start + match.start("value")
        span = span_without_marks(source.text, first, first + len(match["value"].rstrip()))
        text = source.text[slice(*span)]
        value = Scalar(source, *span, text, text, "")
        current.entries.append(_Entry(_scalar(source, line, *match.span("key")), value))
    return current


def _cells(source: Source, entry: _Entry, stats: _List) -> Iterator[tuple[Scalar, Scalar]]:
    """Yield the values of one item; there may be one image size for training and one for testing."""
    key, value = entry.key, entry.value
    if entry.kind == "activations":
        yield key, value
    elif entry.kind in COUNTS:
        yield key, _count(entry, stats)
    elif entry.kind == "image size" and parse_size(value.text):
        yield key, value
    elif entry.kind == "image size" and not _THREE_SIDES.search(value.text):
        for size in _SIZES.finditer(source.text, value.start, value.end):
            named = f"{key.text} (test)" if size["when"] == "test" else key.text
            first, last = size.span("size")
            yield (
                Scalar(source, key.start, key.end, named, named, ""),
                Scalar(source, first, last, size["size"], size["size"], ""),
            )


def _count(entry: _Entry, stats: _List) -> Scalar:
    """Return a count; FLOPs beside multiply-adds are operations, and a small number without a unit is not read."""
    key, value = entry.key, entry.value
    number, name = entry.number, normal_field(key.text)
    macs = next((one for one in stats.entries if one.kind == "flops" and normal_field(one.key.text) != "flops"), None)
    operations = name == "flops" and macs is not None
    unread = ""
    if number and not entry.has_unit and number.value < SMALLEST:
        unread = f"neither '{key.text}' nor '{value.text}' states a unit, such as 'Params (M)' or '11.7M'"
    elif number and operations and macs and (macs.number is None or number.value < macs.number.value * LEAST_RATIO):
        unread = "FLOPs and multiply-adds of this list are about as many: it is unclear what the FLOPs count"
    if not unread and not operations:
        return value
    return TableValue(
        value.source, value.start, value.end, value.text, value.text, "",
        entry.kind, name, None if unread else number, None, unread, operations,
    )  # fmt: skip


def _scalar(source: Source, line: Line, first: int, last: int) -> Scalar:
    text = line.text[first:last]
    return Scalar(source, line.start + first, line.start + last, text, text, "")

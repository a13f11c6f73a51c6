"""The shape of a model index as it is meant: lost indentation, keys in the wrong place, misspelt keys."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Iterable

from msgspec import Struct, field
from msgspec.structs import replace

from cardproof.core.names import FIELDS, kind_of
from cardproof.core.source import Source
from cardproof.core.types import Finding, Fix, Place
from cardproof.core.yaml import Mapping, Node, Scalar, Sequence, read_yaml
from cardproof.read.markdown import split_lines

Entry = tuple[Scalar, Node]

INDEX = ("type", "import", "models", "collections", "library")
ITEM = (
    "name", "in collection", "metadata", "results", "paper", "code", "weights", "config", "readme", "image", "license",
    "licence", "alias", "converted from", "published elsewhere",
)  # fmt: skip
"""Keys of a model or of a collection."""
RESULT = ("task", "dataset", "metrics")
COMMON = (
    "flops", "parameters", "epochs", "batch size", "training data", "training techniques", "training resources",
    "architecture",
)  # fmt: skip
"""Metadata that the format names itself."""
REFERENCE = ("title", "url", "version", "authors", "year", "journal", "doi")
"""Keys of a paper or of code."""
REFERENCES = ("paper", "code")

_OF_METADATA = {
    *COMMON, "image size", "crop pct", "interpolation", "file size", "lr", "learning rate", "momentum", "weight decay",
    "label smoothing",
} | set(FIELDS["parameters"][1]) | set(FIELDS["flops"][1]) - {"param"}  # fmt: skip
_METRIC = re.compile(r"top[ _-]?\d+([ _-](accuracy|acc|error))?|accuracy|map|miou", re.IGNORECASE)
_LINE = re.compile(
    r"(?P<dash>-[ \t]+)?(?P<key>'[^']*'|\"[^\"]*\"|[^\s:#'\"\[\]{},|>&*!%@`-][^:#'\"]*):(?P<value>[ \t].*|)"
)
_OPEN_VALUE = re.compile(r"\s*(?:[|>][-+\d]*\s*(?:#.*)?|[\[{][^\]}]*)")
"""A value that goes on in the lines below."""


def read_index(
    source: Source, start: int = 0, end: int | None = None, *, declared: bool = False
) -> tuple[Node | None, list[Finding]]:
    """Read a model index, or one of the files that it may import, as it is meant, with what is wrong in its shape.

    ``declared``: it says itself that it is an index. Anything else is returned as it is.
    """
    end = len(source.text) if end is None else end
    if lost := _lost_indents(source.text[start:end]):
        repaired = _Repaired(source, start, end, lost)
        tree, findings = repaired.read()
        if tree is not None and not any(finding.fatal for finding in findings):
            found = _Shape()
            return found.root(tree, declared), [repaired.finding(), *findings, *found.findings]
    tree, findings = read_yaml(source, start, end)
    if tree is None:
        return None, findings
    found = _Shape()
    return found.root(tree, declared), findings + found.findings


def indentation_fixes(source: Source, start: int = 0, end: int | None = None) -> list[Fix]:
    """Return the edits that restore the indentation of a model index: spaces at the start of lines."""
    end = len(source.text) if end is None else end
    if lost := _lost_indents(source.text[start:end]):
        repaired = _Repaired(source, start, end, lost)
        if repaired.read()[0] is not None:
            return repaired.fixes()
    tree, _ = read_yaml(source, start, end)
    if tree is None:
        return []
    found = _Shape()
    found.root(tree, declared=False)
    return [Fix(line, 1, 1, " " * spaces) for line, spaces in sorted(found.shifts.items())]


def is_index(root: Node | None) -> bool:
    """Return whether a document is a model index, one model, or a list of models."""
    if isinstance(root, Sequence):
        return bool(root.items) and all(is_model(item) for item in root.items)
    return isinstance(root, Mapping) and (
        any(root.get(key) for key in ("Models", "Collections", "Import")) or is_model(root)
    )


def is_model(node: Node) -> bool:
    """Return whether a mapping is one model: a name beside metadata that we know, or results."""
    if not isinstance(node, Mapping) or not isinstance(node.get("Name"), Scalar):
        return False
    metadata, results = node.get("Metadata"), node.get("Results")
    return is_metadata(metadata) or is_result(
        results.items[0] if isinstance(results, Sequence) and results.items else results
    )


def is_metadata(node: Node | None) -> bool:
    """Return whether a mapping is the metadata of a model."""
    if isinstance(node, Sequence):
        return any(is_metadata(item) for item in node.items)
    return isinstance(node, Mapping) and any(key in _OF_METADATA or kind_of(key) in FIELDS for key in node.entries)


def is_result(node: Node | None) -> bool:
    """Return whether a mapping is a result of a model."""
    return isinstance(node, Mapping) and node.get("Metrics") is not None and node.get("Dataset") is not None


class _Shape(Struct):
    """Puts the keys of an index where they belong, and reports the first of each mapping that stood elsewhere."""

    findings: list[Finding] = field(default_factory=list)
    shifts: dict[int, int] = field(default_factory=dict)
    """Line -> spaces by which it is indented too little."""
    _moved: set[int] = field(default_factory=set)
    """Where keys start that were put elsewhere."""
    _own: dict[int, Node] = field(default_factory=dict)
    """By its identity, what was made here and may be changed."""
    _reported: set[int] = field(default_factory=set)
    """Where mappings start of which a key was reported."""

    def root(self, root: Node, declared: bool) -> Node:
        if isinstance(root, Sequence):
            if any(is_model(item) for item in root.items):
                return self._items(root)
            return root
        if not isinstance(root, Mapping):
            return root
        if declared or any(key in root.entries for key in ("models", "collections", "import")):
            return self._index(root)
        return self._item(root) if is_model(root) else root

    def _index(self, index: Mapping) -> Mapping:
        entries: dict[str, Entry] = {}
        listed = ""
        """The last list above that has an entry."""
        for key, value in index:
            key, name = self._meant(key, INDEX, ITEM, RESULT, _OF_METADATA)
            home = "" if name in INDEX else _home(name)
            if home and listed:
                self._report(key, index, "the root of the index", _article(home))
                entries[listed] = (entries[listed][0], self._extended(entries[listed][1], name, key, value))
            else:
                entries[name] = (key, value)
                if name in ("models", "collections"):
                    listed = name if _mappings(value) else ""
        for name in ("models", "collections"):
            if name in entries:
                entries[name] = (entries[name][0], self._items(entries[name][1]))
        return Mapping(index.source, index.start, index.end, entries)

    def _items(self, node: Node) -> Node:
        if isinstance(node, Mapping):
            return self._item(node) if node.get("Name") is not None else node
        if isinstance(node, Sequence):
            items = [self._item(item) if isinstance(item, Mapping) else item for item in node.items]
            return Sequence(node.source, node.start, node.end, items)
        return node

    def _item(self, item: Mapping) -> Mapping:
        """Return a model or collection with its metadata, results, papers and code where they belong."""
        entries: dict[str, Entry] = {}
        empty = ""
        """The last key above that has no value yet."""
        for key, value in item:
            key, name = self._meant(key, ITEM, INDEX, RESULT, _OF_METADATA)
            home = "" if name in ITEM else _home(name)
            if not home and name not in ITEM and (empty == "metadata" or (empty and name in REFERENCE)):
                home = empty
            if home in REFERENCES:
                self._report(key, item, "a model or collection", _article(home))
                entries[home] = self._into(entries.get(home), home, key, value, home == empty)
            elif home == "metadata" and name not in entries:
                self._report(key, item, "a model or collection", _article(home))
                entries["metadata"] = self._into(entries.get("metadata"), "Metadata", key, value, empty == "metadata")
            elif home in ("results", "metrics"):
                self._report(key, item, "a model or collection", _article(home))
                entries["results"] = self._into_results(entries.get("results"), name, key, value)
            else:
                entries[name] = (key, self._joined(value, entries[name][1]) if name in entries else value)
                empty = name if name in ("metadata", *REFERENCES) and _is_empty(value) else ""
        if metadata := entries.get("metadata"):
            entries["metadata"] = (metadata[0], self._metadata(metadata[1], entries))
        if results := entries.get("results"):
            entries["results"] = (results[0], self._results(results[1]))
        return Mapping(item.source, item.start, item.end, entries)

    def _metadata(self, node: Node, model: dict[str, Entry]) -> Node:
        if not isinstance(node, Mapping):
            return node
        entries: dict[str, Entry] = {}
        for key, value in node:
            key, name = self._meant(key, COMMON, INDEX, ITEM, RESULT, _OF_METADATA)
            if name in ("results", "in collection") and name not in model and not _is_empty(value):
                self._report(key, node, "Metadata", "a model")
                model[name] = (key, value)
            else:
                entries[name] = (key, value)
        return Mapping(node.source, node.start, node.end, entries)

    def _results(self, node: Node) -> Node:
        if isinstance(node, Mapping):
            return self._result(node)
        if isinstance(node, Sequence):
            items = [self._result(item) if isinstance(item, Mapping) else item for item in node.items]
            return Sequence(node.source, node.start, node.end, items)
        return node

    def _result(self, result: Mapping) -> Mapping:
        entries: dict[str, Entry] = {}
        inside = False
        """Whether metrics were put into Metrics."""
        for key, value in result:
            key, name = self._meant(key, RESULT, ITEM)
            metrics = entries.get("metrics")
            belongs = _METRIC.fullmatch(key.text) and (metrics is None or _is_empty(metrics[1]) or inside)
            if name not in RESULT and (belongs or key.start in self._moved):
                self._report(key, result, "a result", "Metrics")
                entries["metrics"] = self._into(metrics, "Metrics", key, value, metrics is not None)
                inside = True
            else:
                entries[name] = (key, value)
        return Mapping(result.source, result.start, result.end, entries)

    def _into_results(self, entry: Entry | None, name: str, key: Scalar, value: Node) -> Entry:
        """Add a key to the last of a model's results."""
        if entry is None or not _mappings(entry[1]):
            results: Node = self._list([self._made(key)], key)
            entry = (entry[0] if entry else _key(key, "Results"), results)
        return entry[0], self._extended(entry[1], name, key, value)

    def _extended(self, node: Node, name: str, key: Scalar, value: Node) -> Node:
        """Add a key to the last mapping of a list, or to the one that stands instead of it, unless that has it."""
        items = node.items if isinstance(node, Sequence) else [node]
        if id(node) not in self._own:
            node = self._list(items, key)
            items = node.items
        at = next(at for at in reversed(range(len(items))) if isinstance(items[at], Mapping))
        last = items[at] = self._made(key, items[at])
        if name not in last.entries or _is_empty(last.entries[name][1]):
            self._shift(key, value, _column(last) - key.place.column if last.entries else 0)
            last.entries[name] = (key, value)
        return node

    def _list(self, items: Iterable[Node], key: Scalar) -> Sequence:
        made = Sequence(key.source, key.start, key.end, list(items))
        self._own[id(made)] = made
        return made

    def _joined(self, node: Node, made: Node) -> Node:
        """Return a value with what stood above it and belongs into it."""
        if isinstance(node, Mapping) and isinstance(made, Mapping):
            return Mapping(node.source, node.start, node.end, {**made.entries, **node.entries})
        if isinstance(node, Sequence) and isinstance(made, Sequence):
            return Sequence(node.source, node.start, node.end, [*made.items, *node.items])
        return made if _is_empty(node) else node

    def _into(self, entry: Entry | None, name: str, key: Scalar, value: Node, below: bool) -> Entry:
        """Add a key to a mapping; ``below``: it stands right below the mapping's key, which has no value of its own."""
        mark = entry[0] if entry else _key(key, name)
        if below:
            self._shift(key, value, mark.place.column + 2 - key.place.column)
        inner = self._made(mark, entry[1] if entry else None)
        inner.entries[key.text.lower()] = (key, value)
        return mark, inner

    def _made(self, key: Scalar, node: Node | None = None) -> Mapping:
        """Return a mapping that may be changed: the node itself if it was made here, or else one with its entries."""
        if isinstance(node, Mapping) and id(node) in self._own:
            return node
        like: Node = node if isinstance(node, Mapping) else key
        made = Mapping(key.source, like.start, like.end, dict(node.entries) if isinstance(node, Mapping) else {})
        self._own[id(made)] = made
        return made

    def _shift(self, key: Scalar, value: Node, spaces: int) -> None:
        if spaces > 0:
            last = key.source.place(max(end_of(value), key.end) - 1).line
            for line in range(key.place.line, last + 1):
                self.shifts[line] = self.shifts.get(line, 0) + spaces

    def _meant(self, key: Scalar, known: Collection[str], *others: Collection[str]) -> tuple[Scalar, str]:
        """Return a key, in the right spelling if it is one letter from a known one, and its name in small letters."""
        name = key.text.lower()
        if name in known or len(name) < 4 or any(name in other for other in others):
            return key, name
        near = [word for word in known if one_letter_apart(name, word)]
        if len(near) != 1 or key.start in self._moved:
            return key, name
        right = _as_written(near[0], key.text)
        message = f"'{key.text}' is not a key of the format, and one letter from '{right}': it is read as that"
        self.findings.append(Finding(key.place, "index-shape", "error", message, f"write '{right}'", key.fix(right)))
        return Scalar(key.source, key.start, key.end, right, right, key.style), near[0]

    def _report(self, key: Scalar, inside: Mapping, stands: str, home: str) -> None:
        """Report the first key of a mapping that belongs elsewhere; the others are moved with it."""
        if key.start not in self._moved and inside.start not in self._reported:
            self._reported.add(inside.start)
            self.findings.append(_misplaced(key.place, key.text, stands, home))
        self._moved.add(key.start)


class _Repaired:
    """The text of an index with its indentation restored, read with the positions of the text as it is."""

    def __init__(self, source: Source, start: int, end: int, spaces: Iterable[int]) -> None:
        lines = [line for _, line in split_lines(source.text[start:end])]
        self.spaces = list(spaces)
        self._source, self._start = source, start
        self._lines = lines
        self._first = source.place(start).line
        text = "".join(" " * number + line for number, line in zip(self.spaces, lines, strict=True))
        self._changed = Source(source.name, source.path, source.text[:start] + text)
        self._starts: list[tuple[int, int]] = []
        """Where each line starts in both texts: changed, as it is."""
        changed = position = start
        for number, line in zip(self.spaces, lines, strict=True):
            self._starts.append((changed, position))
            changed, position = changed + number + len(line), position + len(line)
        self._end = position

    def read(self) -> tuple[Node | None, list[Finding]]:
        tree, findings = read_yaml(self._changed, self._start)
        if tree is not None:
            self._move(tree, set())
        return tree, [replace(one, place=self._place(one.place), fix=self._fix(one.fix)) for one in findings]

    def fixes(self) -> list[Fix]:
        """Return the insertions of spaces; the first line may begin below a mark of the comment."""
        found = []
        for at, number in enumerate(self.spaces):
            if number:
                column = 1 if at else self._source.place(self._start).column
                found.append(Fix(self._first + at, column, column, " " * number))
        return found

    def finding(self) -> Finding:
        """Return the error at the first key that belongs further in."""
        at = next(at for at, number in enumerate(self.spaces) if number)
        match = _LINE.match(self._lines[at].strip())
        key = match["key"] if match else self._lines[at].strip()
        start = self._starts[at][1] + len(self._lines[at]) - len(self._lines[at].lstrip())
        return _misplaced(self._source.place(start, start + len(key)), key, "the root of the index", "an entry of it")

    def _position(self, changed: int) -> int:
        at = bisect_right(self._starts, (changed, self._end + changed)) - 1
        if at < 0:
            return changed
        first, position = self._starts[at]
        return max(position, min(position + changed - first - self.spaces[at], self._end))

    def _place(self, place: Place) -> Place:
        at = place.line - self._first
        spaces = self.spaces[at] if 0 <= at < len(self.spaces) else 0
        end = None if place.end_column is None else max(1, place.end_column - spaces)
        return Place(place.file, place.line, max(1, place.column - spaces), end)

    def _fix(self, fix: Fix | None) -> Fix | None:
        if fix is None:
            return None
        spaces = self.spaces[fix.line - self._first]
        return replace(fix, column=fix.column - spaces, end_column=fix.end_column - spaces)

    def _move(self, node: Node, seen: set[int]) -> None:
        """Give a node and all below it the positions in the text as it is."""
        if id(node) in seen:
            return
        seen.add(id(node))
        node.source, node.start, node.end = self._source, self._position(node.start), self._position(node.end)
        if isinstance(node, Sequence):
            for item in node.items:
                self._move(item, seen)
        elif isinstance(node, Mapping):
            for key, value in node:
                self._move(key, seen)
                self._move(value, seen)


def _lost_indents(text: str) -> list[int] | None:
    """Return by how many spaces each line of an index has to be indented if all its lines begin in one column.

    None if they do not, if nothing belongs further in, or if a line is not understood.
    """
    lines = [line.rstrip() for _, line in split_lines(text)]
    filled = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if len({len(line) - len(line.lstrip()) for line in filled}) != 1 or "\t" in text:
        return None
    depth = _Depth()
    found = [depth.of(line.strip()) for line in lines]
    if None in found or not depth.misplaced:
        return None
    return [number or 0 for number in found]


class _Depth(Struct):
    """Finds how deep each line of an index stands, from its key and the lines above."""

    misplaced: bool = False
    """Whether a key that belongs into an entry was seen."""
    _list: bool = False
    _open: str = ""
    """What is open in the current entry: metadata, results, a result, its metrics, the values of those, paper, code."""
    _deepest: int = 0

    def of(self, line: str) -> int | None:
        if not line or line.startswith("#"):
            return 0
        match = _LINE.fullmatch(line)
        if match is None:
            return self._deepest if line.startswith("- ") else None
        if _OPEN_VALUE.fullmatch(match["value"]):
            return None
        key, empty = match["key"].strip("'\" ").lower(), not match["value"].strip()
        found = self._entry(key, empty) if match["dash"] else self._key(key, empty)
        if found is not None and empty:
            self._deepest = found
        return found

    def _entry(self, key: str, empty: bool) -> int | None:
        """Return the depth of a line that begins an entry of a list."""
        if key == "name" and self._list and self._open != "metrics":
            self._open = ""
            return 0
        if key in RESULT and self._open in ("results", "result", "metrics", "values"):
            self._open = "metrics" if key == "metrics" and empty else "result"
            return 2
        return None

    def _key(self, key: str, empty: bool) -> int | None:
        if key in INDEX:
            self._list, self._open = key in ("models", "collections"), ""
            return 0
        if not self._list:
            return None
        self.misplaced |= bool(_home(key)) or key in ITEM
        if key in ITEM and not (key == "name" and self._open in REFERENCES):
            self._open = key if empty else ""
            return 2
        if key in RESULT and self._open in ("results", "result", "metrics", "values"):
            self._open = "metrics" if key == "metrics" and empty else "result"
            return 4
        if key in _OF_METADATA or self._open == "metadata":
            return 4 if self._open == "metadata" else None
        if self._open in ("metrics", "values"):
            self._open = "values"
            return 6
        return 4 if self._open in (*REFERENCES, "converted from") else None


def _misplaced(place: Place, key: str, stands: str, home: str) -> Finding:
    message = (
        f"'{key}' stands in {stands} and belongs into {home}: the indentation is lost or wrong; it is read as meant"
    )
    return Finding(place, "index-shape", "error", message, "indent it; --fix-unsafe does where the lines allow it")


def _home(key: str) -> str:
    """Return where a key belongs if it has one home; empty for keys of one's own."""
    if key in RESULT:
        return "results"
    if key in ITEM and key not in ("name", "readme", "image", "license", "licence", "config"):
        return "a model"
    if key in _OF_METADATA:
        return "metadata"
    return "metrics" if _METRIC.fullmatch(key) else ""


def _article(home: str) -> str:
    return home if home.startswith("a ") else home.title()


def one_letter_apart(one: str, other: str) -> bool:
    """Return whether two different words become equal by one letter more, less or changed, or two exchanged."""
    if one == other or abs(len(one) - len(other)) > 1:
        return False
    if len(one) == len(other):
        at = [index for index, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
        exchanged = len(at) == 2 and at[1] == at[0] + 1 and one[at[0]] == other[at[1]] and one[at[1]] == other[at[0]]
        return len(at) == 1 or exchanged
    longer, shorter = sorted((one, other), key=len, reverse=True)
    return any(longer[:index] + longer[index + 1 :] == shorter for index in range(len(longer)))


def _as_written(word: str, like: str) -> str:
    """Return a known key as the format writes it, or in small letters like the one that it replaces."""
    special = {"flops": "FLOPs", "readme": "README"}
    return word if like.islower() else special.get(word, word.title())


def _mappings(node: Node) -> list[Mapping]:
    return [item for item in (node.items if isinstance(node, Sequence) else [node]) if isinstance(item, Mapping)]


def _is_empty(node: Node) -> bool:
    return isinstance(node, Scalar) and node.value is None


def end_of(node: Node) -> int:
    """Return where the last value below a node ends."""
    if isinstance(node, Sequence) and node.items:
        return end_of(node.items[-1])
    if isinstance(node, Mapping) and node.entries:
        return max(end_of(value) for _, value in node)
    return node.end


def _column(node: Mapping) -> int:
    """Return the column of a mapping's first key."""
    return next(iter(node))[0].place.column


def _key(like: Scalar, name: str) -> Scalar:
    return Scalar(like.source, like.start, like.start, name, name, "")

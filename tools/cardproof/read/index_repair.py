"""The intended shape of a model index: repairs lost indentation, keys in the wrong place, misspelt keys."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from msgspec import Struct, field
from msgspec.structs import replace

from cardproof.core.field_names import FIELDS, kind_of
from cardproof.core.source import Source
from cardproof.core.types import Finding, Fix, Place
from cardproof.core.yaml import Mapping, Node, Scalar, Sequence, items_of, read_yaml

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

OF_METADATA = {
    *COMMON, "image size", "crop pct", "interpolation", "file size", "lr", "learning rate", "momentum", "weight decay",
    "label smoothing",
} | set(FIELDS["parameters"][1]) | set(FIELDS["flops"][1]) - {"param"}  # fmt: skip
METRIC = re.compile(r"top[ _-]?\d+([ _-](accuracy|acc|error))?|accuracy|map|miou", re.IGNORECASE)

Entry = tuple[Scalar, Node]

_LINE = re.compile(
    r"(?P<dash>-[ \t]+)?(?P<key>'[^']*'|\"[^\"]*\"|[^\s:#'\"\[\]{},|>&*!%@`-][^:#'\"]*):(?P<value>[ \t].*|)"
)
_OPEN_VALUE = re.compile(r"\s*(?:[|>][-+\d]*\s*(?:#.*)?|[\[{][^\]}]*)")
"""A value that goes on in the lines below."""


def read_index(
    source: Source, start: int = 0, end: int | None = None, *, declared: bool = False
) -> tuple[Node | None, list[Finding]]:
    """Read a model index, or one of the files that it may import, in its intended shape, with findings about faults.

    ``declared``: it says itself that it is an index. Anything else is returned as it is.
    """
    tree, findings, _ = _read(source, start, end, declared)
    return tree, findings


def indentation_fixes(source: Source, start: int = 0, end: int | None = None) -> list[Fix]:
    """Return the edits that restore the indentation of a model index: spaces at the start of lines."""
    _, _, shifts = _read(source, start, end, declared=False)
    return [Fix(line, 1, 1, " " * spaces) for line, spaces in sorted(shifts.items())]


def _read(
    source: Source, start: int, end: int | None, declared: bool
) -> tuple[Node | None, list[Finding], dict[int, int]]:
    """Return an index in its intended shape, its findings, and by how many spaces lines are indented too little."""
    end = len(source.text) if end is None else end
    shape = _Shape()
    restored = _restore_indentation(source, start, end)
    tree, findings = read_yaml(restored, start) if restored else (None, [])
    if restored and tree is not None:
        tree = shape.root(tree, declared)
        return tree, [restored.finding(), *findings, *dict.fromkeys(shape.findings)], restored.shifts
    tree, findings = read_yaml(source, start, end)
    if tree is not None:
        tree = shape.root(tree, declared)
    return tree, [*findings, *dict.fromkeys(shape.findings)], shape.shifts  # aliases lead to one entry several times


def is_index(root: Node | None) -> bool:
    """Return whether a document is a model index, one model, or a list of models."""
    if isinstance(root, Sequence):
        return bool(root.items) and all(is_model(item) for item in root.items)
    return isinstance(root, Mapping) and (
        any(root.get(key) for key in ("Models", "Collections", "Import")) or is_model(root)
    )


def is_model(node: Node) -> bool:
    """Return whether a mapping is one model: it has a name, and known metadata or results."""
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
    return isinstance(node, Mapping) and any(key in OF_METADATA or kind_of(key) in FIELDS for key in node.entries)


def is_result(node: Node | None) -> bool:
    """Return whether a mapping is a result of a model."""
    return isinstance(node, Mapping) and node.get("Metrics") is not None and node.get("Dataset") is not None


class _Shape(Struct):
    """Moves the keys of an index to where they belong, and reports the first misplaced key of each mapping."""

    findings: list[Finding] = field(default_factory=list)
    shifts: dict[int, int] = field(default_factory=dict)
    """Line -> spaces by which it is indented too little."""
    _moved: set[int] = field(default_factory=set)
    """Positions of keys that were moved."""
    _shifted: set[tuple[int, int]] = field(default_factory=set)
    """Where keys start that were noted in ``shifts``, and those beside or below which they belong."""
    _reported: set[int] = field(default_factory=set)
    """Positions of mappings of which a key was reported."""

    def root(self, root: Node, declared: bool) -> Node:
        if isinstance(root, Sequence):
            if any(is_model(item) for item in root.items):
                return self._items(root)
            return root
        if not isinstance(root, Mapping):
            return root
        listed = any(key in root.entries for key in ("models", "collections", "import"))
        if listed or (declared and root.get("Name") is None):
            return self._index(root)
        return self._item(root) if declared or is_model(root) else root

    def _index(self, index: Mapping) -> Mapping:
        entries: dict[str, Entry] = {}
        listed = ""
        """The last list above that has an entry."""
        for key, value in index:
            key, name = self._corrected_key(key, INDEX, ITEM, RESULT, OF_METADATA)
            home = "" if name in INDEX else _home_of(name)
            if home and listed:
                self._report(key, index, "the root of the index", home)
                entries[listed] = (entries[listed][0], self._add_to_last(entries[listed][1], name, key, value))
            else:
                entries[name] = (key, value)
                if name in ("models", "collections"):
                    listed = name if _mappings(value) else ""
        for name in ("models", "collections"):
            if name in entries:
                entries[name] = (entries[name][0], self._items(entries[name][1]))
        return Mapping(index.source, index.start, index.end, entries)

    def _items(self, node: Node) -> Node:
        return node if isinstance(node, Mapping) and node.get("Name") is None else _correct_each(node, self._item)

    def _item(self, item: Mapping) -> Mapping:
        """Return a model or collection with its metadata, results, papers and code where they belong."""
        entries: dict[str, Entry] = {}
        empty = ""
        """The last key above that has no value yet."""
        for key, value in item:
            key, name = self._corrected_key(key, ITEM, INDEX, RESULT, OF_METADATA)
            home = "" if name in ITEM else _home_of(name)
            if not home and name not in ITEM and (empty == "metadata" or (empty and name in REFERENCE)):
                home = empty
            if home in REFERENCES:
                self._report(key, item, "a model or collection", home)
                entries[home] = self._add_to_mapping(entries.get(home), home, key, value, home == empty)
            elif home == "metadata" and name not in entries:
                self._report(key, item, "a model or collection", home)
                entries["metadata"] = self._add_to_mapping(
                    entries.get("metadata"), "Metadata", key, value, empty == "metadata"
                )
            elif home in ("results", "metrics"):
                self._report(key, item, "a model or collection", home)
                entries["results"] = self._into_results(entries.get("results"), name, key, value)
            else:
                entries[name] = (key, self._merge_values(value, entries[name][1]) if name in entries else value)
                empty = name if name in ("metadata", *REFERENCES) and _is_empty(value) else ""
        if metadata := entries.get("metadata"):
            entries["metadata"] = (metadata[0], self._metadata(metadata[1], entries))
        if results := entries.get("results"):
            entries["results"] = (results[0], _correct_each(results[1], self._result))
        return Mapping(item.source, item.start, item.end, entries)

    def _metadata(self, node: Node, model: dict[str, Entry]) -> Node:
        if not isinstance(node, Mapping):
            return node
        entries: dict[str, Entry] = {}
        for key, value in node:
            key, name = self._corrected_key(key, COMMON, INDEX, ITEM, RESULT, OF_METADATA)
            if name in ("results", "in collection") and name not in model and not _is_empty(value):
                self._report(key, node, "Metadata", "a model")
                model[name] = (key, value)
            else:
                entries[name] = (key, value)
        return Mapping(node.source, node.start, node.end, entries)

    def _result(self, result: Mapping) -> Mapping:
        entries: dict[str, Entry] = {}
        inside = False
        """Whether metrics were put into Metrics."""
        for key, value in result:
            key, name = self._corrected_key(key, RESULT, ITEM)
            metrics = entries.get("metrics")
            belongs = METRIC.fullmatch(key.text) and (metrics is None or _is_empty(metrics[1]) or inside)
            if name not in RESULT and (belongs or key.start in self._moved):
                self._report(key, result, "a result", "Metrics")
                entries["metrics"] = self._add_to_mapping(metrics, "Metrics", key, value, metrics is not None)
                inside = True
            else:
                entries[name] = (key, value)
        return Mapping(result.source, result.start, result.end, entries)

    def _into_results(self, entry: Entry | None, name: str, key: Scalar, value: Node) -> Entry:
        if entry is None or not _mappings(entry[1]):
            first = Mapping(key.source, key.start, key.end, {})
            results = Sequence(key.source, key.start, key.end, [first])
            entry = (entry[0] if entry else _key(key, "Results"), results)
        return entry[0], self._add_to_last(entry[1], name, key, value)

    def _add_to_last(self, node: Node, name: str, key: Scalar, value: Node) -> Sequence:
        """Add a key to the last mapping of a list, or to the mapping in place of a list, unless that has the key."""
        items = items_of(node)
        last = next(item for item in reversed(items) if isinstance(item, Mapping))
        if name not in last.entries or _is_empty(last.entries[name][1]):
            if last.entries:
                self._shift(key, value, next(iter(last))[0], 0)
            last.entries[name] = (key, value)
        return node if isinstance(node, Sequence) else Sequence(key.source, key.start, key.end, items)

    def _merge_values(self, node: Node, made: Node) -> Node:
        """Return a value merged with the keys that stood above it and belong into it."""
        if isinstance(node, Mapping) and isinstance(made, Mapping):
            return Mapping(node.source, node.start, node.end, {**made.entries, **node.entries})
        if isinstance(node, Sequence) and isinstance(made, Sequence):
            return Sequence(node.source, node.start, node.end, [*made.items, *node.items])
        return made if _is_empty(node) else node

    def _add_to_mapping(self, entry: Entry | None, name: str, key: Scalar, value: Node, below: bool) -> Entry:
        """Add a key to a mapping; ``below``: it stands right below the mapping's key, which has no value of its own."""
        mark = entry[0] if entry else _key(key, name)
        if below:
            self._shift(key, value, mark, 2)
        inner = entry[1] if entry else None
        if not isinstance(inner, Mapping):
            inner = Mapping(key.source, mark.start, mark.end, {})
        inner.entries[key.text.lower()] = (key, value)
        return mark, inner

    def _shift(self, key: Scalar, value: Node, home: Scalar, inner: int) -> None:
        """Note that a key belongs ``inner`` columns right of another; once, whatever number of aliases lead there."""
        spaces = home.place.column + inner - key.place.column
        if spaces > 0 and (key.start, home.start) not in self._shifted:
            self._shifted.add((key.start, home.start))
            last = key.source.place(max(end_of(value), key.end) - 1).line
            for line in range(key.place.line, last + 1):
                self.shifts[line] = self.shifts.get(line, 0) + spaces

    def _corrected_key(self, key: Scalar, known: Collection[str], *others: Collection[str]) -> tuple[Scalar, str]:
        """Return a key, in the right spelling if it is one letter from a known one, and its name in small letters."""
        name = key.text.lower()
        if name in known or len(name) < 4 or any(name in other for other in others):
            return key, name
        near = [word for word in known if one_letter_apart(name, word)]
        if len(near) != 1 or key.start in self._moved:
            return key, name
        right = _usual_spelling(near[0], key.text)
        message = f"'{key.text}' is not a key of the format, and one letter from '{right}': it is read as that"
        self.findings.append(Finding(key.place, "index-shape", "error", message, f"write '{right}'", key.fix(right)))
        return Scalar(key.source, key.start, key.end, right, right, key.style), near[0]

    def _report(self, key: Scalar, inside: Mapping, stands: str, home: str) -> None:
        """Report the first key of a mapping that belongs elsewhere; the others are moved with it."""
        if key.start not in self._moved and inside.start not in self._reported:
            self._reported.add(inside.start)
            words = home if home.startswith("a ") else home.title()
            self.findings.append(_misplaced_key(key.place, key.text, stands, words))
        self._moved.add(key.start)


def _home_of(key: str) -> str:
    """Return where a known key belongs, if there is only one such place; empty for other keys."""
    if key in RESULT:
        return "results"
    if key in ITEM and key not in ("name", "readme", "image", "license", "licence", "config"):
        return "a model"
    if key in OF_METADATA:
        return "metadata"
    return "metrics" if METRIC.fullmatch(key) else ""


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


def _misplaced_key(place: Place, key: str, stands: str, home: str) -> Finding:
    """Return the error about a key in the wrong place."""
    message = (
        f"'{key}' stands in {stands} and belongs into {home}: the indentation is lost or wrong; it is read as meant"
    )
    return Finding(place, "index-shape", "error", message, "indent it; --fix-unsafe does where the lines allow it")


def _usual_spelling(word: str, like: str) -> str:
    """Return a known key as the format writes it, or in small letters like the one that it replaces."""
    special = {"flops": "FLOPs", "readme": "README"}
    return word if like.islower() else special.get(word, word.title())


def _correct_each(node: Node, meant: Callable[[Mapping], Mapping]) -> Node:
    """Return a mapping, or each mapping of a list, corrected; other nodes stay unchanged."""
    if isinstance(node, Mapping):
        return meant(node)
    if isinstance(node, Sequence):
        items = [meant(item) if isinstance(item, Mapping) else item for item in node.items]
        return Sequence(node.source, node.start, node.end, items)
    return node


def _mappings(node: Node) -> list[Mapping]:
    return [item for item in items_of(node) if isinstance(item, Mapping)]


def _is_empty(node: Node) -> bool:
    return isinstance(node, Scalar) and node.value is None


def end_of(node: Node) -> int:
    """Return the end of the last value below a node."""
    if isinstance(node, Sequence) and node.items:
        return end_of(node.items[-1])
    if isinstance(node, Mapping) and node.entries:
        return max(end_of(value) for _, value in node)
    return node.end


def _key(like: Scalar, name: str) -> Scalar:
    return Scalar(like.source, like.start, like.start, name, name, "")


class _RestoredSource(Source, eq=False):
    """The text of an index with its indentation restored; its places are those in the text as it is."""

    shifts: dict[int, int] = field(default_factory=dict)
    """Line -> spaces by which it is indented too little."""

    def place(self, start: int, end: int | None = None) -> Place:
        found = Source.place(self, start, end)
        spaces = self.shifts.get(found.line, 0)
        last = found.end_column and max(1, found.end_column - spaces)
        return replace(found, column=max(1, found.column - spaces), end_column=last)

    def finding(self) -> Finding:
        """Return the error at the first key that belongs further in."""
        number, spaces = next(iter(self.shifts.items()))
        line = self.text.split("\n")[number - 1]
        match = _LINE.match(line.strip())
        key = match["key"] if match else line.strip()
        column = len(line) - len(line.lstrip()) - spaces + 1
        place = Place(self.name, number, column, column + len(key))
        return _misplaced_key(place, key, "the root of the index", "an entry of it")


def _restore_indentation(source: Source, start: int, end: int) -> _RestoredSource | None:
    """Return the text up to the end of an index with its indentation restored if all its lines begin in one column.

    None if they do not, if nothing belongs further in, or if a line is not understood.
    """
    lines = source.text[start:end].split("\n")
    filled = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if len({len(line) - len(line.lstrip()) for line in filled}) != 1 or any("\t" in line for line in lines):
        return None
    depth = _Depth()
    spaces = [depth.of(line.strip()) for line in lines]
    if None in spaces or not depth.misplaced:
        return None
    text = "\n".join(" " * (number or 0) + line for number, line in zip(spaces, lines, strict=True))
    shifts = {line: number for line, number in enumerate(spaces, source.place(start).line) if number}
    return _RestoredSource(source.name, source.path, source.text[:start] + text, shifts=shifts)


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
        self.misplaced |= bool(_home_of(key)) or key in ITEM
        if key in ITEM and not (key == "name" and self._open in REFERENCES):
            self._open = key if empty else ""
            return 2
        if key in RESULT and self._open in ("results", "result", "metrics", "values"):
            self._open = "metrics" if key == "metrics" and empty else "result"
            return 4
        if key in OF_METADATA or self._open == "metadata":
            return 4 if self._open == "metadata" else None
        if self._open in ("metrics", "values"):
            self._open = "values"
            return 6
        return 4 if self._open in (*REFERENCES, "converted from") else None

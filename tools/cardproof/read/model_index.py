"""The model-index format in every shape it accepts: imports, collections and their inheritance, models, results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec import Struct, field

from cardproof.core.errors import did_you_mean
from cardproof.core.paths import MOST_ENTRIES, PathError, is_inside, named_files, show_path
from cardproof.core.source import Source, read_source
from cardproof.core.types import Finding, Place, Severity
from cardproof.core.yaml import Mapping, Node, Scalar, Sequence, items_of
from cardproof.read.index_repair import is_metadata, is_result, read_index
from cardproof.read.markdown import Page, read_page
from cardproof.read.models import Model, Result

_ROOT_KEYS = ("models", "collections", "import", "library")
_NOT_INHERITED = ("name", "in collection", "models")
_OF_A_METRIC = {"name", "type", "value", "config", "args", "verified", "verifytoken"}
MARKDOWN = (".md", ".mdx")
MAX_FILES = 20_000
"""Files that one index may import, each time that it names one."""
MAX_INHERITED = 50_000
"""Values that all models of an index may inherit: a short file can hand down many values to many models."""


_Named = tuple[Scalar, Mapping]
"""The name of a model and its fields."""


class IndexReader(Struct):
    """Reads model indexes and the files that they import, each file once."""

    root: Path
    """Files are only read below this folder: an index is untrusted input."""
    findings: list[Finding] = field(default_factory=list)
    read_files: dict[Path, None] = field(default_factory=dict)
    pages: dict[Path, Page] = field(default_factory=dict)
    """The Markdown pages that were imported; their findings are not among those of the index."""
    _collections: dict[str, Mapping] = field(default_factory=dict)
    """Those of the file that is read, and of what it imports."""
    _stack: list[Path] = field(default_factory=list)
    _trees: dict[Path, tuple[Node, ...]] = field(default_factory=dict)
    _visits: int = 0
    _inherited: int = 0
    _left: Iterator[int] = field(default_factory=lambda: iter(range(MOST_ENTRIES)))

    def models(self, roots: Iterable[Node], source: Source) -> tuple[Model, ...]:
        """Return the models of the indexes of a file and of what they import; they share their collections."""
        self._stack = [source.path.resolve()]
        self.read_files.setdefault(source.path.resolve())
        self._collections = {}
        found = [model for root in roots for model in self._any_root(root)]
        return tuple(self._model(mapping, name) for name, mapping in found)

    def nameless(self, root: Node) -> Model | None:
        """Return the model of a file that is only the metadata or the results of one, named after the file."""
        inner = root.get("Metadata") if isinstance(root, Mapping) else None
        key = "results" if _has_results(root) else "metadata" if is_metadata(root) or is_metadata(inner) else ""
        if not key:
            return None
        entry = (Scalar(root.source, root.start, root.start, key.title(), key.title(), ""), root)
        entries = root.entries if isinstance(root, Mapping) and root.get(key) is not None else {key: entry}
        fields = self._with_files(Mapping(root.source, root.start, root.end, entries))
        name = root.source.path.stem
        message = f"this is the {key} of one model, without its name: it is read as '{name}', and not judged"
        self.findings.append(Finding(root.place, "model-index", "note", message, "audit the index that imports it"))
        doubt = "the file does not say which model it is about"
        return Model(name, root.place, (), fields, self._results(fields), doubt=doubt)

    def _any_root(self, root: Node) -> list[_Named]:
        """Return the models of an index, of a list of models, or one model."""
        if isinstance(root, Mapping) and not _is_root(root):
            inner = root.get("Model")
            root = inner if isinstance(inner, Mapping) else root
            if root.get("Name") is None:
                if root.source.path.suffix.lower() not in MARKDOWN:
                    self._error(root.place, "a model index is a mapping with Models, Collections or Import")
                return []
        return self._models_root(root)

    def _models_root(self, root: Node) -> list[_Named]:
        if isinstance(root, Mapping) and _is_root(root):
            return self._root(root)
        inner = root.get("Model") if isinstance(root, Mapping) else None
        return self._models(inner if isinstance(inner, Mapping) else root)

    def _root(self, root: Mapping) -> list[_Named]:
        found: list[_Named] = []
        if (imports := root.get("Import")) is not None:
            for pattern in self._texts(imports, "Import"):
                for tree in self._documents(pattern):
                    found += self._any_root(tree)
        if (node := root.get("Collections")) is not None:
            self._add_collections(node)
        if (node := root.get("Models")) is not None:
            found += self._models(node)
        return found

    def _add_collections(self, node: Node) -> None:
        for entry in items_of(node):
            if isinstance(entry, Scalar) and isinstance(entry.value, str):
                for tree in self._documents(entry):
                    inner = tree.get("Collections") if isinstance(tree, Mapping) else None
                    self._add_collections(tree if inner is None else inner)
            elif isinstance(entry, Mapping) and isinstance(name := entry.get("Name"), Scalar):
                self._collections.setdefault(name.text, self._with_files(entry))
            elif not (isinstance(entry, Scalar) and entry.value is None):
                self._error(entry.place, "a collection is a mapping with a Name, or the path of a file with one")

    def _models(self, node: Node) -> list[_Named]:
        if isinstance(node, Mapping) and node.get("Name") is None and self._keyed_by_name(node):
            return []
        found: list[_Named] = []
        for entry in items_of(node):
            if isinstance(entry, Mapping):
                name = entry.get("Name")
                if isinstance(name, Scalar) and name.value is not None and name.text.strip():
                    found.append((name, self._with_files(entry)))
                else:
                    self._error(name.place if name else entry.place, "a model needs a Name", "write 'Name: …' first")
            elif isinstance(entry, Scalar) and isinstance(entry.value, str):
                for tree in self._documents(entry):
                    found += self._models_root(tree)
            else:
                self._error(entry.place, "Models must be a list of models, one model, or paths of files with models")
        return found

    def _keyed_by_name(self, node: Mapping) -> bool:
        entries = [(key, value) for key, value in node if isinstance(value, Mapping)]
        if not entries or len(entries) < len(node.entries):
            return False
        key, model = entries[0]
        inner = f" {next(iter(model))[0].text}: …" if model.entries else ""
        self._error(
            key.place,
            "Models must be a list (or one model); it looks like a mapping from name to model",
            f"write each as an entry of a list: '- Name: {key.text}' and below it{inner}",
        )
        return True

    def _with_files(self, model: Mapping) -> Mapping:
        """Return a model or collection with one mapping of metadata and one list of results, wherever they stand."""
        entries = dict(model.entries)
        if entry := entries.get("metadata"):
            entries["metadata"] = (entry[0], self._one_mapping(entry[1]))
        if entry := entries.get("results"):
            entries["results"] = (entry[0], self._one_list(entry[1]))
        return Mapping(model.source, model.start, model.end, entries)

    def _one_mapping(self, node: Node) -> Node:
        """Return metadata that may be a mapping, a list of mappings, or files with such; later values win."""
        parts = []
        for entry in items_of(node):
            parts += [item for part in self._resolve_files(entry, "metadata") for item in items_of(part)]
        mappings = [part for part in parts if isinstance(part, Mapping)]
        for part in parts:
            if not isinstance(part, Mapping) and not (isinstance(part, Scalar) and part.value is None):
                self._error(part.place, "Metadata is a mapping from field to value, or the path of a file with one")
        if not mappings:
            return node
        entries = {key: entry for mapping in mappings for key, entry in mapping.entries.items()}
        inner = entries.get("metadata")
        if len(entries) == 1 and inner and isinstance(inner[1], Mapping):
            return inner[1]  # the key stands twice, one in the other
        return Mapping(mappings[0].source, mappings[0].start, mappings[-1].end, entries)

    def _one_list(self, node: Node) -> Node:
        """Return results that may be a list, one result, or files with such, as a list."""
        if isinstance(node, Scalar) and not isinstance(node.value, str):
            return node
        results: list[Node] = []
        for entry in items_of(node):
            for part in self._resolve_files(entry, "results"):
                single = part.get("Result") if isinstance(part, Mapping) else None
                results += items_of(part) if single is None else [single]
        return Sequence(node.source, node.start, node.end, results)

    def _resolve_files(self, node: Node, key: str) -> list[Node]:
        """Return a node, or for a path what the files have under the key, or the files as a whole."""
        if not (isinstance(node, Scalar) and isinstance(node.value, str)):
            return [node]
        found = []
        for path in self._glob(node):
            for tree in self._documents_of_file(path, node.place):
                inner = tree.get(key) if isinstance(tree, Mapping) else None
                found.append(inner if inner is not None else tree)
        return found

    def _model(self, mapping: Mapping, name: Scalar) -> Model:
        collections = self._collections
        node = mapping.get("In Collection")
        names = self._texts(node, "In Collection") if node is not None else []
        inherited: dict[str, tuple[Scalar, Node]] = {}
        for entry in names:
            collection = collections.get(entry.text)
            if collection is None:
                near = next((other for other in collections if other.lower() == entry.text.lower()), None)
                like = did_you_mean(entry.text, collections).removeprefix("; ")
                hint = f"did you mean '{near}'?" if near else like or f"name one of: {', '.join(collections)}"
                severity: Severity = "warning"
                if not collections:  # one of several files, another of which may define it
                    severity, hint = "note", "if another file defines it, audit the index that imports both"
                message = f"collection '{entry.text}' is not defined, so the model inherits nothing from it"
                fix = entry.fix(near) if near else None
                self.findings.append(Finding(entry.place, "collection", severity, message, hint, fix))
            elif self._may_inherit(collection, entry):
                inherited = _merge(inherited, collection.entries)
        for key in _NOT_INHERITED:
            inherited.pop(key, None)
        fields = Mapping(mapping.source, mapping.start, mapping.end, _merge(inherited, mapping.entries))
        return Model(name.text, name.place, tuple(entry.text for entry in names), fields, self._results(fields))

    def _may_inherit(self, collection: Mapping, name: Scalar) -> bool:
        """Return whether a model may still inherit from a collection; report the first that may not."""
        before = self._inherited
        self._inherited += 1 + sum(
            len(node.entries) if isinstance(node, Mapping) else len(node.items) if isinstance(node, Sequence) else 1
            for _, node in collection
        )
        if before <= MAX_INHERITED < self._inherited:
            message = f"models of this index inherit more than {MAX_INHERITED:,} values; from here on they inherit none"
            self.findings.append(Finding(name.place, "yaml-limits", "error", message))
        return self._inherited <= MAX_INHERITED

    def _results(self, fields: Mapping) -> tuple[Result, ...]:
        node = fields.get("Results")
        if node is None or isinstance(node, Scalar):
            return ()  # no results, or a path that could not be read, which is reported
        results = []
        for entry in items_of(node):
            if not isinstance(entry, Mapping):
                self._error(entry.place, "a result is a mapping with Task, Dataset and Metrics")
                continue
            metrics = tuple(self._metrics(entry.get("Metrics")))
            task, dataset = _name(entry.get("Task")), _name(entry.get("Dataset"))
            stated = (dataset.text, dataset.place) if dataset else (None, None)
            results.append(Result(entry.place, task.text if task else None, stated[0], metrics, stated[1]))
        return tuple(results)

    def _metrics(self, node: Node | None) -> list[tuple[Scalar, Scalar]]:
        if node is None or (isinstance(node, Scalar) and node.value is None):
            return []
        pairs: list[tuple[Scalar, Scalar]] = []
        for entry in items_of(node):
            if not isinstance(entry, Mapping):
                self._error(entry.place, "Metrics is a mapping from metric to value, or a list of such")
                continue
            name = entry.get("Name") or entry.get("Type") or entry.get("Metric")
            value = entry.get("Value")
            if isinstance(name, Scalar) and isinstance(value, Scalar):
                pairs.append((name, value))
                continue
            if isinstance(name, Scalar) and entry.entries.keys() <= _OF_A_METRIC:
                if entry.get("Type") is None:  # of a header it is reported with what else the Hub refuses
                    self._error(entry.place, f"metric '{name.text}' has no value", "write its Value")
                continue
            for key, metric in entry:
                if isinstance(metric, Mapping):
                    metric = metric.get("Value") or metric
                if isinstance(metric, Scalar):
                    pairs.append((key, metric))
                else:
                    self._error(metric.place, f"metric '{key.text}' must be one value")
        return pairs

    def _texts(self, node: Node, what: str) -> list[Scalar]:
        """Return the texts of a field that holds one text or a list of texts."""
        texts = []
        for entry in items_of(node):
            if isinstance(entry, Scalar) and entry.value is not None:
                texts.append(entry)
            elif not isinstance(entry, Scalar):
                self._error(entry.place, f"{what} must be text or a list of texts")
        return texts

    def _glob(self, pattern: Scalar) -> list[Path]:
        """Return the files that a path or wildcard names, relative to the file that names them, sorted."""
        if "://" in pattern.text:
            self._error(pattern.place, f"'{pattern.text}' is an address; a model index reads local files only")
            return []
        folder, name = pattern.source.path.parent, pattern.text if len(pattern.text) < 200 else f"{pattern.text[:200]}…"
        try:
            files = named_files(pattern.text, folder, self.root, self._left)
        except PathError as error:
            self._error(pattern.place, f"'{name}' {error}")
            return []
        if not files:
            self._error(pattern.place, f"no file matches '{name}'", f"looked in {show_path(folder)}")
        inside = [path for path in files if is_inside(path, [self.root])]
        if len(inside) < len(files):
            self._error(pattern.place, f"'{name}' leads out of {show_path(self.root)}, where nothing is read")
        return inside

    def _documents(self, pattern: Scalar) -> Iterator[Node]:
        """Yield the documents of the files that a path or wildcard names, without those that lead back here."""
        for path in self._glob(pattern):
            resolved = path.resolve()
            if resolved in self._stack:
                chain = [*self._stack[self._stack.index(resolved) :], resolved]
                message = "files import each other in a circle: " + " → ".join(map(show_path, chain))
                self._error(pattern.place, message)
                continue
            self._stack.append(resolved)
            yield from self._documents_of_file(path, pattern.place)
            self._stack.pop()

    def _documents_of_file(self, path: Path, place: Place) -> tuple[Node, ...]:
        """Return the documents of a file: one of YAML or JSON, and each index of a Markdown page."""
        resolved = path.resolve()
        self._visits += 1
        if self._visits > MAX_FILES:
            if self._visits == MAX_FILES + 1:
                self._error(place, f"more than {MAX_FILES:,} files are imported")
            return ()
        if resolved not in self._trees:
            self.read_files.setdefault(resolved)
            source, findings = read_source(path, show_path(path))
            trees: tuple[Node, ...] = ()
            if source and not any(finding.fatal for finding in findings):
                if path.suffix.lower() in MARKDOWN:
                    page = self.pages[resolved] = read_page(source)
                    trees = page.every
                else:
                    tree, more = read_index(source)
                    trees = () if tree is None else (tree,)
                    findings += more
            self.findings += findings
            self._trees[resolved] = trees
        return self._trees[resolved]

    def _error(self, place: Place, message: str, hint: str | None = None) -> None:
        self.findings.append(Finding(place, "model-index", "error", message, hint))


def _is_root(root: Mapping) -> bool:
    return any(root.get(key) is not None for key in _ROOT_KEYS)


def _has_results(root: Node) -> bool:
    """Return whether a document is a result, a list of results, or has one."""
    if isinstance(root, Mapping):
        node = root.get("Results")
        return is_result(root) or (node is not None and root.get("Name") is None and _has_results(node))
    return isinstance(root, Sequence) and bool(root.items) and is_result(root.items[0])


def _name(node: Node | None) -> Scalar | None:
    """Return a name that is written as text or as a mapping with Name or Type."""
    if isinstance(node, Mapping):
        node = node.get("Name") or node.get("Type")
    return node if isinstance(node, Scalar) and node.value is not None else None


def _merge(
    inherited: dict[str, tuple[Scalar, Node]], own: dict[str, tuple[Scalar, Node]]
) -> dict[str, tuple[Scalar, Node]]:
    """Merge key by key: own values win, mappings are merged, lists are joined without duplicates."""
    merged = dict(own)
    for key, (name, node) in inherited.items():
        if key not in merged:
            merged[key] = (name, node)
            continue
        own_name, own_node = merged[key]
        if isinstance(node, Mapping) and isinstance(own_node, Mapping):
            entries = _merge(node.entries, own_node.entries)
            merged[key] = (own_name, Mapping(own_node.source, own_node.start, own_node.end, entries))
        elif isinstance(node, Sequence) and isinstance(own_node, Sequence):
            inherited_items = [item.plain() for item in node.items]
            items = node.items + [item for item in own_node.items if item.plain() not in inherited_items]
            merged[key] = (own_name, Sequence(own_node.source, own_node.start, own_node.end, items))
    return merged

"""The evidence store: one sealed JSON file per model in a site, and what audits measured in the user's private cache.

A record is valid while its key is equal. An audit reads the records of the site that it runs in, too, and writes none
of them. It uses a record of other stated numbers if its own are the measured ones: nothing has to be explained then.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from cardproof.core.cache import Entry, cache_path, open_cache
from cardproof.core.digests import digest_of_data, digest_of_files
from cardproof.core.journal import replace_files, site_lock
from cardproof.core.json import NewerError, TamperedError, dump_sealed, load_sealed, parse_sealed, to_plain_data
from cardproof.core.measurements import Evidence
from cardproof.core.numbers import equal_as_written
from cardproof.core.paths import existing_text, resolve_inside
from cardproof.core.types import Need, Question
from cardproof.zoos import BUILT_IN

SCHEMA = "cardproof-evidence/1"
METHOD = "counts/4"
"""Version of the counts and of the explanation search: a new one makes all older evidence stale."""


Inputs = tuple[tuple[str, str], ...]
"""Inputs of a measurement, by name: so that a reason can state what changed."""


class Record(Evidence, frozen=True):
    """Evidence as it is stored."""

    inputs: Inputs = ()
    """The parts of ``key``; older records have none."""


def is_record(text: str) -> bool:
    """Return whether a file's text looks like a record of this store, intact or edited."""
    return '"schema": "cardproof-evidence/' in text


class Dependencies(Struct, frozen=True):
    """All inputs of a measurement: as one digest, and by name."""

    key: str
    inputs: Inputs


def dependencies(need: Need, zoo: str, network: str) -> Dependencies:
    """Return the inputs of the counts of one model; ``network`` is the digest of its source."""
    questions = [[q.field, str(q.number.value), str(q.number.quantum)] for q in need.questions]
    renamed = [need.network] if need.network else []
    parts = [SCHEMA, METHOD, zoo, network, need.model, need.weights, need.size, questions, *renamed]
    stated = ", ".join(question_text(question) for question in need.questions)
    inputs = (
        ("method", METHOD),
        ("zoo", zoo),
        ("network", network),
        ("file of weights", need.weights or ""),
        ("image size", "x".join(str(side) for side in need.size) if need.size else ""),
        ("stated counts", stated),
        *(("name in the zoo", name) for name in renamed),
    )
    return Dependencies(digest_of_data(parts), inputs)


def question_text(question: Question) -> str:
    """Return a stated number with its field, as inputs of records name it."""
    value, quantum = (f"{part.normalize():f}" for part in (question.number.value, question.number.quantum))
    written = value if quantum == "1" else f"{value} to the nearest {quantum}"
    return f"{question.field} {written}"


def file_name(model: str) -> str:
    """Return the file name of a model's evidence.

    A name that is very long, begins or ends with a dot, has other characters than letters, digits, ``.``, ``_`` and
    ``-``, or is that of a device of Windows, is changed to a safe one and made unique by a digest. Names that differ in
    case only share a file where the file system ignores case: a record is used for the model that it names.
    """
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", model).lstrip(".")[:100]
    reserved = _RESERVED.match(safe)
    if safe == model and safe and not safe.endswith(".") and not reserved:
        return f"{safe}.json"
    digest = hashlib.sha256(model.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{'_' if reserved else ''}{safe.rstrip('.') or '_'}-{digest}.json"


_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d|conin\$|conout\$)(?:\.|$)", re.IGNORECASE | re.ASCII)
"""Names of devices on Windows, also before a dot."""


def changed_inputs(record: Record, wanted: Dependencies, state: Callable[[str, str], str]) -> str:
    """Describe the inputs that changed since a record was made; empty if it is valid.

    ``state`` is :func:`source_state`, or remembers what it returned.
    """
    sources = [f"the source {name}" for name in changed_sources(record.sources, state)]
    if record.key == wanted.key:
        return " and ".join(sources)
    before = dict(record.inputs)
    named = [_describe_change(name, before[name], now) for name, now in wanted.inputs if before.get(name, now) != now]
    return " and ".join(named or sources) or "what it depends on"


_DIGEST = re.compile(r"(?<!\s)\s*+sha256:[0-9a-f]+")


def _describe_change(name: str, before: str, now: str) -> str:
    """Describe a changed input, with both values unless they are digests."""
    old, new = (_DIGEST.sub("", text) or "none" for text in (before, now))
    return f"the {name}" if old == new else f"the {name} ({old}, now {new})"


def record_text(evidence: Evidence, folder: Path) -> str | None:
    """Return the new text of a model's record; None if there is nothing to store.

    If the model cannot be measured now, the counts of an existing record are kept.
    """
    if not evidence.error:
        return dump_record(evidence)
    path = folder / file_name(evidence.model)
    try:
        record = load_record(path)
    except (FileNotFoundError, TamperedError):
        return None
    if record.model != evidence.model:
        return None
    known = (*record.evaluations, *record.outdated)
    if all(result in known for result in evidence.evaluations):
        return path.read_text(encoding="utf-8")
    return dump_record(replace(record, evaluations=evidence.evaluations, outdated=evidence.outdated))


class EvidenceWriter:
    """Writes evidence into a site's store while the build measures, so that a build that is killed loses nothing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.before: dict[Path, str | None] = {}
        """Contents of the files before this build; None if a file did not exist."""

    def write(self, evidence: Evidence) -> None:
        """Write a record; the build reports links that lead out and files that are not records, which stay."""
        path, text = self._folder / file_name(evidence.model), record_text(evidence, self._folder)
        if text is None or resolve_inside(path, self._folder) is None:
            return
        with site_lock(self._folder):
            old = existing_text(path)
            if path.exists() and not is_record(old or ""):
                return
            self.before.setdefault(path, old)
            if old != text:
                replace_files({path: text})


FILE, NAMES, ABSENT = "sha256:", "names sha256:", "absent"
"""How the state of a source begins that is a file, or the names of files by a pattern, and that of a file that was
looked for and missing. Otherwise the source is a distribution, and its state the version."""


def changed_sources(sources: Inputs, state: Callable[[str, str], str] | None = None) -> list[str]:
    """Return the names of the sources that are not as they were."""
    state = state or source_state
    return [name for name, before in sources if state(name, before) != before]


def source_files(sources: Inputs) -> set[Path]:
    """Return the files of sources, also missing ones, and the folders of patterns."""
    files = {Path(name) for name, state in sources if is_file(name, state)}
    return files | {Path(name).parent for name, state in sources if state.startswith(NAMES)}


def is_file(source: str, state: str) -> bool:
    """Return whether a source is a file and not a distribution; records of earlier versions have ``.py`` files only."""
    return source.endswith(".py") or state.startswith(FILE) or state == ABSENT


def source_state(source: str, before: str = FILE) -> str:
    """Return the current state of a source; ``before`` is an earlier state, which shows its kind.

    Empty if the source cannot be read, or is a distribution that is missing.
    """
    path = Path(source)
    try:
        if before.startswith(NAMES):
            files = sorted(file.name for file in path.parent.glob(path.name) if file.is_file())
            return f"{NAMES.removesuffix(FILE)}{digest_of_data(files)}"
        if is_file(source, before):
            if path.is_file():
                return digest_of_files([path])
            return ABSENT if before == ABSENT and not path.exists() else ""
    except (OSError, ValueError):
        return ""
    from importlib.metadata import version

    try:
        return version(source)
    except (ModuleNotFoundError, ValueError):
        return ""


def load_record(path: Path) -> Record:
    """Read one record. Raises FileNotFoundError, TamperedError and NewerError like :func:`load_sealed`."""
    return _require_possible(load_sealed(path, SCHEMA, Record), path)


def _require_possible(record: Record, path: Path) -> Record:
    """Return a record whose values a measurement can give; raise TamperedError for others, even with a right seal."""
    built = [part for part in (record.counts, record.unrun) if part]
    sides = [side for part in built for side in part.input_shape]
    sides += record.preprocessing.input_size if record.preprocessing else ()
    numbers = [number for part in built for number in (part.parameters, part.buffers)]
    if counts := record.counts:
        numbers += (counts.multiply_adds, counts.activations, counts.layers)
        numbers += (*counts.output_shape, *counts.parts.values())
    results = (*record.evaluations, *record.outdated)
    if not (
        all(side > 0 for side in sides)
        and all(number >= 0 for number in numbers)
        and (not counts or counts.output_shape)
        and all(way.factor > 0 for way in record.reproductions)
        and all(0 <= found.top1 <= found.top5 <= found.images and found.images for found in results)
        and all(text.isdecimal() for found in results for row in found.confusion for text in row.split())
        and all(not found.confusion or len(found.confusion) == len(found.classes) for found in results)
    ):
        raise TamperedError(path)
    return record


OPTIONAL = ("takes", "unrun", "siblings", "stated_results", "near_names")
"""Fields that most records have nothing in, and older records lack."""


def dump_record(evidence: Evidence) -> str:
    """Return the text of a record."""
    record = to_plain_data(evidence)
    _omit_empty(record, *OPTIONAL)
    for result in (*record["evaluations"], *record["outdated"]):
        _omit_empty(result, "sources")
    if record["counts"]:
        _omit_empty(record["counts"], "uncounted", "merged")
    return dump_sealed(SCHEMA, record)


def _omit_empty(record: dict[str, Any], *fields: str) -> None:
    """Remove fields that are empty of most models; older records lack them."""
    for field_name in fields:
        if not record[field_name]:
            del record[field_name]


KIND = "evidence"
"""Kind of the cache's entries."""


class PrivateRecords:
    """The records in the user's cache of one zoo; without a cache nothing is found and nothing stored."""

    def __init__(self, zoo: str) -> None:
        self._zoo = zoo
        self._folder = "" if zoo in BUILT_IN else str(Path.cwd())  # paths of a user's own zoo are relative to it
        self._cache = open_cache()

    def of(self, need: Need) -> Iterator[Record]:
        """Yield the records of a model, without damaged ones: that with the same stated numbers, then the latest."""
        for name in self._record_names(need):
            entry = self._cache.entry(KIND, name) if self._cache else None
            if entry is None or not isinstance(entry.value, str):
                continue
            try:
                record = _require_possible(parse_sealed(entry.value, cache_path(), SCHEMA, Record), cache_path())
            except (TamperedError, NewerError):
                continue
            if record.model == need.model and dict(record.inputs) == entry.inputs:
                yield record

    def keep(self, need: Need, evidence: Evidence) -> None:
        """Store a measurement, except a failure that may pass."""
        inputs = dict(getattr(evidence, "inputs", ()))
        # a zoo that is built in has no model of this name until there is another version of it
        is_lasting = self._zoo in BUILT_IN and evidence.near_names is not None
        if self._cache and inputs and (not evidence.error or is_lasting):
            text = dump_record(evidence)
            self._cache.put((KIND, [Entry(name, inputs, text) for name in self._record_names(need)]))

    def close(self) -> None:
        if self._cache:
            self._cache.close()

    def _record_names(self, need: Need) -> tuple[str, str]:
        same = [self._zoo, self._folder, need.model, need.weights, need.size, need.network]
        asked = [question_text(question) for question in need.questions]
        return digest_of_data([*same, asked]), digest_of_data(same)


def usable_record(
    record: Record, need: Need, wanted: Dependencies, state: Callable[[str, str], str], *, any_numbers: bool
) -> Record | None:
    """Return a record as evidence for a need; None if something must be measured for it.

    With ``any_numbers`` it may be of other stated numbers. ``state`` is as for :func:`changed_inputs`.
    """
    if changed_sources(record.sources, state):
        return None
    if record.key == wanted.key:
        return replace(record, inputs=wanted.inputs)
    if not any_numbers or not _differs_in_numbers_only(record, need, wanted):
        return None
    asked = {(question.field, int(question.number.value)) for question in need.questions}
    ways = tuple(way for way in record.reproductions if (way.field, way.stated) in asked)
    return replace(record, key=wanted.key, inputs=wanted.inputs, reproductions=ways)


def _differs_in_numbers_only(record: Record, need: Need, wanted: Dependencies) -> bool:
    """Return whether a record is of the same network and image, and its counts answer all stated numbers."""
    before, now = dict(record.inputs), dict(wanted.inputs)
    stated = before.pop("stated counts", None)
    del now["stated counts"]
    if stated is None:  # records of earlier versions have no names of inputs
        return False
    if _is_of_size(record, need):
        before["image size"] = now["image size"]
    asked = stated.split(", ")
    return before == now and (
        record.error is not None
        or all(question_text(question) in asked or _is_answered(question, record) for question in need.questions)
    )


def _is_of_size(record: Record, need: Need) -> bool:
    """Return whether a network was counted at the image size of a need, or both are at the zoo's."""
    own = record.preprocessing.input_size[1:] if record.preprocessing else None
    size = need.size or own
    return record.refused is None and bool(record.counts and size and record.counts.input_shape[1:] == tuple(size))


def _is_answered(question: Question, record: Record) -> bool:
    if question.field == "flops":
        return record.counts is not None and equal_as_written(record.counts.multiply_adds, question.number)
    found = record.built if question.field == "parameters" else None
    return found is not None and equal_as_written(found.parameters, question.number)

"""The evidence store: one sealed JSON file per model, valid while its key is equal."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from cardproof.core.digests import digest_of_data, digest_of_files
from cardproof.core.files import replace_files, site_lock
from cardproof.core.sealed_json import TamperedError, dump_sealed, load_sealed, plain
from cardproof.core.types import Evidence, Need, Number

SCHEMA = "cardproof-evidence/1"
METHOD = "counts/3"
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
    stated = ", ".join(f"{question.field} {_written(question.number)}" for question in need.questions)
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


def _written(number: Number) -> str:
    """Return a stated number with its precision, if that is not one."""
    value, quantum = f"{number.value.normalize():f}", f"{number.quantum.normalize():f}"
    return value if quantum == "1" else f"{value} to the nearest {quantum}"


def file_name(model: str) -> str:
    """Return the file name of a model's evidence.

    A name that is very long, begins with a dot or has other characters than letters, digits, ``.``, ``_`` and ``-`` is
    shortened to the safe ones and made unique by a digest.
    """
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", model).lstrip(".")[:100]
    return f"{safe}.json" if safe == model else f"{safe or '_'}-{hashlib.sha256(model.encode()).hexdigest()[:8]}.json"


class Recalled(Struct, frozen=True):
    """The stored records of a run's models."""

    valid: dict[Need, Record] = field(default_factory=dict)
    """Records with valid counts."""
    stored: dict[Need, Record] = field(default_factory=dict)
    """All records; results on data sets depend on inputs of their own."""
    stale: dict[Need, str] = field(default_factory=dict)
    """Changed inputs of the records that are not valid."""
    tampered: tuple[Path, ...] = ()
    """Files that were edited by hand."""


def recall(needs: Iterable[Need], wanted: Mapping[Need, Dependencies], folder: Path) -> Recalled:
    """Read the stored evidence. Raises NewerError for a record that a newer cardproof wrote."""
    found = Recalled()
    tampered = []
    for need in needs:
        path = folder / file_name(need.model)
        try:
            record = load(path)
        except FileNotFoundError:
            continue
        except TamperedError:
            tampered.append(path)
            continue
        found.stored[need] = record
        if changed := changed_inputs(record, wanted[need]):
            found.stale[need] = changed
        else:
            found.valid[need] = replace(record, inputs=wanted[need].inputs)
    return replace(found, tampered=tuple(tampered))


def changed_inputs(record: Record, wanted: Dependencies) -> str:
    """Describe the inputs that changed since a record was made; empty if it is valid."""
    sources = [f"the source {name}" for name, state in record.sources if source_state(name) != state]
    if record.key == wanted.key:
        return " and ".join(sources)
    before = dict(record.inputs)
    named = [_change(name, before[name], now) for name, now in wanted.inputs if before.get(name, now) != now]
    return " and ".join(named or sources) or "what it depends on"


_DIGEST = re.compile(r"(?<!\s)\s*+sha256:[0-9a-f]+")


def _change(name: str, before: str, now: str) -> str:
    """Describe a changed input, with both values unless they are digests."""
    old, new = (_DIGEST.sub("", text) or "none" for text in (before, now))
    return f"the {name}" if old == new else f"the {name} ({old}, now {new})"


def record_text(evidence: Evidence, folder: Path) -> str | None:
    """Return the new text of a model's record; None if there is nothing to store.

    If the model cannot be measured now, the counts of an existing record are kept.
    """
    if not evidence.error:
        return dump(evidence)
    path = folder / file_name(evidence.model)
    try:
        record = load(path)
    except (FileNotFoundError, TamperedError):
        return None
    known = (*record.evaluations, *record.outdated)
    if all(result in known for result in evidence.evaluations):
        return path.read_text(encoding="utf-8")
    return dump(replace(record, evaluations=evidence.evaluations, outdated=evidence.outdated))


class EvidenceWriter:
    """Writes evidence into a site's store while the build measures, so that a build that is killed loses nothing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.before: dict[Path, str | None] = {}
        """Contents of the files before this build; None if a file did not exist."""

    def write(self, evidence: Evidence) -> None:
        """Write a record; a file that is not a record is left alone, and the build reports it."""
        path, text = self._folder / file_name(evidence.model), record_text(evidence, self._folder)
        if text is None:
            return
        with site_lock(self._folder):
            old = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
            if old is not None and not is_record(old):
                return
            self.before.setdefault(path, old)
            if old != text:
                replace_files({path: text})


def source_state(source: str) -> str:
    """Return the digest of a source file, or the version of a distribution; empty if it is missing."""
    if source.endswith(".py"):
        path = Path(source)
        return digest_of_files([path]) if path.is_file() else ""
    from importlib.metadata import version

    try:
        return version(source)
    except ModuleNotFoundError:
        return ""


def load(path: Path) -> Record:
    """Read one record. Raises FileNotFoundError, TamperedError and NewerError like :func:`load_sealed`."""
    return load_sealed(path, SCHEMA, Record)


OPTIONAL = ("takes", "unrun", "siblings", "stated_results", "near_names")
"""Fields that most records have nothing in, and older records lack."""


def dump(evidence: Evidence) -> str:
    """Return the text of a record."""
    record = plain(evidence)
    _leave_out(record, *OPTIONAL)
    if record["counts"]:
        _leave_out(record["counts"], "uncounted", "merged")
    return dump_sealed(SCHEMA, record)


def _leave_out(record: dict[str, Any], *fields: str) -> None:
    """Remove fields that are empty of most models; older records lack them."""
    for field_name in fields:
        if not record[field_name]:
            del record[field_name]

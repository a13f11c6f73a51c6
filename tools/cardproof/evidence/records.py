"""The evidence store: one JSON file per model, sealed, in stable order, and valid for as long as its key holds."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from cardproof.core.digests import digest_of_data, digest_of_files
from cardproof.core.files import replace_files, writing
from cardproof.core.sealed_json import TamperedError, dump_sealed, load_sealed, plain
from cardproof.core.types import Evidence, Need, Number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SCHEMA = "cardproof-evidence/1"
METHOD = "counts/2"
"""Version of what is counted and how, and of the explanation search: a new one makes all older evidence stale."""


Inputs = tuple[tuple[str, str], ...]
"""What decides a measurement, by name: so that a reason can say what changed."""


class Record(Evidence, frozen=True):
    """Evidence as the store has it: with the names of what its key is made of."""

    inputs: Inputs = ()
    """The parts of ``key``; records that were made before these were kept have none."""


def is_record(text: str) -> bool:
    """Return whether a file's text looks like a record of this store, whole or edited."""
    return '"schema": "cardproof-evidence/' in text


class Depends(Struct, frozen=True):
    """All that decides a measurement: as one digest, and by name."""

    key: str
    inputs: Inputs


def depends_on(need: Need, zoo: str, network: str) -> Depends:
    """Return what decides the counts of one model: method, network source (its digest), input and questions."""
    questions = [[q.field, str(q.number.value), str(q.number.quantum)] for q in need.questions]
    renamed = [need.network] if need.network else []
    key = [SCHEMA, METHOD, zoo, network, need.model, need.weights, need.size, questions, *renamed]
    inputs = (
        ("method", METHOD),
        ("zoo", zoo),
        ("network", network),
        ("file of weights", need.weights or ""),
        ("image size", "x".join(str(side) for side in need.size) if need.size else ""),
        ("stated counts", ", ".join(f"{question.field} {_written(question.number)}" for question in need.questions)),
        *(("name in the zoo", name) for name in renamed),
    )
    return Depends(digest_of_data(key), inputs)


def _written(number: Number) -> str:
    """Return a stated number with what its last digit stands for, if that is not one."""
    value, quantum = f"{number.value.normalize():f}", f"{number.quantum.normalize():f}"
    return value if quantum == "1" else f"{value} to the nearest {quantum}"


def file_name(model: str) -> str:
    """Return the file name of a model's evidence.

    A name with other characters than letters, digits, ``.``, ``_`` and ``-``, a hidden or a very long one, is cut to
    what is safe and made unique by a digest.
    """
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", model).lstrip(".")[:100]
    return f"{safe}.json" if safe == model else f"{safe or '_'}-{hashlib.sha256(model.encode()).hexdigest()[:8]}.json"


class Recalled(Struct, frozen=True):
    """What the store has of a run's models."""

    valid: dict[Need, Record] = field(default_factory=dict)
    """Records of which the counts are valid."""
    stored: dict[Need, Record] = field(default_factory=dict)
    """All records; results on data sets depend on inputs of their own."""
    stale: dict[Need, str] = field(default_factory=dict)
    """Of records that are not valid: what changed."""
    tampered: tuple[Path, ...] = ()
    """Files that were edited by hand."""


def recall(needs: Iterable[Need], wanted: Mapping[Need, Depends], folder: Path) -> Recalled:
    """Return the stored evidence, and the files that were edited by hand.

    Raises NewerError for a record that a newer cardproof wrote.
    """
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
        if changed := changes(record, wanted[need]):
            found.stale[need] = changed
        else:
            found.valid[need] = replace(record, inputs=wanted[need].inputs)
    return replace(found, tampered=tuple(tampered))


def changes(record: Record, wanted: Depends) -> str:
    """Say what is not as it was when a record was made; empty where it is valid."""
    sources = [f"the source {name}" for name, state in record.sources if state_of(name) != state]
    if record.key == wanted.key:
        return " and ".join(sources)
    before = dict(record.inputs)
    named = [_change(name, before[name], now) for name, now in wanted.inputs if before.get(name, now) != now]
    return " and ".join(named or sources) or "what it depends on"


_DIGEST = re.compile(r"\s*sha256:[0-9a-f]+")


def _change(name: str, before: str, now: str) -> str:
    """Say that an input changed, with both values where they say something to a reader."""
    old, new = (_DIGEST.sub("", text) or "none" for text in (before, now))
    return f"the {name}" if old == new else f"the {name} ({old}, now {new})"


def text_of(evidence: Evidence, folder: Path) -> str | None:
    """Return the text that the record of a model shall have; None for none.

    Of a model that cannot be measured now, the record that there is stays: what was found out once is not lost.
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
    """Writes evidence into a site's store as soon as it is there, so that a build that is killed loses nothing."""

    def __init__(self, folder: Path) -> None:
        """Keep evidence in this folder."""
        self._folder = folder
        self.before: dict[Path, str | None] = {}
        """What the files said before this build; None for those that were not there."""

    def keep(self, evidence: Evidence) -> None:
        """Write a record; a file that is no record is left alone, and the build will say so."""
        path, text = self._folder / file_name(evidence.model), text_of(evidence, self._folder)
        if text is None:
            return
        with writing(self._folder):
            old = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
            if old is not None and not is_record(old):
                return
            self.before.setdefault(path, old)
            if old != text:
                replace_files({path: text})


def state_of(source: str) -> str:
    """Return the digest of a source file, or the version of a distribution (``NAME``); empty where it is gone."""
    if source.endswith(".py"):
        path = Path(source)
        return digest_of_files([path]) if path.is_file() else ""
    from importlib.metadata import version

    try:
        return version(source)
    except ModuleNotFoundError:  # the package is not installed
        return ""


def load(path: Path) -> Record:
    """Read one record.

    Raises FileNotFoundError, TamperedError where it is not as this module wrote it, and NewerError where a newer one
    wrote it.
    """
    return load_sealed(path, SCHEMA, Record)


def dump(evidence: Evidence) -> str:
    """Return the text of a record."""
    record = plain(evidence)
    if not evidence.takes:  # most cards state no smallest size, and older records lack the field
        del record["takes"]
    return dump_sealed(SCHEMA, record)

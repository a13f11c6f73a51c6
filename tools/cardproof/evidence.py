"""The evidence store: one JSON file per model, sealed, in stable order, and valid for as long as its key holds."""

from __future__ import annotations

import hashlib
import importlib.metadata
import re
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cardproof.digests import digest_of_data, digest_of_files
from cardproof.sealed import TamperedError, dump_sealed, load_sealed, with_tuples
from cardproof.words import Counts, Environment, Evaluated, Evidence, Head, Need, Preprocessing, Recipe, Reproduction

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SCHEMA = "cardproof-evidence/1"
METHOD = "counts/1"
"""Version of what is counted and how, and of the explanation search: a new one makes all older evidence stale."""


def is_record(text: str) -> bool:
    """Return whether a file's text looks like a record of this store, whole or edited."""
    return '"schema": "cardproof-evidence/' in text


def key_of(need: Need, zoo: str, network: str) -> str:
    """Return the digest of all that decides a measurement: method, network source, input and questions."""
    questions = [[q.field, str(q.number.value), str(q.number.quantum)] for q in need.questions]
    return digest_of_data([SCHEMA, METHOD, zoo, network, need.model, need.weights, need.size, questions])


def file_name(model: str) -> str:
    """Return the file name of a model's evidence.

    A name with other characters than letters, digits, ``.``, ``_`` and ``-``, a hidden or a very long one, is cut to
    what is safe and made unique by a digest.
    """
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", model).lstrip(".")[:100]
    return f"{safe}.json" if safe == model else f"{safe or '_'}-{hashlib.sha256(model.encode()).hexdigest()[:8]}.json"


@dataclass(frozen=True, slots=True)
class Recalled:
    """What the store has of a run's models."""

    valid: dict[Need, Evidence] = field(default_factory=dict)
    """Records of which the counts are valid."""
    stored: dict[Need, Evidence] = field(default_factory=dict)
    """All records; results on data sets depend on inputs of their own."""
    tampered: tuple[Path, ...] = ()
    """Files that were edited by hand."""


def recall(needs: Iterable[Need], keys: Mapping[Need, str], folder: Path) -> Recalled:
    """Return the stored evidence, and the files that were edited by hand."""
    valid: dict[Need, Evidence] = {}
    stored: dict[Need, Evidence] = {}
    tampered = []
    for need in needs:
        path = folder / file_name(need.model)
        try:
            evidence = load(path)
        except FileNotFoundError:
            continue
        except TamperedError:
            tampered.append(path)
            continue
        stored[need] = evidence
        if evidence.key == keys[need] and all(digest == state_of(name) for name, digest in evidence.sources):
            valid[need] = evidence
    return Recalled(valid, stored, tuple(tampered))


def state_of(source: str) -> str:
    """Return the digest of a source file, or the version of a distribution (``NAME``); empty where it is gone."""
    if source.endswith(".py"):
        path = Path(source)
        return digest_of_files([path]) if path.is_file() else ""
    try:
        return importlib.metadata.version(source)
    except importlib.metadata.PackageNotFoundError:
        return ""


def load(path: Path) -> Evidence:
    """Read one record. Raises FileNotFoundError, and TamperedError where it is not as this module wrote it."""
    return load_sealed(path, SCHEMA, _from_record)


def dump(evidence: Evidence) -> str:
    """Return the text of a record."""
    record = asdict(evidence)
    for reproduction in record["reproductions"]:
        reproduction["factor"] = str(reproduction["factor"])
    return dump_sealed(SCHEMA, record)


def _from_record(record: dict[str, Any]) -> Evidence:
    counts = record["counts"]
    if counts is not None:
        head = Head(**counts["head"]) if counts["head"] else None
        counts = Counts(**{**with_tuples(counts), "head": head})
    reproductions = tuple(
        Reproduction(**{**with_tuples(entry), "factor": Fraction(entry["factor"])}) for entry in record["reproductions"]
    )
    config = record["preprocessing"]
    preprocessing = Preprocessing(**with_tuples(config)) if config is not None else None
    sources = tuple((name, digest) for name, digest in record["sources"])
    fields = {**record, "counts": counts, "reproductions": reproductions, "preprocessing": preprocessing}
    fields["sources"] = sources
    fields["evaluations"] = tuple(_evaluated(entry) for entry in record.get("evaluations", ()))
    fields["outdated"] = tuple(_evaluated(entry) for entry in record.get("outdated", ()))
    fields["recipe"] = Recipe(**_with_pairs(record["recipe"])) if record.get("recipe") else None
    return Evidence(**{**fields, "environment": Environment(**record["environment"])})


def _evaluated(record: dict[str, Any]) -> Evaluated:
    return Evaluated(**{**_with_pairs(record), "environment": Environment(**record["environment"])})


def _with_pairs(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record with its lists as tuples, and lists of pairs as tuples of tuples."""

    def tuples(value: Any) -> Any:
        return tuple(tuples(item) for item in value) if isinstance(value, list) else value

    return {name: tuples(value) for name, value in record.items()}

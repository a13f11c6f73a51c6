"""The evidence store: one JSON file per model, sealed, in stable order, and valid for as long as its key holds."""

from __future__ import annotations

import json
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cardproof.digests import digest_of_data
from cardproof.words import Counts, Environment, Evidence, Head, Need, Preprocessing, Reproduction

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SCHEMA = "cardproof-evidence/1"
METHOD = "counts/1"
"""Version of what is counted and how, and of the explanation search: a new one makes all older evidence stale."""


class TamperedError(Exception):
    """A stored record whose seal does not fit its content: it was edited by hand."""


def key_of(need: Need, zoo: str, network: str) -> str:
    """Return the digest of all that decides a measurement: method, network source, input and questions."""
    questions = [[q.field, str(q.number.value), str(q.number.quantum)] for q in need.questions]
    return digest_of_data([SCHEMA, METHOD, zoo, network, need.model, need.weights, need.size, questions])


def file_name(model: str) -> str:
    """Return the file name of a model's evidence; characters that no file system likes are written as ``%XX``."""
    safe = "".join(c if c.isalnum() or c in "._-" else "".join(f"%{b:02X}" for b in c.encode()) for c in model)
    return f"{safe.lstrip('.') or '_'}.json"


def recall(needs: Iterable[Need], keys: Mapping[Need, str], folder: Path) -> tuple[dict[Need, Evidence], list[Path]]:
    """Return the stored evidence that is still valid, and the files that were edited by hand."""
    found: dict[Need, Evidence] = {}
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
        if evidence.key == keys[need]:
            found[need] = evidence
    return found, tampered


def load(path: Path) -> Evidence:
    """Read one record. Raises FileNotFoundError, and TamperedError where it is not as this module wrote it."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record.pop("seal") != digest_of_data(record) or record.pop("schema") != SCHEMA:
            raise TamperedError(path)
        return _from_record(record)
    except (ValueError, KeyError, TypeError, AttributeError) as trouble:
        raise TamperedError(path) from trouble


def dump(evidence: Evidence) -> str:
    """Return the text of a record."""
    record: dict[str, Any] = {"schema": SCHEMA, **asdict(evidence)}
    for reproduction in record["reproductions"]:
        reproduction["factor"] = str(reproduction["factor"])
    record = json.loads(json.dumps(record))
    record["seal"] = digest_of_data(record)
    return json.dumps(record, indent=2, ensure_ascii=False) + "\n"


def _from_record(record: dict[str, Any]) -> Evidence:
    counts = record["counts"]
    if counts is not None:
        head = Head(**counts["head"]) if counts["head"] else None
        counts = Counts(**{**_tuples(counts), "head": head})
    reproductions = tuple(
        Reproduction(**{**_tuples(entry), "factor": Fraction(entry["factor"])}) for entry in record["reproductions"]
    )
    config = record["preprocessing"]
    preprocessing = Preprocessing(**_tuples(config)) if config is not None else None
    fields = {**record, "counts": counts, "reproductions": reproductions, "preprocessing": preprocessing}
    return Evidence(**{**fields, "environment": Environment(**record["environment"])})


def _tuples(record: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in record.items()}

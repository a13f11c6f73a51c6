"""What audits measured, in the user's private cache: valid by the rule of records, and never part of a site.

An audit also reads the records of the site that it runs in, and writes none of them. A record of either kind holds for
other stated numbers if these are the measured ones: nothing has to be explained then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from cardproof.core.cache import Entry, cache_path, open_cache
from cardproof.core.digests import digest_of_data
from cardproof.core.numbers import equal_as_written
from cardproof.core.sealed_json import NewerError, TamperedError
from cardproof.evidence.records import (
    Dependencies,
    Record,
    changed_sources,
    dump,
    load_text,
    question_text,
)
from cardproof.zoos import BUILT_IN

if TYPE_CHECKING:
    from cardproof.core.measurements import Evidence
    from cardproof.core.types import Need, Question

KIND = "evidence"
"""Kind of the cache's entries."""


class PrivateRecords:
    """The records in the user's cache of one zoo; without a cache nothing is found and nothing stored."""

    def __init__(self, zoo: str) -> None:
        self._zoo = zoo
        self._folder = "" if zoo in BUILT_IN else str(Path.cwd())  # paths of a user's own zoo are relative to it
        self._cache = open_cache()

    def of(self, need: Need) -> Iterator[Record]:
        """Yield the records of a model: that with the same stated numbers, then the last one; not damaged ones."""
        for name in self._names(need):
            entry = self._cache.entry(KIND, name) if self._cache else None
            if entry is None or not isinstance(entry.value, str):
                continue
            try:
                record = load_text(entry.value, cache_path())
            except (TamperedError, NewerError):
                continue
            if record.model == need.model and dict(record.inputs) == entry.inputs:
                yield record

    def keep(self, need: Need, evidence: Evidence) -> None:
        """Store a measurement, except a failure that may pass."""
        inputs = dict(getattr(evidence, "inputs", ()))
        if self._cache and inputs and (not evidence.error or self._is_lasting(evidence)):
            text = dump(evidence)
            self._cache.put((KIND, [Entry(name, inputs, text) for name in self._names(need)]))

    def close(self) -> None:
        if self._cache:
            self._cache.close()

    def _is_lasting(self, evidence: Evidence) -> bool:
        """Return whether a failure stays as long as the zoo does: its list of models does not have the name."""
        return self._zoo in BUILT_IN and evidence.near_names is not None

    def _names(self, need: Need) -> tuple[str, str]:
        same = [self._zoo, self._folder, need.model, need.weights, need.size, need.network]
        asked = [question_text(question) for question in need.questions]
        return digest_of_data([*same, asked]), digest_of_data(same)


def usable(
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
        or all(question_text(question) in asked or _is_met(question, record) for question in need.questions)
    )


def _is_of_size(record: Record, need: Need) -> bool:
    """Return whether a network was counted at the image size of a need, or both are at the zoo's."""
    own = record.preprocessing.input_size[1:] if record.preprocessing else None
    size = need.size or own
    return record.refused is None and bool(record.counts and size and record.counts.input_shape[1:] == tuple(size))


def _is_met(question: Question, record: Record) -> bool:
    """Return whether a stated number is the measured one, so that nothing explains it."""
    if question.field == "flops":
        return record.counts is not None and equal_as_written(record.counts.multiply_adds, question.number)
    found = record.built if question.field == "parameters" else None
    return found is not None and equal_as_written(found.parameters, question.number)

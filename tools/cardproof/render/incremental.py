"""Incremental builds: the reports of cards that are unchanged since an earlier build.

A report is valid while the files that were read and written for its card, the settings, the code, the zoo and what the
card shows of other cards are unchanged. Any other card goes through the whole flow.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cached_property, partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field, to_builtins

from cardproof.core.cache import Cache, Entry, LostError, open_cache
from cardproof.core.digests import ABSENT, Stamps, digest_of_data, stamp_of_tree
from cardproof.core.files import show_path
from cardproof.judge.card_report import CardReport, ModelRow, facts_of, from_facts
from cardproof.zoos import BUILT_IN, source_digest
from cardproof.zoos.digests import is_asked

if TYPE_CHECKING:
    from cardproof.core.settings import Settings
    from cardproof.render.views.comparison import ModelsBySize

CUDA = Path("/dev/nvidiactl")
"""Exists if there is a driver for NVIDIA's devices: snippets may run on one."""

CONTEXT = "settings, code and zoo"
CARDS = "all cards"
OTHERS = {f"{kind} of other cards": kind for kind in ("totals", "rows", "listings", "standing")}
"""Inputs that are not files; the last are digests of :class:`CrossCardDigests`."""


class Memory(Struct):
    """The stored reports of a site's cards; empty if there is no cache."""

    cache: Cache | None = None
    site: str = ""
    """Digest of the paths of a site, its pages and the working directory: the kind of its entries."""
    context: str = ""
    stamps: Stamps = field(default_factory=Stamps)
    entries: dict[str, Entry] = field(default_factory=dict)

    def includes(self) -> dict[str, tuple[str, ...]]:
        """Return the templates that each unchanged template includes."""
        return {
            file: tuple(entry.value["includes"])
            for file, entry in self.entries.items()
            if self.stamps.unchanged(file, str(entry.inputs.get(file, ABSENT)))
        }

    def reports(self, files: Iterable[str]) -> dict[str, CardReport]:
        """Return the reports of the cards whose files are unchanged."""
        found = {}
        for file in files:
            if (entry := self.entries.get(file)) and self._unchanged(entry):
                with suppress(ValueError, TypeError, ArithmeticError):  # what another version stored is made again
                    found[file] = from_facts(entry.value["report"], partial(self._full, file))
        return found

    def outdated(self, now: CrossCardDigests) -> set[str]:
        """Return the stored cards whose view of other cards has changed."""
        return {
            file
            for file, report in now.reports.items()
            if (entry := self.entries.get(file))
            and any(
                now.digest(OTHERS[name], report) != entry.inputs[name] for name in OTHERS.keys() & entry.inputs.keys()
            )
        }

    def store(self, cards: Mapping[str, tuple[CardReport, set[Path], tuple[str, ...]]], now: CrossCardDigests) -> None:
        """Store the cards of this build: reports, files read for them, and included templates, as they are now."""
        if not self.cache:
            return
        stamps = Stamps()
        entries, full = [], []
        for file, (report, read, includes) in cards.items():
            paths = {file, *(path.as_posix() for path in read), *report.outputs, *report.folders}
            seen = {name: now.digest(kind, report) for name, kind in OTHERS.items() if report.across.get(kind)}
            inputs = {CONTEXT: self.context, **seen, **{path: stamps.stamp(path) for path in sorted(paths)}}
            entries.append(Entry(file, inputs, {"report": facts_of(report), "includes": includes}))
            full.append(Entry(file, inputs, to_builtins(report.full())))
        self.cache.put((f"cards {self.site}", entries), (f"full reports {self.site}", full))

    def site_files(self, inputs: str) -> tuple[str, ...] | None:
        """Return the files about all models if an earlier build made them of the same inputs."""
        entry = self.cache.entry("site files", self.site) if self.cache else None
        whole = entry and CONTEXT in entry.inputs and isinstance(entry.value, list)
        if entry and whole and entry.inputs.get(CARDS) == inputs and self._unchanged(entry):
            return tuple(entry.value)
        return None

    def store_site_files(self, inputs: str, files: Iterable[str]) -> None:
        """Store the files about all models, as they are now, with the digest of their inputs."""
        if self.cache:
            stamps = Stamps()
            found = {path: stamps.stamp(path) for path in files}
            entry = Entry(self.site, {CONTEXT: self.context, CARDS: inputs, **found}, list(found))
            self.cache.put(("site files", [entry]))

    def _unchanged(self, entry: Entry) -> bool:
        """Return whether the context and all files are unchanged; what a card shows of others is compared later."""
        files = entry.inputs.keys() - {CONTEXT, CARDS, *OTHERS}
        same = entry.inputs[CONTEXT] == self.context
        return same and all(self.stamps.unchanged(file, entry.inputs[file]) for file in files)

    def _full(self, file: str) -> dict[str, Any]:
        """Return the long lists of a card's report, which most builds do not read. Raises LostError."""
        assert self.cache
        entry = self.cache.entry(f"full reports {self.site}", file)
        if entry is None or entry.inputs != self.entries[file].inputs:
            self.cache.remove()
            raise LostError(f"what the cache holds of {file} is damaged; it was removed, run the command again")
        found: dict[str, Any] = entry.value
        return found


def open_memory(settings: Settings, out: Path) -> Memory:
    """Return the memory of a site; empty if the cache cannot be used."""
    custom = settings.zoo is not None and settings.zoo not in BUILT_IN
    if custom and settings.zoo and is_asked(settings.zoo):
        return Memory()  # only the zoo knows whether a card is unchanged
    cache = open_cache()
    if cache is None:
        return Memory()
    site = digest_of_data([str(settings.base.resolve()), str(out.resolve()), str(Path.cwd())])
    context = _context_digest(settings)
    entries = cache.entries(f"cards {site}")
    valid = {file: entry for file, entry in entries.items() if _is_whole(entry) and entry.inputs[CONTEXT] == context}
    return Memory(cache, site, context, Stamps(), valid)


def _is_whole(entry: Entry) -> bool:
    """Return whether an entry has the parts of a stored card."""
    whole = isinstance(entry.value, dict) and isinstance(entry.inputs, dict) and CONTEXT in entry.inputs
    includes = entry.value.get("includes") if whole else None
    texts = isinstance(includes, list) and all(isinstance(name, str) for name in includes)
    return texts and isinstance(entry.value.get("report"), dict)


class CrossCardDigests:
    """Digests of what the cards of a site show of one another, by kind; each is computed once, when it is needed."""

    def __init__(self, reports: Mapping[str, CardReport]) -> None:
        self.reports = reports
        """Of all cards of the site, stored or new."""

    def digest(self, kind: str, report: CardReport) -> str:
        """Return the digest of one kind for a card: ``totals``, ``rows``, ``listings`` or ``standing``."""
        found: str = self._standing(report) if kind == "standing" else getattr(self, kind)
        return found

    @cached_property
    def totals(self) -> str:
        """The counts of all models."""
        found = ((name, totals) for report in self.reports.values() for name, totals in report.totals.items())
        return digest_of_data({name: (totals.parameters, totals.multiply_adds) for name, totals in found})

    @cached_property
    def rows(self) -> str:
        """The rows of all tables."""
        return self._rows_digest(lambda row: [dict(row.values), dict(row.marks)])

    @cached_property
    def listings(self) -> str:
        """The summaries of all models."""
        return self._rows_digest(lambda row: [row.listing, dict(row.first)])

    def _rows_digest(self, content: Callable[[ModelRow], object]) -> str:
        return digest_of_data(
            [
                [file, row.name, row.anchor, show_path(row.page), row.collections, content(row)]
                for file, report in sorted(self.reports.items())
                for row in report.rows
            ]
        )

    @cached_property
    def _standings(self) -> ModelsBySize:
        from cardproof.render.views.comparison import ModelsBySize

        return ModelsBySize(row for report in self.reports.values() for row in report.rows)

    def _standing(self, report: CardReport) -> str:
        """The models that a card's own are compared with."""
        from cardproof.render.views.comparison import comparison_digest

        return comparison_digest(self._standings.of(report.rows))


def _context_digest(settings: Settings) -> str:
    """Return the digest of all inputs that the cards of a site share."""
    stamps = Stamps()
    single = (settings.cited, settings.speed, settings.names)
    files = [settings.base / "mkdocs.yml", *(settings.path(path) for path in single if path)]
    zoo = ""
    trees = stamp_of_tree(Path(__file__).parents[1])
    if settings.zoo == "res2next":  # other built-in zoos change with the folder of installed packages
        found = find_spec("res2next")
        assert found
        assert found.origin
        trees += stamp_of_tree(Path(found.origin).parent)
    elif settings.zoo is not None and settings.zoo not in BUILT_IN:
        zoo = source_digest(settings.zoo)
    installed = [Path(sysconfig.get_path(kind)) for kind in ("purelib", "platlib")]
    return digest_of_data(
        [
            repr(settings),
            [f"{path} {stamps.digest(path)}" for path in files],
            trees,
            zoo,
            sys.version,
            [str(path.stat().st_mtime_ns) if path.exists() else "" for path in installed],
            _local_files(settings),
        ]
    )


def _local_files(settings: Settings) -> list[str]:
    """Return the state of data, weights and devices, which decide whether results are evaluated and snippets run."""
    from res2next.datasets import find_dataset, is_at_hand, list_datasets

    found = [f"{name} {is_at_hand(find_dataset(name), settings.data.get(name))}" for name in list_datasets()]
    found += [f"{name}={os.environ.get(name, '')}" for name in ("RES2NEXT_WEIGHTS", "RES2NEXT_DATA", "TORCH_HOME")]
    named = os.environ.get("RES2NEXT_WEIGHTS")
    places = [settings.path(settings.weights)] if settings.weights else []
    places += [Path(named)] if named else []
    if settings.zoo == "res2next":
        from res2next.weights import cache_folder

        places.append(cache_folder())
    if settings.snippets.files:
        from cardproof.snippets.run.runner import digests_of_given

        found += digests_of_given(settings.snippets.files, [settings.base], settings.base)
    return [*found, *(str(stamp_of_tree(place)) for place in places), str(CUDA.exists())]

"""Memory: which cards are as an earlier build left them, and what it said of them.

A card is remembered while the files that were read and written for it, the settings, the code, the zoo and what it saw
of other cards are the same. What is remembered is what the flow would say again; a card of which anything changed goes
through the whole flow.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from functools import cached_property, partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field, to_builtins

from cardproof.core.cache import Cache, Entry, open_cache
from cardproof.core.digests import Stamps, digest_of_data, stamp_of_tree
from cardproof.core.files import show_path
from cardproof.judge.card_report import CardReport, facts_of, from_facts
from cardproof.zoos import BUILT_IN, network_digests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from cardproof.core.settings import Settings
    from cardproof.judge.card_report import ModelRow
    from cardproof.render.views.comparison import Standings

CUDA = Path("/dev/nvidiactl")
"""There where a driver for NVIDIA's devices is: snippets may run on one."""


CONTEXT = "settings, code and zoo"
CARDS = "all cards"
OTHERS = {f"{kind} of other cards": kind for kind in ("totals", "rows", "listings", "standing")}
"""Inputs that are not files; the last are digests of :class:`CrossCardDigests`."""


class Memory(Struct):
    """What is remembered of a site's cards; nothing if there is no cache."""

    cache: Cache | None = None
    site: str = ""
    """Digest of the paths of a site, its pages and the working directory: the kind of its entries."""
    context: str = ""
    stamps: Stamps = field(default_factory=Stamps)
    entries: dict[str, Entry] = field(default_factory=dict)

    def includes(self) -> dict[str, tuple[str, ...]]:
        """Return which templates each template includes, of those that are as they were."""
        return {
            file: tuple(entry.value["includes"])
            for file, entry in self.entries.items()
            if self.stamps.unchanged(file, entry.inputs.get(file, ""))
        }

    def reports(self, files: Iterable[str]) -> dict[str, CardReport]:
        """Return the reports of the cards of which no file changed."""
        return {
            file: from_facts(entry.value["report"], partial(self._full, file))
            for file in files
            if (entry := self.entries.get(file)) and self._unchanged(entry)
        }

    def outdated(self, now: CrossCardDigests) -> set[str]:
        """Return the remembered cards that looked at other cards and would see something else now."""
        return {
            file
            for file, report in now.reports.items()
            if (entry := self.entries.get(file))
            and any(
                now.digest(OTHERS[name], report) != entry.inputs[name] for name in OTHERS.keys() & entry.inputs.keys()
            )
        }

    def keep(self, made: Mapping[str, tuple[CardReport, set[Path], tuple[str, ...]]], now: CrossCardDigests) -> None:
        """Remember the cards of this build: their reports, the files read for them and the templates they include.

        Files that were written are looked at as they are now.
        """
        if not self.cache:
            return
        stamps = Stamps()
        entries, full = [], []
        for file, (report, read, includes) in made.items():
            paths = {file, *(path.as_posix() for path in read), *report.outputs, *report.folders}
            seen = {name: now.digest(kind, report) for name, kind in OTHERS.items() if report.across.get(kind)}
            inputs = {CONTEXT: self.context, **seen, **{path: stamps.stamp(path) for path in sorted(paths)}}
            entries.append(Entry(file, inputs, {"report": facts_of(report), "includes": includes}))
            full.append(Entry(file, inputs, to_builtins(report.full())))
        self.cache.put(f"cards {self.site}", entries)
        self.cache.put(f"full reports {self.site}", full)

    def site_files(self, inputs: str) -> tuple[str, ...] | None:
        """Return the files about all models, if those of an earlier build are there and made of the same inputs."""
        entry = self.cache.entry("site files", self.site) if self.cache else None
        if entry and entry.inputs.get(CARDS) == inputs and self._unchanged(entry):
            return tuple(entry.value)
        return None

    def keep_site_files(self, inputs: str, files: Iterable[str]) -> None:
        """Remember the files about all models, as they are now, with a digest of what they were made of."""
        if self.cache:
            stamps = Stamps()
            found = {path: stamps.stamp(path) for path in files}
            entry = Entry(self.site, {CONTEXT: self.context, CARDS: inputs, **found}, list(found))
            self.cache.put("site files", [entry])

    def _unchanged(self, entry: Entry) -> bool:
        """Return whether the context and all files are as they were; what a card saw of others is compared later."""
        files = entry.inputs.keys() - {CONTEXT, CARDS, *OTHERS}
        same = entry.inputs[CONTEXT] == self.context
        return same and all(self.stamps.unchanged(file, entry.inputs[file]) for file in files)

    def _full(self, file: str) -> dict[str, Any]:
        """Return the long lists of a card's report, which most builds never read."""
        entry = self.cache.entry(f"full reports {self.site}", file) if self.cache else None
        return entry.value if entry else {}


def open_memory(settings: Settings, out: Path) -> Memory:
    """Return what is remembered of a site; nothing if the cache cannot be written or used."""
    cache = open_cache()
    if cache is None:
        return Memory()
    site = digest_of_data([str(settings.base.resolve()), str(out.resolve()), str(Path.cwd())])
    context = context_of(settings)
    entries = cache.entries(f"cards {site}")
    valid = {file: entry for file, entry in entries.items() if entry.inputs[CONTEXT] == context}
    return Memory(cache, site, context, Stamps(), valid)


class CrossCardDigests:
    """Digests of what the cards of a site see of one another, by kind; each is computed once, when it is asked for."""

    def __init__(self, reports: Mapping[str, CardReport]) -> None:
        self.reports = reports
        """Of all cards of the site, remembered or made anew."""

    def digest(self, kind: str, report: CardReport) -> str:
        """Return the digest of what a card sees of a kind: ``totals``, ``rows``, ``listings`` or ``standing``."""
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
        return self._of_rows(lambda row: dict(row.values))

    @cached_property
    def listings(self) -> str:
        """What lists of all models say."""
        return self._of_rows(lambda row: row.listing)

    def _of_rows(self, said: Callable[[ModelRow], object]) -> str:
        return digest_of_data(
            [
                [file, row.name, row.anchor, show_path(row.page), row.collections, said(row)]
                for file, report in sorted(self.reports.items())
                for row in report.rows
            ]
        )

    @cached_property
    def _standings(self) -> Standings:
        from cardproof.render.views.comparison import Standings

        return Standings(row for report in self.reports.values() for row in report.rows)

    def _standing(self, report: CardReport) -> str:
        """The models that a card's own are compared with."""
        from cardproof.render.views.comparison import digest_of_comparison

        return digest_of_comparison(self._standings.of(report.rows))


def context_of(settings: Settings) -> str:
    """Return the digest of all that every card depends on and that is no file of its own."""
    stamps = Stamps()
    own = Path(__file__).parents[1]
    single = (settings.cited, settings.speed, settings.names)
    files = [settings.base / "mkdocs.yml", *(settings.path(path) for path in single if path)]
    zoo = ""
    trees = stamp_of_tree(own)
    if settings.zoo is not None:
        if settings.zoo in BUILT_IN:
            # other packages change with the folder that they are installed in
            trees += stamp_of_tree(_package("res2next")) if settings.zoo == "res2next" else []
        else:
            zoo = next(iter(network_digests(settings.zoo, {""}).values()))
    return digest_of_data(
        [
            repr(settings),
            [f"{path} {stamps.digest(path)}" for path in files],
            trees,
            zoo,
            sys.version,
            [_changed(Path(sysconfig.get_path(kind))) for kind in ("purelib", "platlib")],
            _surroundings(settings),
        ]
    )


def _package(name: str) -> Path:
    """Return the folder of a package, without importing it."""
    found = find_spec(name)
    assert found
    assert found.origin
    return Path(found.origin).parent


def _surroundings(settings: Settings) -> list[str]:
    """Return what decides whether results can be evaluated and snippets can run on a device."""
    from res2next.datasets import find_dataset, is_at_hand, list_datasets

    found = [f"{name} {is_at_hand(find_dataset(name), settings.data.get(name))}" for name in list_datasets()]
    found += [f"{name}={os.environ.get(name, '')}" for name in ("RES2NEXT_WEIGHTS", "RES2NEXT_DATA", "TORCH_HOME")]
    named = os.environ.get("RES2NEXT_WEIGHTS")
    places = [settings.path(settings.weights)] if settings.weights else []
    places += [Path(named)] if named else []
    if settings.zoo == "res2next":
        from res2next.weights import cache_folder

        places.append(cache_folder())
    return [*found, *(str(stamp_of_tree(place)) for place in places), str(CUDA.exists())]


def _changed(path: Path) -> str:
    """Return when a file or folder was changed."""
    return str(path.stat().st_mtime_ns) if path.exists() else ""

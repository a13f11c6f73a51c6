"""Incremental builds: the reports of cards that are unchanged since an earlier build.

A report is valid while the files that were read and written for its card, the settings, the code, the zoo and what the
card shows of other cards are unchanged. Any other card goes through the whole flow.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, convert, field, to_builtins
from msgspec.structs import replace

from cardproof.core.cache import Cache, Entry, open_cache, pack, unpack
from cardproof.core.digests import ABSENT, Stamps, digest_of_data, stamp_of_tree
from cardproof.core.paths import show_path
from cardproof.judge.card_report import CardReport, facts_of, from_facts
from cardproof.zoos import BUILT_IN, source_digest
from cardproof.zoos.source_digests import must_ask_zoo

if TYPE_CHECKING:
    from cardproof.core.settings import Settings
    from cardproof.render.views.comparison import ModelsBySize

CUDA = Path("/dev/nvidiactl")
"""Exists if there is a driver for NVIDIA's devices: snippets may run on one."""

CONTEXT = "settings, code and zoo"
ROWS = "rows of all cards"
OTHERS = {f"{kind} of other cards": kind for kind in ("totals", "rows", "standing")}
"""Inputs that are not files; the last are digests of :class:`CrossCardDigests`."""


class RenderedCard(Struct, frozen=True):
    """A card that went through the whole flow."""

    report: CardReport
    read: set[str]
    """Its input files."""
    includes: tuple[str, ...]
    """Templates that its own template includes."""


class StoredCard(Struct, frozen=True):
    """A card of an earlier build."""

    inputs: Mapping[str, str]
    report: CardReport
    includes: tuple[str, ...]


class ReportStore(Struct):
    """The stored reports of a site's cards; empty if there is no cache."""

    cache: Cache | None = None
    site: str = ""
    """Digest of the paths of a site, its pages and the working directory: the kind of its entries."""
    context: str = ""
    stamps: Stamps = field(default_factory=Stamps)
    cards: dict[str, StoredCard] = field(default_factory=dict)

    def includes(self) -> dict[str, tuple[str, ...]]:
        """Return the templates that each unchanged template includes."""
        return {
            file: card.includes
            for file, card in self.cards.items()
            if self.stamps.unchanged(file, str(card.inputs.get(file, ABSENT)))
        }

    def reports(self, files: Iterable[str]) -> dict[str, CardReport]:
        """Return the reports of the cards whose files are unchanged."""
        return {file: card.report for file in files if (card := self.cards.get(file)) and self._unchanged(card.inputs)}

    def outdated(self, now: CrossCardDigests) -> set[str]:
        """Return the stored cards whose view of other cards has changed."""
        return {
            file
            for file, report in now.reports.items()
            if (card := self.cards.get(file))
            and any(now.digest(OTHERS[name], report) != card.inputs[name] for name in OTHERS.keys() & card.inputs)
        }

    def store(self, cards: Mapping[str, RenderedCard], now: CrossCardDigests) -> None:
        """Store the cards of this build, with the files that they depend on as they are now."""
        if not self.cache:
            return
        stamps = Stamps()
        entries = []
        for file, card in cards.items():
            report = card.report
            paths = {file, *card.read, *report.outputs, *report.folders}
            seen = {name: now.digest(kind, report) for name, kind in OTHERS.items() if report.across.get(kind)}
            inputs = {CONTEXT: self.context, **seen, **{path: stamps.stamp(path) for path in sorted(paths)}}
            lists = b64encode(pack(to_builtins(report.full()))).decode()  # small, as most builds do not read it
            entries.append(Entry(file, inputs, {"report": facts_of(report), "lists": lists, "includes": card.includes}))
        self.cache.put((f"cards {self.site}", entries))

    def site_files(self, rows: str) -> tuple[str, ...] | None:
        """Return the files about all models if an earlier build made them of the same rows."""
        entry = self.cache.entry("site files", self.site) if self.cache else None
        if entry and entry.inputs.get(ROWS) == rows and self._unchanged(entry.inputs):
            return tuple(entry.inputs.keys() - {CONTEXT, ROWS})
        return None

    def store_site_files(self, rows: str, files: Iterable[str]) -> None:
        """Store the files about all models, as they are now, with the digest of the rows that they were made of."""
        if self.cache:
            stamps = Stamps()
            inputs = {CONTEXT: self.context, ROWS: rows, **{path: stamps.stamp(path) for path in files}}
            self.cache.put(("site files", [Entry(self.site, inputs, None)]))

    def _unchanged(self, inputs: Mapping[str, str]) -> bool:
        """Return whether the context and all files are unchanged; what a card shows of others is compared later."""
        files = inputs.keys() - {CONTEXT, ROWS, *OTHERS}
        same = inputs[CONTEXT] == self.context
        return same and all(self.stamps.unchanged(file, inputs[file]) for file in files)


def open_report_store(settings: Settings, out: Path) -> ReportStore:
    """Return the stored reports of a site; empty if the cache cannot be used."""
    if settings.zoo and settings.zoo not in BUILT_IN and must_ask_zoo(settings.zoo):
        return ReportStore()  # only the zoo knows whether a card is unchanged
    cache = open_cache()
    if cache is None:
        return ReportStore()
    site = digest_of_data([str(settings.base.resolve()), str(out.resolve()), str(Path.cwd())])
    report_store = ReportStore(cache, site, _context_digest(settings))
    for file, entry in cache.entries(f"cards {site}").items():
        if entry.inputs.get(CONTEXT) == report_store.context:
            with suppress(LookupError, ValueError, TypeError, ArithmeticError):  # something else stored it
                report_store.cards[file] = _stored_card(entry)
    return report_store


def _stored_card(entry: Entry) -> StoredCard:
    lists, includes = entry.value["lists"], convert(entry.value["includes"], tuple[str, ...])
    return StoredCard(entry.inputs, from_facts(entry.value["report"], lambda: unpack(b64decode(lists))), includes)


class CrossCardDigests:
    """Digests of what the cards of a site show of one another, by kind; each is computed once, when it is needed."""

    def __init__(self, reports: Mapping[str, CardReport]) -> None:
        self.reports = reports
        """Of all cards of the site, stored or new."""

    def digest(self, kind: str, report: CardReport) -> str:
        """Return the digest of one kind for a card: ``totals``, ``rows`` or ``standing``."""
        found: str = self._standing_digest(report) if kind == "standing" else getattr(self, kind)
        return found

    @cached_property
    def totals(self) -> str:
        found = ((name, totals) for report in self.reports.values() for name, totals in report.totals.items())
        return digest_of_data({name: (totals.parameters, totals.multiply_adds) for name, totals in found})

    @cached_property
    def rows(self) -> str:
        """The models of all cards, as tables and lists show them."""
        rows = {file: report.rows for file, report in self.reports.items() if report.rows}
        return digest_of_data(to_builtins(rows, enc_hook=show_path))

    @cached_property
    def _standings(self) -> ModelsBySize:
        from cardproof.render.views.comparison import ModelsBySize

        return ModelsBySize(row for report in self.reports.values() for row in report.rows)

    def _standing_digest(self, report: CardReport) -> str:
        found = self._standings.of(report.rows)
        unseen: dict[str, Any] = {"collections": (), "values": {}, "verdicts": (), "first": {}, "listing": ""}
        rows = [replace(row, **unseen) for row in found.rows] if found else []
        return digest_of_data(to_builtins(rows, enc_hook=show_path))


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
    from res2next.datasets import find_dataset, is_available, list_datasets

    found = [f"{name} {is_available(find_dataset(name), settings.data.get(name))}" for name in list_datasets()]
    found += [f"{name}={os.environ.get(name, '')}" for name in ("RES2NEXT_WEIGHTS", "RES2NEXT_DATA", "TORCH_HOME")]
    named = os.environ.get("RES2NEXT_WEIGHTS")
    places = [settings.path(settings.weights)] if settings.weights else []
    places += [Path(named)] if named else []
    if settings.zoo == "res2next":
        from res2next.weights import cache_folder

        places.append(cache_folder())
    if settings.snippets.files:
        from cardproof.snippets.run.page_runner import digests_of_given

        found += digests_of_given(settings.snippets.files, [settings.base], settings.base)
    return [*found, *(str(stamp_of_tree(place)) for place in places), str(CUDA.exists())]

"""Snippets of a site: the pages of its cards, for one model or all, and the stored runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cardproof.core.digests import digest_of_data
from cardproof.core.errors import TemplatesError
from cardproof.core.sealed_json import TamperedError
from cardproof.evidence.records import file_name
from cardproof.snippets.prove import Page, extensions_text, policy_of, prove
from cardproof.snippets.results import FOLDER, PageRun, SiteRuns, dump_runs, load_runs

if TYPE_CHECKING:
    from cardproof.core.settings import Settings
    from cardproof.core.types import Finding
    from cardproof.read import Card
    from cardproof.render.pages import Site


def prove_site(
    site: Site,
    cards: Iterable[Card],
    settings: Settings,
    digests: Mapping[str, str],
    progress: Callable[[int, int, str], None] | None = None,
) -> SiteRuns:
    """Run the snippets of cards. ``digests`` are those of the models' networks.

    Raises TemplatesError with the findings of all templates.
    """
    result = SiteRuns()
    store = settings.path(settings.evidence) / FOLDER
    extensions = extensions_text(settings)
    found: dict[str, list[Page]] = {}
    findings: list[Finding] = []
    for card in cards:
        try:
            found[card.file] = pages_of(site, card, settings, digests, extensions)
        except TemplatesError as error:
            findings += error.findings
    if findings:
        raise TemplatesError(findings)
    paths = {card: store / file_name(card.replace("/", "-").removesuffix(".md")) for card in found}
    runs = (run for card in found for run in _load_runs(paths[card], result.tampered))
    stored = {key: run for run in runs for key in (run.key, run.code_key) if key}
    ran: list[int] = []

    def count(done: int, total: int, name: str) -> None:
        ran[:] = [total]
        if progress:
            progress(done, total, name)

    pages = [page for card in found for page in found[card]]
    proved = prove(pages, policy_of(settings), stored, count)
    result.ran = ran[0] if ran else 0
    result.recalled = sum(run.key != "" for run in proved) - result.ran
    for run in proved:
        result.by_card.setdefault(run.page, []).append(run)
    valid = {card: [run for run in card_runs if run.key] for card, card_runs in result.by_card.items()}
    result.paths = paths
    result.outputs = {paths[card]: dump_runs(card_runs) for card, card_runs in valid.items() if card_runs}
    return result


def pages_of(site: Site, card: Card, settings: Settings, digests: Mapping[str, str], extensions: str) -> list[Page]:
    """Return the pages of a card, for its first model or for each; ``extensions`` is :func:`extensions_text`."""
    names: list[str | None] = [model.name for model in card.models] or [None]
    if settings.snippets.models == "first":
        names = names[:1]
    pages = []
    for name in names:
        author = site.author_text(card, name)
        if "```" not in author.text and "~~~" not in author.text and "snippet:" not in author.text:
            continue
        inputs = digest_of_data([extensions, digests.get(name or "", "")])
        pages.append(Page(card.file, author.text, settings.base, author.origin, name, inputs))
    return pages


def _load_runs(path: Path, tampered: list[Path]) -> tuple[PageRun, ...]:
    try:
        return load_runs(path)
    except TamperedError:
        tampered.append(path)
        return ()

"""Snippets of a site: the pages of its cards, for one model or all, and the runs that are stored."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from cardproof.digests import digest_of_data
from cardproof.evidence import file_name
from cardproof.frozen import dataclass
from cardproof.read.nodes import Mapping as Tree
from cardproof.read.nodes import read_yaml
from cardproof.read.source import read_source
from cardproof.sealed import TamperedError
from cardproof.snippets.prove import Page, Policy, prove
from cardproof.snippets.store import dump, load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from cardproof.read import Card
    from cardproof.render.pages import Site
    from cardproof.settings import Settings
    from cardproof.snippets.results import PageRun

FOLDER = "snippets"
"""Folder of the runs, below that of the evidence."""


@dataclass(slots=True)
class SiteRuns:
    """The runs of a site's pages."""

    by_card: dict[str, list[PageRun]] = field(default_factory=dict)
    outputs: dict[Path, str] = field(default_factory=dict)
    """Files of the store, by path."""
    paths: dict[str, Path] = field(default_factory=dict)
    """The file of the store of each card."""
    tampered: list[Path] = field(default_factory=list)
    ran: int = 0
    recalled: int = 0


def prove_site(
    site: Site,
    cards: Iterable[Card],
    settings: Settings,
    digests: Mapping[str, str],
    progress: Callable[[int, int, str], None] | None = None,
) -> SiteRuns:
    """Prove the snippets of some cards. ``digests`` are those of the models' networks. Raises TemplatesError."""
    result = SiteRuns()
    store = settings.path(settings.evidence) / FOLDER
    extensions = extensions_text(settings)
    found = {card.file: pages_of(site, card, settings, digests, extensions) for card in cards}
    paths = {card: store / file_name(card.replace("/", "-").removesuffix(".md")) for card in found}
    stored = {key: run for card in found for run in _stored(paths[card], result.tampered) for key in _keys(run)}
    ran: list[int] = []

    def count(done: int, total: int, name: str) -> None:
        ran[:] = [total]
        if progress:
            progress(done, total, name)

    pages = [page for card in found for page in found[card]]
    runs = prove(pages, policy_of(settings), stored, count)
    result.ran = ran[0] if ran else 0
    result.recalled = sum(run.key != "" for run in runs) - result.ran
    for run in runs:
        result.by_card.setdefault(run.page, []).append(run)
    kept = {card: [run for run in of_card if run.key] for card, of_card in result.by_card.items()}
    result.paths = paths
    result.outputs = {paths[card]: dump(of_card) for card, of_card in kept.items() if of_card}
    return result


def _keys(run: PageRun) -> tuple[str, ...]:
    return tuple(key for key in (run.key, run.code_key, run.outline_key) if key)


def policy_of(settings: Settings) -> Policy:
    """Return how the settings want pages to be run, with the Markdown extensions of the site."""
    wanted = settings.snippets
    config = settings.base / "mkdocs.yml"
    preload = wanted.preload
    if settings.zoo in ("timm", "torchvision") and settings.zoo not in preload:
        preload = (*preload, settings.zoo)
    root = settings.path(settings.templates)
    search = tuple(dict.fromkeys(str(folder.resolve()) for folder in (settings.base, root, root / "models")))
    return Policy(
        devices=wanted.devices,
        placeholders=wanted.placeholders,
        weights=wanted.weights,
        network=wanted.network,
        search_path=search,
        config=config if config.is_file() else None,
        preload=preload,
    )


def pages_of(site: Site, card: Card, settings: Settings, digests: Mapping[str, str], extensions: str) -> list[Page]:
    """Return the pages of a card: for the model that it shows, or for each of its models.

    ``extensions`` is what :func:`extensions_text` returns; it is the same for all cards.
    """
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


def extensions_text(settings: Settings) -> str:
    """Return what mkdocs.yml says of Markdown extensions, as written."""
    source, _ = read_source(settings.base / "mkdocs.yml", "mkdocs.yml")
    tree = read_yaml(source)[0] if source else None
    node = tree.get("markdown_extensions") if isinstance(tree, Tree) else None
    return source.text[node.start : node.end] if source and node else ""


def _stored(path: Path, tampered: list[Path]) -> tuple[PageRun, ...]:
    try:
        return load(path)
    except TamperedError:
        tampered.append(path)
        return ()

"""Sources: what a Markdown file is proved from: the template that it was rendered from, or else the file itself."""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from cardproof.core.errors import InputError
from cardproof.core.files import show_path
from cardproof.core.settings import Settings, load_settings
from cardproof.read import read_cards
from cardproof.render.output.paths import relative
from cardproof.render.output.text import read_stamp
from cardproof.render.page_snippets import pages_of
from cardproof.snippets.prove import Page, Policy, extensions_text, policy_of

if TYPE_CHECKING:
    from cardproof.core.types import Need
    from cardproof.measure.gather import GatheredEvidence
    from cardproof.read import Card, Reading
    from cardproof.render.output.paths import Folders
    from cardproof.render.pages import Site


class Source(Struct, frozen=True):
    """The pages that a Markdown file stands for, one for each model that is run, and how to run them."""

    pages: tuple[Page, ...]
    policy: Policy


class Sources:
    """The sites of Markdown files; each site is read once."""

    def __init__(self, root: Path) -> None:
        """``root`` is the folder whose ``mkdocs.yml`` is that of files with none above them."""
        self._root = root
        self._sites: dict[Path | None, _CardSite] = {}

    def is_template(self, path: Path) -> bool:
        """Return whether a file is a template of its site, or included by one. Raises InputError."""
        return self._site_of(path).holds(path)

    def of(self, path: Path) -> Source:
        """Return what a file is proved from.

        Raises InputError for settings, stamps and cards that mean nothing, and TemplatesError.
        """
        site = self._site_of(path)
        text = path.read_text(encoding="utf-8", errors="replace")
        template = read_stamp(text.rstrip().rpartition("\n")[2] + "\n")
        policy = policy_of(site.settings)
        if template is not None:
            card = site.card_named(template, path)
        elif site.holds(path):
            card = site.card_at(path)
        else:
            base = site.settings.base if policy.config else path.parent
            return Source((Page(show_path(path), text, base),), _beside(policy, path))
        pages = pages_of(site.site, card, site.settings, {}, extensions_text(site.settings))
        return Source(tuple(pages), _beside(policy, card.source.path))

    def _site_of(self, path: Path) -> _CardSite:
        config = config_above(path, self._root)
        if config not in self._sites:
            settings = load_settings(config) if config else replace(Settings(), base=self._root)
            self._sites[config] = _CardSite(settings)
        return self._sites[config]


def config_above(path: Path, root: Path) -> Path | None:
    """Return the nearest ``mkdocs.yml`` above a file, or else that in ``root``; None where there is none."""
    found = (folder / "mkdocs.yml" for folder in (*path.parents, root))
    return next((config for config in found if config.is_file()), None)


class _CardSite:
    """A site whose cards are read when the first page asks for its template."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def site(self) -> Site:
        """The site with the verdicts of its stored evidence; nothing is measured."""
        from cardproof.judge.audit import Audit
        from cardproof.judge.judge import judge
        from cardproof.plan.needs import plan
        from cardproof.read.cited_results import read_cited
        from cardproof.render.pages import Site
        from cardproof.zoos.aliases import load_names

        needs = plan(self._reading, load_names(self.settings))
        proved = _stored(self.settings, needs)
        cited = read_cited(self.settings.path(self.settings.cited)) if self.settings.cited else ()
        verdicts = judge(self._reading, needs, proved, self.settings, cited)
        return Site(Audit(self._reading, needs, proved, verdicts), self._folders, show_path, self.settings)

    def holds(self, path: Path) -> bool:
        """Return whether a file lies among the site's templates, and not among its pages."""
        folders, path = self._folders, path.resolve()
        return path.is_relative_to(folders.root.resolve()) and not path.is_relative_to(folders.out.resolve())

    def card_named(self, template: str, page: Path) -> Card:
        """Return the card that a page's stamp names. Raises InputError."""
        for card in self._reading.cards:
            name = relative(card.source.path, self.settings.base)
            if name.replace("--", "—") == template:  # as the stamp writes it
                return card
        message = f"it was rendered from {template}, which is no template of {show_path(self.settings.base)}"
        raise InputError(f"{show_path(page)}: {message}; render the site, or remove the page")

    def card_at(self, path: Path) -> Card:
        """Return the card whose template a file is. Raises InputError."""
        for card in self._reading.cards:
            if card.source.path.resolve() == path.resolve():
                return card
        raise InputError(f"{show_path(path)}: templates include it, and it is no page itself; name a page instead")

    @cached_property
    def _folders(self) -> Folders:
        from cardproof.render.output.paths import site_folders

        return site_folders(self.settings)

    @cached_property
    def _reading(self) -> Reading:
        from cardproof.render.output.paths import page_templates

        reading = read_cards(page_templates(self._folders, show_path).values(), root=self._folders.bound)
        if fatal := next((finding for finding in reading.findings if finding.fatal), None):
            raise InputError(f"{fatal.place}: {fatal.message}")
        return reading


def _stored(settings: Settings, needs: dict[tuple[str, str], Need]) -> GatheredEvidence:
    """Return what is on record and still valid; nothing is measured.

    Only templates that print measured values see it, so a zoo that is not installed is no reason to run nothing.
    """
    from cardproof.measure.gather import GatheredEvidence, gather
    from cardproof.zoos import ZooError

    if settings.zoo is not None:
        with suppress(ZooError):
            unique = list(dict.fromkeys(needs.values()))
            return gather(unique, set(), settings, settings.path(settings.evidence), None, None)
    return GatheredEvidence()


def _beside(policy: Policy, path: Path) -> Policy:
    """Let a page import the modules that lie beside it, as a program would."""
    return replace(policy, search_path=tuple(dict.fromkeys((str(path.parent.resolve()), *policy.search_path))))

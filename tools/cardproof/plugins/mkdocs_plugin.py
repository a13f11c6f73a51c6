"""The mkdocs plugin: renders before ``mkdocs build``, and watches behind ``mkdocs serve``.

Pages are plain Markdown in ``docs/``; once they are rendered, a site builds the same without the plugin.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from mkdocs.exceptions import PluginError
from mkdocs.plugins import BasePlugin, event_priority

from cardproof.core.errors import InputError
from cardproof.core.paths import show_path
from cardproof.core.settings import Settings, load_settings
from cardproof.core.terminal import printable
from cardproof.plugins.watch import Watcher, file_states
from cardproof.render.output.files import SCRIPTS, STYLES
from cardproof.render.output.text import is_older, minify, read_stamp

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.livereload import LiveReloadServer
    from mkdocs.structure.files import Files
    from mkdocs.structure.nav import Navigation
    from mkdocs.structure.pages import Page
    from mkdocs.utils.templates import TemplateContext

log = logging.getLogger("mkdocs.plugins.cardproof")

EXTENSIONS = {
    "admonition": ("markdown.extensions.admonition",),
    "attr_list": ("markdown.extensions.attr_list", "markdown.extensions.extra", "extra", "pymdownx.extra"),
    "md_in_html": ("markdown.extensions.md_in_html", "markdown.extensions.extra", "extra", "pymdownx.extra"),
    "tables": ("markdown.extensions.tables", "markdown.extensions.extra", "extra", "pymdownx.extra"),
    "pymdownx.superfences": ("pymdownx.extra",),
    "pymdownx.details": (),
    "pymdownx.tabbed": (),
}
"""Markdown extensions that rendered pages need, each with other names of it and extensions that include it."""

MOST_WAIT = 5.0
"""Seconds that a build of the site waits for a running render; measuring a model may take longer."""


class CardproofPlugin(BasePlugin):  # type: ignore[type-arg, no-untyped-call]  # mkdocs lets plugins go without a schema
    """Checks the settings, renders before a build, and again after edits while a site is served.

    Pages are rendered before the first build, so that mkdocs finds them all, and then in a thread, never in an event
    of a build: the server would take files that an event writes for edits, and build again.
    """

    _config_file: Path | None = None
    _watcher: Watcher | None = None
    _thread: threading.Thread | None = None
    _pages: Path | None = None
    """The folder of rendered pages."""
    _reference: Path | None = None
    _templates: Path | None = None

    def load_config(self, options: dict[str, Any], config_file_path: str | None = None) -> tuple[list[Any], list[Any]]:
        """Accept all options: :mod:`cardproof.core.settings` reads them from the file, with their positions."""
        self.config = options
        self._config_file = Path(config_file_path) if config_file_path else None
        return [], []

    def on_startup(self, *, command: str, dirty: bool) -> None:
        """Render; if the site is served, watch the sources from then on. Raises PluginError."""
        if not self._config_file:
            return
        config = Path(os.path.relpath(self._config_file))
        render = [sys.executable, "-m", "cardproof", "render", "--quiet", "--config", str(config)]
        try:
            settings = load_settings(config)
            if not settings.render:
                return
            if command != "serve":
                _render(render, settings)
                return
            self._watcher = Watcher(render, lambda: load_settings(config), config, log.info)
        except InputError as error:
            raise PluginError(printable(str(error))) from error
        self._watcher.render()

    def on_config(self, config: MkDocsConfig) -> MkDocsConfig:
        """Check the settings, and add the assets and Markdown extensions of pages. Raises PluginError."""
        if config.config_file_path:
            try:
                settings = load_settings(Path(config.config_file_path))
            except InputError as error:
                raise PluginError(printable(str(error))) from error
            _add_extensions(config)
            if settings.assets:
                _name_assets(config, settings.path(settings.assets))
            self._pages = settings.path(settings.out).resolve()
            self._reference = settings.path(settings.reference).resolve() if settings.reference else None
            if not settings.render:
                for page, template in _older_pages(settings):
                    log.warning(f"{page} is older than {template}; run cardproof render")
            self._templates = settings.path(settings.templates).resolve()
        config.extra.setdefault("release", f"cardproof {version('cardproof')}")
        return config

    def on_files(self, files: Files, *, config: MkDocsConfig) -> Files:
        """Let the edit link of a model page name its template; a page made from code has none."""
        if self._templates and (config.edit_uri or config.edit_uri_template):
            root = Path(str(config.config_file_path)).parent.resolve()
            for file in files.documentation_pages():
                if source := read_stamp(file.content_string):
                    template = root / source
                    is_template = template.is_relative_to(self._templates)
                    file.edit_uri = Path(os.path.relpath(template, config.docs_dir)).as_posix() if is_template else None
        return files

    def on_page_context(
        self, context: TemplateContext, *, page: Page, config: MkDocsConfig, nav: Navigation
    ) -> TemplateContext:
        """Set the social image of a model page, whose address must be absolute."""
        if config.site_url and _is_below(page, self._pages) and "image" not in page.meta:
            page.meta["image"] = urljoin(config.site_url, f"{page.file.dest_uri.removesuffix('.html')}.png")
        return context

    def on_post_page(self, output: str, *, page: Page, config: MkDocsConfig) -> str:
        """Minify a generated page and draw the social image of a model page; other pages stay as they are."""
        if not _is_below(page, self._pages):
            return minify(output) if _is_below(page, self._reference) else output
        if config.site_url:
            from cardproof.render.output.social import read_verdicts, social_card

            description = str(page.meta.get("description", ""))
            picture = social_card(config.site_name, str(page.title), description, read_verdicts(page.markdown or ""))
            path = Path(config.site_dir, page.file.dest_uri).with_suffix(".png")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(picture)
        return minify(output)

    @event_priority(-100)  # after the plugins that add folders to watch
    def on_serve(
        self, server: LiveReloadServer, *, config: MkDocsConfig, builder: Callable[..., None]
    ) -> LiveReloadServer:
        """Render after each edit, and build once."""
        if self._watcher:
            server.builder = _BuildOnce(server, self._watcher)
            self._thread = threading.Thread(target=self._watcher.follow, name="cardproof", daemon=True)
            self._thread.start()
        return server

    def on_shutdown(self) -> None:
        if self._watcher:
            self._watcher.stop()
        if self._thread:
            self._thread.join()


def _render(command: Sequence[str], settings: Settings) -> None:
    """Render a site that has templates. Raises PluginError if pages could not be written, but not for findings."""
    if not settings.path(settings.templates).is_dir():
        return
    with TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        status = subprocess.run([*command, "--write", f"json={report}"], check=False).returncode
        if status == 0 or (status == 1 and report.is_file() and _all_written(json.loads(report.read_bytes()))):
            return
    raise PluginError(f"the pages could not be rendered (exit status {status}); 'render: false' builds the old ones")


def _all_written(report: dict[str, Any]) -> bool:
    foreign = any(page["status"] == "foreign" for page in report["pages"])
    pages: int = report["summary"]["pages"]
    return not foreign and pages == report["summary"]["cards"]


def _is_below(page: Page, folder: Path | None) -> bool:
    source = page.file.abs_src_path
    return bool(source and folder and Path(source).resolve().is_relative_to(folder))


def _older_pages(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the pages whose templates were edited after they were rendered, each with its template."""
    for path in sorted(settings.path(settings.out).rglob("*.md")):
        text = path.read_text(encoding="utf-8", errors="replace")
        template = settings.base / (read_stamp(text) or "")
        if template.is_file() and is_older(text, template.read_text(encoding="utf-8-sig", errors="replace")):
            yield show_path(path), show_path(template)


def _add_extensions(config: MkDocsConfig) -> None:
    """Add the Markdown extensions that rendered pages need and that the site does not name."""
    named = config.markdown_extensions
    missing = [name for name, others in EXTENSIONS.items() if not {name, *others}.intersection(named)]
    if missing:
        named += missing
        log.info(f"added Markdown extensions of model pages: {', '.join(missing)}")
    if "pymdownx.tabbed" in missing:
        config.mdx_configs["pymdownx.tabbed"] = {"alternate_style": True}  # the only style that Material shows


def _name_assets(config: MkDocsConfig, folder: Path) -> None:
    """Add the rendered style sheets and scripts to the site's, unless it names them itself."""
    docs = Path(config.docs_dir).resolve()
    if not folder.resolve().is_relative_to(docs):
        return
    wanted = [(name, config.extra_css) for name in STYLES] + [(name, config.extra_javascript) for name in SCRIPTS]
    for name, named in wanted:
        path = (folder / name).resolve()
        if path.is_file() and path.relative_to(docs).as_posix() not in [str(known) for known in named]:
            named.append(path.relative_to(docs).as_posix())


class _BuildOnce:
    """Builds the site if the served files have changed since the last build.

    The server polls its folders every half second. It takes one edit for two if it polls while several files are being
    replaced, or if an edited file is part of the site and of its sources (``mkdocs.yml``).
    """

    def __init__(self, server: LiveReloadServer, watcher: Watcher) -> None:
        self._server = server
        self._build = server.builder
        self._watcher = watcher
        self._built: object = None

    def __call__(self) -> None:
        self._watcher.settle(MOST_WAIT)
        found = self._state()
        if found is not None and found == self._built:
            return
        self._built = None  # a build that fails is tried again
        self._build()
        self._built = found

    def _state(self) -> object:
        """Return the state of all watched files; None if this server does not provide their paths."""
        watched: Iterable[str] | None = getattr(self._server, "_watched_paths", None)
        if watched is None:
            return None
        files = chain.from_iterable(path.rglob("*") if path.is_dir() else [path] for path in map(Path, watched))
        return file_states(path for path in files if not os.path.isdir(path))  # noqa: PTH112  (no link is an error)

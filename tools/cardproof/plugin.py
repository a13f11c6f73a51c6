"""The mkdocs plugin: the place of cardproof's settings in ``mkdocs.yml``, checked when the site is built.

Pages are plain Markdown in ``docs/``; a site builds the same without the plugin.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mkdocs.exceptions import PluginError
from mkdocs.plugins import BasePlugin

from cardproof.read import InputError
from cardproof.settings import load_settings

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig


class CardproofPlugin(BasePlugin):  # type: ignore[type-arg, no-untyped-call]  # mkdocs lets plugins go without a schema
    """Stops a build whose settings mean nothing, with file, line and column."""

    def load_config(self, options: dict[str, Any], config_file_path: str | None = None) -> tuple[list[Any], list[Any]]:
        """Accept all options: :mod:`cardproof.settings` reads them from the file, with their positions."""
        self.config = options
        return [], []

    def on_config(self, config: MkDocsConfig) -> MkDocsConfig:
        """Check the settings as ``cardproof render`` reads them. Raises PluginError."""
        if config.config_file_path:
            try:
                load_settings(Path(config.config_file_path))
            except InputError as trouble:
                raise PluginError(str(trouble)) from trouble
        return config

"""Formats: one run for other tools, each a view of the same judgements and findings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cardproof.report.finished_run import Run, View

__all__ = ["FORMATS", "texts_of"]

FORMATS = ("text", "json", "junit", "sarif", "github", "markdown")
"""Of reports: text, JSON, JUnit XML, SARIF 2.1.0, annotations of GitHub, and a summary in Markdown."""


def texts_of(run: Run, formats: Iterable[str]) -> dict[str, str]:
    """Return a run in each of some formats: json, junit, sarif, github or markdown."""
    from cardproof.report.finished_run import view_of

    view = view_of(run)
    return {name: _text(name, view) for name in dict.fromkeys(formats)}


def _text(name: str, view: View) -> str:
    """Return a run in one format. Its module is imported only for that, since each needs another library."""
    if name == "json":
        from cardproof.report.terminal import json_of

        return f"{json_of(view.run, view.lists)}\n"
    if name == "junit":
        from cardproof.report.formats.junit import junit_of

        return junit_of(view)
    if name == "sarif":
        from cardproof.report.formats.sarif import sarif_of

        return sarif_of(view)
    from cardproof.report.formats.github import github_of, markdown_of

    return github_of(view) if name == "github" else markdown_of(view)

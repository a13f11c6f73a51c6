"""Formats: one run for other tools, each a view of the same judgements and findings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cardproof.report.run import Run

__all__ = ["texts_of"]


def texts_of(run: Run, formats: Iterable[str]) -> dict[str, str]:
    """Return a run in each of some formats: json, junit, sarif, github or markdown."""
    # most runs print text
    from cardproof.report.formats.github import github_of, markdown_of
    from cardproof.report.formats.junit import junit_of
    from cardproof.report.formats.sarif import sarif_of
    from cardproof.report.formats.view import view_of
    from cardproof.report.terminal import json_of

    writers = {"junit": junit_of, "sarif": sarif_of, "github": github_of, "markdown": markdown_of}
    view = view_of(run)
    return {
        name: f"{json_of(run, view.lists)}\n" if name == "json" else writers[name](view)
        for name in dict.fromkeys(formats)
    }


FORMATS = ("text", "json", "junit", "sarif", "github", "markdown")
"""Of reports: text, JSON, JUnit XML, SARIF 2.1.0, annotations of GitHub, and a summary in Markdown."""

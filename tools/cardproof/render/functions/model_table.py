"""The function ``model_table`` of templates: models of the site as a Markdown table."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from cardproof.render.output.text import code_text, markdown_text
from cardproof.render.templates import CallError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cardproof.judge.card_report import ModelRow

COLUMNS = ("Parameters", "FLOPs", "Image Size", "Top 1 Accuracy", "Top 5 Accuracy")
"""Columns of a table that names none, and of the variants of a page where a model has them."""


def model_table(models: Sequence[ModelRow], here: Path) -> Callable[..., str]:
    """Return the function for a page at ``here``; ``models`` are all models of the site."""

    def table(collection: str | None = None, columns: Sequence[str] = COLUMNS) -> str:
        """Return a table of the models of a collection, or of all. Raises CallError for a table that would be empty."""
        chosen = [row for row in models if collection is None or collection in row.collections]
        if not chosen:
            known = sorted({name for row in models for name in row.collections})
            raise CallError(f"no model is in collection '{collection}'{_near(collection or '', known)}")
        for column in columns:
            if not any(column in row.values for row in chosen):
                known = sorted({name for row in models for name in row.values})
                raise CallError(f"column '{column}' exists in no model{_near(column, known)}")
        lines = [
            "| Model | " + " | ".join(markdown_text(column) for column in columns) + " |",
            "| :--- |" + " ---: |" * len(columns),
        ]
        for row in chosen:
            link = Path(os.path.relpath(row.page, here.parent)).as_posix()
            cells = [markdown_text(row.values.get(column, "")) for column in columns]
            lines.append(f"| [{code_text(row.name)}]({link}#{row.anchor}) | " + " | ".join(cells) + " |")
        return "\n".join(lines)

    return table


def _near(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, 3)
    if close:
        return f" (did you mean {' or '.join(repr(other) for other in sorted(close))}?)"
    return f"; there is {', '.join(known)}" if known else ""

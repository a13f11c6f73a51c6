"""Claims that all models of a page share: shown once, with an anchor for each claim, so that differences stand out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cardproof.render.views.claims import ClaimView, ModelView


def split_shared(models: Sequence[ModelView]) -> tuple[tuple[ClaimView, ...], tuple[ModelView, ...]]:
    """Return the rows that say the same of every model, and the models without them; none are shared of one model."""
    if len(models) < 2:
        return (), tuple(models)
    by_key = [
        {_key(row): row for row in model.claims if row.verdict not in ("refuted", "disputed")} for model in models
    ]
    keys = [key for key in by_key[0] if all(key in rows for rows in by_key[1:])]
    shared = tuple(_merged([rows[key] for rows in by_key]) for key in keys)
    own = [
        replace(model, claims=tuple(row for row in model.claims if row.verdict == "refuted" or _key(row) not in keys))
        for model in models
    ]
    return shared, tuple(own)


def _key(row: ClaimView) -> ClaimView:
    return replace(row, anchor="", records=(), items=tuple(("", stated) for _, stated in row.items))


def _merged(rows: Sequence[ClaimView]) -> ClaimView:
    """Return one row for the same claims of several models."""
    anchors = tuple(item for row in rows for item in row.items or ((row.anchor, row.stated),))
    records = tuple(dict.fromkeys(record for row in rows for record in row.records))
    return replace(rows[0], items=anchors, records=records)

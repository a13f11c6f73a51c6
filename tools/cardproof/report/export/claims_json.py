"""All claims of some cards as one JSON document, with verdicts and what was found."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cardproof import __version__
from cardproof.render.views.about import read_paper
from cardproof.report.terminal import claims_by_model

if TYPE_CHECKING:
    from cardproof.read import Model, Reading
    from cardproof.report.run import Run

SCHEMA = "cardproof-export/1"


def records(reading: Reading, run: Run) -> str:
    """Return the models of some cards in order of their names, each with its claims as ``audit --json`` has them."""
    claims = claims_by_model(run)
    models = [
        _record(model, card.file, claims.get((card.file, model.name), []))
        for card in reading.cards
        for model in card.models
    ]
    models.sort(key=lambda record: (record["name"], record["card"]))
    document = {"schema": SCHEMA, "cardproof": __version__, "models": models}
    return json.dumps(document, indent=1, ensure_ascii=False, default=str) + "\n"


def _record(model: Model, file: str, claims: list[dict[str, Any]]) -> dict[str, Any]:
    paper = read_paper(model)
    return {
        "name": model.name,
        "card": file,
        "families": list(model.collections),
        "weights": model.text("Weights"),
        "paper": {"title": paper.title, "url": paper.url, "doi": paper.doi} if paper else None,
        "claims": [{key: value for key, value in row.items() if key not in ("card", "model")} for row in claims],
    }

"""The formats of ``cardproof export``: which file or files each makes of some cards."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from msgspec.structs import replace

from cardproof.core.errors import InputError
from cardproof.read import Reading

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cardproof.core.settings import Settings
    from cardproof.core.types import Verdict
    from cardproof.judge.audit import Audit
    from cardproof.report.run import Run

FORMATS = {
    "mlbom": "CycloneDX 1.6",
    "hub": "a README for the Hugging Face Hub for each model",
    "model-index": "one model-index.yml",
    "cff": "CITATION.cff of the cards' papers",
    "json": "all claims with their verdicts",
}


def chosen_models(reading: Reading, names: Sequence[str]) -> Reading:
    """Return what was read of some models; of all without names. Raises InputError for a name that no card has."""
    if not names:
        return reading
    known = [model.name for model in reading.models]
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, 3)
            raise InputError(f"no card has a model '{name}'" + (f"; did you mean {' or '.join(near)}?" if near else ""))
    cards = []
    for card in reading.cards:
        pairs = [pair for pair in zip(card.models, card.claims_of, strict=True) if pair[0].name in names]
        if pairs:
            cards.append(replace(card, models=tuple(m for m, _ in pairs), claims_of=tuple(c for _, c in pairs)))
    findings = [finding for card in cards for finding in card.findings]
    return Reading(cards, findings, len(cards))


def export(kind: str, run: Run, known: Audit, settings: Settings, verdicts: Sequence[Verdict]) -> dict[str, str]:
    """Return the files of a format, by their names; only ``hub`` makes several. Raises InputError for none.

    ``verdicts`` are those of the results that ``hub`` writes.
    """
    reading = known.reading
    if not reading.models:
        raise InputError("no model is in these cards")
    if kind == "hub":
        return _readmes(reading, run, settings, verdicts)
    if kind == "model-index":
        from cardproof.report.export.model_index import model_index

        return {"model-index.yml": model_index(reading)}
    if kind == "cff":
        return {"CITATION.cff": _citation(reading)}
    if kind == "json":
        from cardproof.report.export.claims_json import records

        return {"models.json": records(reading, run)}
    from cardproof.report.export.mlbom import mlbom

    return {"bom.json": mlbom(run, known)}


def _readmes(reading: Reading, run: Run, settings: Settings, verdicts: Sequence[Verdict]) -> dict[str, str]:
    from cardproof.read.cited_results import read_cited
    from cardproof.render.catalog.model_records import model_folder
    from cardproof.report.export.hub import readme
    from cardproof.report.terminal import claims_by_model

    cited = read_cited(settings.path(settings.cited)) if settings.cited else ()
    claims = claims_by_model(run)
    found = {}
    for card in reading.cards:
        for model in card.models:
            text = readme(model, claims.get((card.file, model.name), []), settings.zoo, cited, verdicts)
            found[f"{model_folder(model.name)}/README.md"] = text
    return found


def _citation(reading: Reading) -> str:
    from cardproof.render.views.about import read_paper
    from cardproof.render.views.cite import cff, is_citable

    papers = dict.fromkeys(paper for model in reading.models if (paper := read_paper(model)))
    citable = [paper for paper in papers if is_citable(paper)]
    if not citable:
        raise InputError("none of these cards names a paper with its title and authors, which a CITATION.cff needs")
    return cff(citable[0], citable[1:]) + "\n"

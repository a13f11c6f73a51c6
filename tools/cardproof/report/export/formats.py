"""The formats of ``cardproof export``, and the files of each; the header for the Hub is in :mod:`.hub`."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from cardproof import __version__
from cardproof.core.clock import build_time
from cardproof.core.errors import InputError, did_you_mean
from cardproof.core.json import strict_json
from cardproof.core.secrets import masked
from cardproof.core.settings import Settings
from cardproof.core.types import Judgement, LocalFile, Verdict
from cardproof.core.yaml import Scalar, to_yaml
from cardproof.judge.audit import Audit
from cardproof.judge.card_report import claim_row
from cardproof.plan.local_files import link_of
from cardproof.read import Reading
from cardproof.read.cited_results import read_cited
from cardproof.read.hub_header import is_for_hub
from cardproof.read.models import Model, Result
from cardproof.render.catalog.model_files import model_folder
from cardproof.render.views.paper_and_licence import cff, is_citable, read_paper
from cardproof.report.export.hub import hub_header, readme

FORMATS = {
    "mlbom": "CycloneDX 1.6",
    "hub": "a README for the Hugging Face Hub",
    "model-index": "one model-index.yml",
    "cff": "CITATION.cff",
    "json": "all claims with their verdicts",
}
SCHEMA = "cardproof-export/1"
"""Of the JSON."""
_INDEX_HEAD = "# Made by cardproof from cards; edit those.\n"
_ADDRESS = re.compile(r"https?://[^\s<>\"{}|\\^`]+")
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://cyclonedx.org/schema/bom-1.6.schema.json#cardproof")
"""Of serial numbers, which depend on the content only."""


def chosen_models(reading: Reading, names: Sequence[str]) -> Reading:
    """Return the named models only, or all without names. Raises InputError for a name that no card has."""
    if not names:
        return reading
    available = [model.name for model in reading.models]
    for name in names:
        if name not in available:
            raise InputError(f"no card has a model '{name}'{did_you_mean(name, available)}")
    cards = []
    for card in reading.cards:
        pairs = [pair for pair in zip(card.models, card.claims_of, strict=True) if pair[0].name in names]
        if pairs:
            cards.append(replace(card, models=tuple(m for m, _ in pairs), claims_of=tuple(c for _, c in pairs)))
    findings = [finding for card in cards for finding in card.findings]
    return Reading(cards, findings, len(cards))


def export(kind: str, audit: Audit, settings: Settings, verdicts: Sequence[Verdict]) -> dict[str, str]:
    """Return the files of a format, by name; ``hub`` writes results of ``verdicts``. Raises InputError if empty.

    Exports are published: the secrets in links of the cards are masked in all of them.
    """
    reading = audit.reading
    if not reading.models:
        raise InputError("no model is in these cards")
    if kind == "hub":
        texts = _readmes(audit, settings, verdicts)
    elif kind == "model-index":
        texts = {"model-index.yml": model_index(reading)}
    elif kind == "cff":
        texts = {"CITATION.cff": _citation(reading)}
    elif kind == "json":
        texts = {"models.json": _claims_json(audit)}
    else:
        texts = {"bom.json": mlbom(audit)}
    return {name: masked(text) for name, text in texts.items()}


def _claims_json(audit: Audit) -> str:
    """Return the models by name, each with its claims as in ``audit --json``."""
    pairs = [(card, model) for card in audit.reading.cards for model in card.models]
    models = [_record(model, card.file, audit.verdicts.of_model(card.file, model.key).own) for card, model in pairs]
    models.sort(key=lambda record: (record["name"], record["card"]))
    document = {"schema": SCHEMA, "cardproof": __version__, "models": models}
    return strict_json(document, indent=1, default=str) + "\n"


def _record(model: Model, file: str, judgements: Sequence[Judgement]) -> dict[str, Any]:
    paper, rows = read_paper(model), map(claim_row, judgements)
    return {
        "name": model.name,
        "card": file,
        "families": list(model.collections),
        "weights": model.text("Weights"),
        "paper": {"title": paper.title, "url": paper.url, "doi": paper.doi} if paper else None,
        "claims": [{key: value for key, value in row.items() if key not in ("card", "model")} for row in rows],
    }


def _readmes(audit: Audit, settings: Settings, verdicts: Sequence[Verdict]) -> dict[str, str]:
    cited = read_cited(settings.path(settings.cited)) if settings.cited else ()
    found = {}
    for card in audit.reading.cards:
        given = card.header if is_for_hub(card.header, card.source) else None
        for model in card.models:
            judgements = audit.verdicts.of_model(card.file, model.key).own
            header = hub_header(model, judgements, settings.zoo, cited, verdicts, given)
            found[f"{model_folder(model.name)}/README.md"] = readme(model, judgements, header)
    return found


def _citation(reading: Reading) -> str:
    papers = dict.fromkeys(paper for model in reading.models if (paper := read_paper(model)))
    citable = [paper for paper in papers if is_citable(paper)]
    if not citable:
        raise InputError("none of these cards names a paper with its title and authors, which a CITATION.cff needs")
    return cff(citable[0], citable[1:]) + "\n"


def model_index(reading: Reading) -> str:
    """Return the models as one ``model-index.yml``, with what they inherit from their collections.

    It reads back to the same claims: each value keeps the characters of the card.
    """
    models = sorted((model for card in reading.cards for model in card.models), key=lambda model: model.name)
    names = dict.fromkeys(name for model in models for name in model.collections)
    index: dict[str, Any] = {"Type": "model-index"}
    if names:
        index["Collections"] = [{"Name": name} for name in sorted(names)]
    index["Models"] = [_index_entry(model) for model in models]
    return _INDEX_HEAD + to_yaml(index)


def _index_entry(model: Model) -> dict[str, Any]:
    """Return a model as an entry, its name first."""
    entry: dict[str, Any] = {"Name": model.name}
    if model.collections:
        # one collection is plain text: the format's own library reads no list here
        entry["In Collection"] = list(model.collections) if len(model.collections) > 1 else model.collections[0]
    for key, node in model.fields:
        if key.text.lower() not in ("name", "in collection") and not (isinstance(node, Scalar) and node.value is None):
            entry[key.text] = node
    if model.results and model.fields.get("Results") is None:  # they stand in a table
        entry["Results"] = [_index_result(result) for result in model.results]
    return entry


def _index_result(result: Result) -> dict[str, Any]:
    about = {"Task": result.task, "Dataset": result.dataset}
    metrics = {name.text: value for name, value in result.metrics}
    return {**{key: text for key, text in about.items() if text}, "Metrics": metrics}


def mlbom(audit: Audit) -> str:
    """Return a bill of materials for models (ML-BOM) in CycloneDX 1.6, with the verdict of every claim as a property.

    It has the same bytes for the same cards and evidence. It is put together here since cyclonedx-python-lib (11.12)
    has no model cards, in which the verdicts are.
    """
    components = []
    for card in audit.reading.cards:
        for model in card.models:
            own = audit.verdicts.of_model(card.file, model.key).own
            components.append(_component(model, card.file, own, audit.local[card.file].weights.get(model.key)))
    components.sort(key=lambda component: str(component["bom-ref"]))
    metadata: dict[str, Any] = {
        "tools": {"components": [{"type": "application", "name": "cardproof", "version": __version__}]}
    }
    if when := build_time():
        metadata = {"timestamp": when, **metadata}
    content = {"metadata": metadata, "components": components}
    serial = uuid.uuid5(NAMESPACE, strict_json(content, sort_keys=True))
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        **content,
    }
    return strict_json(document, indent=2) + "\n"


def _component(model: Model, file: str, judgements: Sequence[Judgement], weights: LocalFile | None) -> dict[str, Any]:
    reference = f"{file}#{model.name}"
    component: dict[str, Any] = {"type": "machine-learning-model", "bom-ref": reference, "name": model.name}
    if weights:
        component["hashes"] = [{"alg": "SHA-256", "content": weights.sha256}]
    references = []
    for kind, field in (("distribution", "Weights"), ("vcs", "Code"), ("documentation", "Paper")):
        if (link := link_of(model, field)) and _ADDRESS.fullmatch(link.text):
            references.append({"type": kind, "url": link.text})
    if references:
        component["externalReferences"] = references
    component["modelCard"] = _model_card(reference, judgements)
    return component


def _model_card(reference: str, judgements: Sequence[Judgement]) -> dict[str, Any]:
    claims = [judgement.claim for judgement in judgements]

    def texts(kind: str) -> list[str]:
        return [claim.stated for claim in claims if claim.kind == kind and claim.is_field]

    parameters: dict[str, Any] = {}
    if tasks := texts("tasks"):
        parameters["task"] = ", ".join(tasks)
    if parts := texts("architecture"):
        parameters["modelArchitecture"] = ", ".join(parts)
    if data := texts("training data"):
        parameters["datasets"] = [{"type": "dataset", "name": name} for name in data]
    card: dict[str, Any] = {"bom-ref": f"{reference}/card"}
    if parameters:
        card["modelParameters"] = parameters
    if metrics := [_metric(judgement) for judgement in judgements if judgement.claim.metric]:
        card["quantitativeAnalysis"] = {"performanceMetrics": metrics}
    if properties := [one for judgement in judgements for one in _properties(judgement)]:
        card["properties"] = properties
    return card


def _metric(judgement: Judgement) -> dict[str, Any]:
    """Return a metric; its value and its bounds are texts in CycloneDX."""
    claim = judgement.claim
    metric: dict[str, Any] = {"type": claim.field, "value": claim.stated.strip().removesuffix("%").rstrip()}
    if claim.dataset:
        metric["slice"] = claim.dataset
    if judgement.interval:
        low, high = judgement.interval
        metric["confidenceInterval"] = {"lowerBound": f"{100 * low:.2f}", "upperBound": f"{100 * high:.2f}"}
    return metric


def _properties(judgement: Judgement) -> list[dict[str, str]]:
    name = f"cardproof:{judgement.claim.label}"
    facts: list[tuple[str, object]] = [(name, judgement.claim.stated), (f"{name}:verdict", judgement.verdict)]
    if judgement.found is not None:
        facts.append((f"{name}:found", judgement.found))
    return [{"name": key, "value": str(value)} for key, value in facts]

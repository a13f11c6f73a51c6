"""A bill of materials for models (ML-BOM) in CycloneDX 1.6, with the verdict of every claim as a property.

The document is put together here since cyclonedx-python-lib (11.12) has no model cards, in which the verdicts are.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from typing import Any

from cardproof import __version__
from cardproof.core.clock import build_time
from cardproof.core.json import strict_json
from cardproof.core.types import Judgement, LocalFile
from cardproof.judge.audit import Audit
from cardproof.plan.local_files import link_of
from cardproof.read.models import Model

_ADDRESS = re.compile(r"https?://[^\s<>\"{}|\\^`]+")
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://cyclonedx.org/schema/bom-1.6.schema.json#cardproof")
"""Of serial numbers, which depend on the content only."""


def mlbom(audit: Audit) -> str:
    """Return the models of an audit as a CycloneDX 1.6 document; the same bytes for the same cards and evidence."""
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

"""A bill of materials for models (ML-BOM) in CycloneDX 1.6, with the verdict of every claim as a property."""

from __future__ import annotations

import json
import re
import uuid
from typing import TYPE_CHECKING, Any

from cardproof import __version__
from cardproof.core.clock import time_of_build
from cardproof.core.field_names import ARCHITECTURE, TASKS, normal_field
from cardproof.judge.checks.data_sets import TRAINING_DATA
from cardproof.plan.local_files import link_of
from cardproof.report.terminal import claims_by_model

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cardproof.core.types import LocalFile
    from cardproof.judge.audit import Audit
    from cardproof.read.model_index import Model
    from cardproof.report.run import Run

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://cyclonedx.org/schema/bom-1.6.schema.json#cardproof")
"""Of serial numbers: each is made of the content, so that the same cards have the same."""


def mlbom(run: Run, known: Audit) -> str:
    """Return the models of an audit as a CycloneDX 1.6 document; the same bytes for the same cards and evidence."""
    weights = known.at_hand.weights
    claims = claims_by_model(run)
    components = []
    for card in known.reading.cards:
        for model in card.models:
            own = claims.get((card.file, model.name), [])
            components.append(_component(model, card.file, own, weights.get((card.file, model.name))))
    components.sort(key=lambda component: str(component["bom-ref"]))
    metadata: dict[str, Any] = {
        "tools": {"components": [{"type": "application", "name": "cardproof", "version": __version__}]}
    }
    if when := time_of_build():
        metadata = {"timestamp": when, **metadata}
    content = {"metadata": metadata, "components": components}
    serial = uuid.uuid5(NAMESPACE, json.dumps(content, sort_keys=True, ensure_ascii=False))
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        **content,
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _component(model: Model, file: str, rows: Sequence[Mapping[str, Any]], weights: LocalFile | None) -> dict[str, Any]:
    reference = f"{file}#{model.name}"
    component: dict[str, Any] = {"type": "machine-learning-model", "bom-ref": reference, "name": model.name}
    if weights:
        component["hashes"] = [{"alg": "SHA-256", "content": weights.sha256}]
    links = [("distribution", "Weights"), ("vcs", "Code"), ("documentation", "Paper")]
    found = [(kind, link.text) for kind, field in links if (link := link_of(model, field)) and _is_address(link.text)]
    if found:
        component["externalReferences"] = [{"type": kind, "url": address} for kind, address in found]
    component["modelCard"] = _model_card(reference, rows)
    return component


def _model_card(reference: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    def texts(fields: Iterable[str]) -> list[str]:
        return [str(row["stated"]) for row in rows if not row["metric"] and normal_field(row["field"]) in fields]

    parameters: dict[str, Any] = {}
    if tasks := texts(TASKS):
        parameters["task"] = ", ".join(tasks)
    if parts := texts(ARCHITECTURE):
        parameters["modelArchitecture"] = ", ".join(parts)
    if data := texts(TRAINING_DATA):
        parameters["datasets"] = [{"type": "dataset", "name": name} for name in data]
    card: dict[str, Any] = {"bom-ref": f"{reference}/card"}
    if parameters:
        card["modelParameters"] = parameters
    if metrics := [_metric(row) for row in rows if row["metric"]]:
        card["quantitativeAnalysis"] = {"performanceMetrics": metrics}
    if properties := [one for row in rows for one in _properties(row)]:
        card["properties"] = properties
    return card


def _metric(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a metric; CycloneDX has texts for its value and its bounds."""
    metric: dict[str, Any] = {"type": str(row["field"]), "value": str(row["stated"]).strip().removesuffix("%").rstrip()}
    if row["dataset"]:
        metric["slice"] = str(row["dataset"])
    if row["interval"]:
        low, high = row["interval"]
        metric["confidenceInterval"] = {"lowerBound": f"{100 * low:.2f}", "upperBound": f"{100 * high:.2f}"}
    return metric


def _properties(row: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return what a claim says, its verdict and what was found, as names and values."""
    name = f"cardproof:{row['field']}" + (f" on {row['dataset']}" if row["dataset"] else "")
    facts = [(name, row["stated"]), (f"{name}:verdict", row["verdict"])]
    if row["found"] is not None:
        facts.append((f"{name}:found", row["found"]))
    return [{"name": key, "value": str(value)} for key, value in facts]


def _is_address(text: str) -> bool:
    return bool(re.fullmatch(r"https?://[^\s<>\"{}|\\^`]+", text))

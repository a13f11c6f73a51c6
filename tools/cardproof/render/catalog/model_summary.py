"""Summaries of models for lists: the compare page, the index, models.json and models.csv."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import yaml
from msgspec import Struct, json
from msgspec.structs import replace

from cardproof.core.field_names import canonical_dataset
from cardproof.core.measurements import Evidence
from cardproof.core.numbers import short_text
from cardproof.core.types import SHOWN_VERDICTS, VERDICTS, Judgement, ShownVerdict, Verdict
from cardproof.core.yaml import Scalar
from cardproof.evidence.records import file_name
from cardproof.judge.card_report import is_generated

if TYPE_CHECKING:
    from cardproof.core.settings import Settings
    from cardproof.judge.audit import Audit
    from cardproof.judge.card_report import ModelRow
    from cardproof.read import Card, Model
    from cardproof.read.models import Result

SummarizedRow = tuple["ModelRow", "ModelSummary"]

Better = Literal["less", "more", ""]

LICENCE_KEYS = ("License", "Licence")
"""Both spellings occur in cards."""

CONCERNS: tuple[Verdict, ...] = ("refuted", "disputed")
"""Verdicts whose claims a reader of a list should see."""


DATASET_TITLES = {"FashionMNIST": "Fashion-MNIST"}
"""Canonical name of a data set -> its published name, if that is another."""

_LESS = re.compile(r"error|loss|perplexity|latency|\bfid\b|\bw?er\b|\bmae\b|\brmse\b", re.IGNORECASE)
"""Metrics for which lower values are better."""


class Quantity(Struct, frozen=True, omit_defaults=True):
    """One number of one model: the measured one, or else the card's."""

    key: str
    """The same for all models of a site: ``multiply-adds``, ``top-1-accuracy-on-imagenet``."""
    label: str
    """The same in words, as the head of a column."""
    value: int | float
    text: str
    """The value as a reader sees it: ``4.17 G``."""
    better: Better
    """Which of two values is better; empty if neither is."""
    verdict: Verdict | None
    """Of the claim about it; None if the card does not state it."""
    stated: str
    """The card's text if it is refuted; else empty."""
    is_generated: bool = False
    """Whether the card's value is a copy of the measurement."""

    @property
    def shown(self) -> ShownVerdict | None:
        return "generated" if self.is_generated else self.verdict


class ModelSummary(Struct, frozen=True):
    """The facts about one model in lists, besides its name, page and families."""

    tasks: tuple[str, ...]
    datasets: tuple[str, ...]
    """On which results are stated."""
    licence: str
    """As the card states it; empty if it does not."""
    verdicts: dict[str, int]
    """Verdict -> how many claims; those that do not occur are left out."""
    quantities: tuple[Quantity, ...]
    evidence: str
    """File name of its record of evidence; empty if missing."""
    index: str
    """Its entry in the site's model index, as YAML; empty if the site has none."""
    generated: int = 0
    """How many of the confirmed values are copies of the measurement."""

    @property
    def claims(self) -> int:
        return sum(self.verdicts.values())

    @property
    def shown(self) -> dict[ShownVerdict, int]:
        """The verdicts that lists show, in their order."""
        counts = {**self.verdicts, "confirmed": self.verdicts.get("confirmed", 0) - self.generated}
        counts["generated"] = self.generated
        return {verdict: counts[verdict] for verdict in SHOWN_VERDICTS if counts.get(verdict)}

    def quantity(self, key: str) -> Quantity | None:
        return next((quantity for quantity in self.quantities if quantity.key == key), None)


def model_summary_text(summary: ModelSummary) -> str:
    """Return a summary as JSON; builds store the text, as most of them do not read it."""
    return json.encode(summary).decode()


def read_model_summary(text: str) -> ModelSummary:
    """Read the text of :func:`model_summary_text`."""
    return json.decode(text, type=ModelSummary)


def sorted_models(rows: Iterable[ModelRow]) -> list[SummarizedRow]:
    """Return models and their summaries, by family and name."""
    in_order = sorted(rows, key=lambda row: ([name.casefold() for name in row.collections], row.name))
    return [(row, read_model_summary(row.listing)) for row in in_order if row.listing]


def summarize_models(card: Card, audit: Audit, settings: Settings) -> dict[str, ModelSummary]:
    """Return the summaries of a card's models by their names."""
    return {model.name: _summary(card, model, audit, settings.catalog is not None) for model in card.models}


def _summary(card: Card, model: Model, audit: Audit, with_index: bool) -> ModelSummary:
    judgements, evidence = audit.verdicts.of_model(card.file, model.key).own, audit.evidence(card, model)
    verdicts = [judgement.verdict for judgement in judgements]
    tasks = [*_texts(model, "Tasks"), *(result.task for result in model.results if result.task)]
    datasets = [canonical_dataset(result.dataset) or result.dataset for result in model.results if result.dataset]
    generated = [judgement for judgement in judgements if is_generated(card, judgement)]
    quantities, speed = _quantities(judgements, evidence, generated), audit.speed(model)
    if audit.speeds and speed:
        label, text = f"Milliseconds per image ({audit.speeds.conditions.device})", f"{speed.milliseconds:.3g} ms"
        quantities.append(Quantity(_column_key(label), label, speed.milliseconds, text, "less", None, ""))
    return ModelSummary(
        tuple(dict.fromkeys(tasks)),
        tuple(dict.fromkeys(datasets)),
        _licence(card, model),
        {verdict: verdicts.count(verdict) for verdict in VERDICTS if verdict in verdicts},
        tuple({quantity.key: quantity for quantity in reversed(quantities)}.values())[::-1],
        file_name(model.name) if evidence and evidence.built else "",
        index_text([_index_entry(model, judgements)]) if with_index else "",
        len(generated),
    )


def _licence(card: Card, model: Model) -> str:
    """Return the licence of the model, of its collection, or of the card's header."""
    for key in LICENCE_KEYS:
        node = card.header.get(key) if card.header else None
        header = node.text if isinstance(node, Scalar) else None
        if licence := model.text(key) or next(iter(_texts(model, key)), None) or header:
            return licence
    return ""


def _texts(model: Model, key: str) -> list[str]:
    """Return the texts of a field of a model's metadata, which may be one value or a list."""
    node = model.metadata.get(key) if model.metadata else None
    plain = node.plain() if node else None
    return [str(item) for item in (plain if isinstance(plain, list) else [plain]) if item not in (None, "")]


def _quantities(
    judgements: Iterable[Judgement], evidence: Evidence | None, generated: Sequence[Judgement]
) -> list[Quantity]:
    counts, built = (evidence.counts, evidence.built) if evidence else (None, None)
    found = [
        replace(quantity, is_generated=judgement in generated)
        for judgement in judgements
        if (quantity := _quantity(judgement))
    ]
    known = {quantity.key for quantity in found}
    measured: Mapping[str, int | None] = {
        "Multiply-adds": counts.all_multiply_adds if counts else None,
        "Parameters": built.parameters if built else None,
        "Activations": counts.activations if counts else None,
        "Layers": counts.layers if counts else None,
    }
    others = [
        Quantity(_column_key(label), label, value, short_text(value), "less", None, "")
        for label, value in measured.items()
        if value is not None and _column_key(label) not in known
    ]
    return found + others


def _quantity(judgement: Judgement) -> Quantity | None:
    """Return the quantity of a claim; None if it is not about a number."""
    claim = judgement.claim
    if claim.metric:
        return _result(judgement)
    if claim.kind == "image size" and claim.size:
        return _quantity_of_claim(
            "Image size", claim.size[0], "x".join(map(str, dict.fromkeys(claim.size))), "", judgement
        )
    if claim.kind not in ("parameters", "flops", "file size"):
        return None
    if isinstance(judgement.found, int):
        value: int | float = judgement.found
    elif claim.number:
        value = _json_number(claim.number.value)
    else:
        return None
    if claim.kind == "file size":
        return _quantity_of_claim("File size", value, f"{short_text(value)}B", "less", judgement)
    label = "Parameters" if claim.kind == "parameters" else "Multiply-adds"
    label = "Operations" if judgement.unit == "operations" else label
    return _quantity_of_claim(label, value, short_text(value), "less", judgement)


def _result(judgement: Judgement) -> Quantity | None:
    claim = judgement.claim
    found = judgement.found if judgement.verdict in ("confirmed", "refuted") else None
    value = _json_number(found) if isinstance(found, int | float) and not isinstance(found, bool) else None
    if value is None and claim.number:
        value = _json_number(claim.number.value)
    if value is None:
        return None
    names = {"top 1 accuracy": "Top-1 accuracy", "top 5 accuracy": "Top-5 accuracy"}
    metric = names.get(claim.kind, claim.field)
    dataset = canonical_dataset(claim.dataset) or claim.dataset if claim.dataset else ""
    key = _column_key(f"{metric} on {dataset}" if dataset else metric)
    label = f"{metric} on {DATASET_TITLES.get(dataset, dataset)}" if dataset else metric
    refuted = judgement.verdict == "refuted" and found is not None
    text = f"{found}{judgement.unit}" if refuted else claim.stated.strip()
    return _quantity_of_claim(label, value, text, "less" if _LESS.search(claim.field) else "more", judgement, key)


def _quantity_of_claim(
    label: str, value: float, text: str, better: Better, judgement: Judgement, key: str | None = None
) -> Quantity:
    stated = judgement.claim.stated if judgement.verdict == "refuted" else ""
    return Quantity(key or _column_key(label), label, value, text, better, judgement.verdict, stated)


def _column_key(label: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-") or "x"


def _json_number(value: object) -> int | float:
    """Return a decimal number as JSON has it."""
    number = float(str(value))
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def index_text(entries: list[dict[str, Any]]) -> str:
    """Return entries of a model index as YAML."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    found: str = yaml.dump(entries, Dumper=dumper, sort_keys=False, allow_unicode=True, width=1000)
    return found


def _index_entry(model: Model, judgements: Iterable[Judgement]) -> dict[str, Any]:
    """Return a model's entry of a model index: the card's, with measured numbers in place of stated ones."""
    found: Mapping[tuple[str, str | None], Any] = {
        (j.claim.field, j.claim.dataset): j.found
        for j in judgements
        if j.verdict in ("confirmed", "refuted") and isinstance(j.found, int | float) and not isinstance(j.found, bool)
    }
    entry: dict[str, Any] = {"Name": model.name, "In Collection": list(model.collections)}
    metadata = model.metadata.plain() if model.metadata else {}
    if metadata:
        entry["Metadata"] = {key: found.get((key, None), value) for key, value in metadata.items()}
    for key in ("Paper", "Weights", "License", "Licence"):
        if node := model.fields.get(key):
            entry[key] = node.plain()
    entry["Results"] = [
        {"Task": result.task, "Dataset": result.dataset, "Metrics": _metrics(result, found)} for result in model.results
    ]
    return {key: value for key, value in entry.items() if value not in ([], {}, None)}


def _metrics(result: Result, found: Mapping[tuple[str, str | None], Any]) -> dict[str, Any]:
    return {name.text: found.get((name.text, result.dataset), value.plain()) for name, value in result.metrics}

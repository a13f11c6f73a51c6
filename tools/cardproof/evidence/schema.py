"""The JSON Schema of a record of evidence, made from the types: ``python -m cardproof.evidence.schema``."""

from __future__ import annotations

import inspect
import json
import re
import sys
from fractions import Fraction
from typing import Any

from msgspec import Struct
from msgspec.json import schema_components

from cardproof.core import measurements
from cardproof.evidence.records import SCHEMA, Record


def evidence_schema() -> dict[str, Any]:
    """Return the schema of a record of evidence."""
    description = "The measurements of one model by cardproof, with their inputs and environment."
    schema = schema_of(Record, SCHEMA, "Evidence of one model", description)
    seal = {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$", "description": "Digest of all other fields."}
    return {**schema, "properties": {**schema["properties"], "seal": seal}, "required": [*schema["required"], "seal"]}


def schema_of(kind: type[Struct], version: str, title: str, description: str) -> dict[str, Any]:
    """Return the schema of a kind of record whose field ``schema`` is ``version``.

    A field with a default was added later: older records lack it. Readers ignore unknown fields, so none are forbidden.
    """
    _, definitions = schema_components([kind], schema_hook=_fraction_schema, ref_template="#/$defs/{name}")
    classes = vars(measurements) | vars(sys.modules[kind.__module__])
    for name, definition in definitions.items():
        definition.pop("additionalProperties", None)
        for field, text in _descriptions(classes[name]).items():
            definition["properties"][field]["description"] = text
    record = definitions.pop(kind.__name__)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **record,
        "title": title,
        "description": description,
        "properties": {"schema": {"const": version}, **record["properties"]},
        "required": ["schema", *record["required"]],
        "$defs": definitions,
    }


def _fraction_schema(kind: type) -> dict[str, Any]:
    assert kind is Fraction
    return {"type": "string", "pattern": "^-?[0-9]+(/[0-9]+)?$"}


def _descriptions(kind: type) -> dict[str, str]:
    """Return the docstrings under the attributes of a record and of its bases."""
    found: dict[str, str] = {}
    for cls in reversed(kind.__mro__):
        if issubclass(cls, Struct) and cls is not Struct:
            source = inspect.getsource(cls)
            texts = re.findall(r'^    (\w+): [^\n]*\n    """(.*?)"""', source, re.MULTILINE | re.DOTALL)
            found |= {name: " ".join(text.replace("``", "").split()) for name, text in texts}
    return found


def schema_text() -> str:
    """Return the text of ``docs/data/evidence.schema.json``."""
    return json.dumps(evidence_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(schema_text(), end="")

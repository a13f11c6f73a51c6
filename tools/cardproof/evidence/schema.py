"""The JSON Schema of a record of evidence, made from the records: ``python -m cardproof.evidence.schema``."""

from __future__ import annotations

import inspect
import json
import re
import sys
from fractions import Fraction
from typing import Any

from msgspec import Struct
from msgspec.json import schema_components

from cardproof.core import types
from cardproof.evidence.records import SCHEMA, Record


def evidence_schema() -> dict[str, Any]:
    """Return the schema."""
    description = "What cardproof found out about one model, with all that it depends on and where it ran."
    schema = schema_of(Record, SCHEMA, "Evidence of one model", description)
    seal = {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$", "description": "Digest of all other fields."}
    return {**schema, "properties": {**schema["properties"], "seal": seal}, "required": [*schema["required"], "seal"]}


def schema_of(kind: type[Struct], version: str, title: str, description: str) -> dict[str, Any]:
    """Return the schema of a kind of record whose field ``schema`` says ``version``.

    A field that has a default was added later: older records lack it. Fields that a reader does not know are none of
    its business, so none are forbidden.
    """
    _, definitions = schema_components([kind], schema_hook=_of_fraction, ref_template="#/$defs/{name}")
    classes = vars(types) | vars(sys.modules[kind.__module__])
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


def _of_fraction(kind: type) -> dict[str, Any]:
    assert kind is Fraction
    return {"type": "string", "pattern": "^-?[0-9]+(/[0-9]+)?$"}


def _descriptions(kind: type) -> dict[str, str]:
    """Return the docstrings that stand under the attributes of a record and of those that it extends."""
    found: dict[str, str] = {}
    for cls in reversed(kind.__mro__):
        if issubclass(cls, Struct) and cls is not Struct:
            source = inspect.getsource(cls)
            texts = re.findall(r'^    (\w+): [^\n]*\n    """(.*?)"""', source, re.MULTILINE | re.DOTALL)
            found |= {name: " ".join(text.replace("``", "").split()) for name, text in texts}
    return found


def schema_text() -> str:
    """Return the schema as the file ``docs/data/evidence.schema.json`` has it."""
    return json.dumps(evidence_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(schema_text(), end="")

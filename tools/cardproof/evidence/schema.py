"""The JSON Schema of a record of evidence, made from the records: ``python -m cardproof.evidence.schema``."""

from __future__ import annotations

import inspect
import json
import re
import types
from fractions import Fraction
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from msgspec import Struct
from msgspec.structs import fields

from cardproof.evidence.records import SCHEMA, Record

PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean"}


def evidence_schema() -> dict[str, Any]:
    """Return the schema.

    A field that has a default was added later: older records lack it. Fields that a reader does not know are none of
    its business, so none are forbidden.
    """
    definitions: dict[str, Any] = {}
    record = schema_of_class(Record, definitions)
    seal = {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$", "description": "Digest of all other fields."}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Evidence of one model",
        "description": "What cardproof found out about one model, with all that it depends on and where it ran.",
        **record,
        "properties": {"schema": {"const": SCHEMA}, **record["properties"], "seal": seal},
        "required": ["schema", *record["required"], "seal"],
        "$defs": dict(sorted(definitions.items())),
    }


def schema_of_class(kind: type, definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a record; those that it holds are added to the definitions."""
    types_of = get_type_hints(kind)
    said = _said_of(kind)
    properties = {}
    for part in fields(kind):
        description = {"description": said[part.name]} if part.name in said else {}
        properties[part.name] = {**_of_type(types_of[part.name], definitions), **description}
    required = [part.name for part in fields(kind) if part.required]
    return {"type": "object", "properties": properties, "required": required}


def _of_type(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a type as JSON has it."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is type(None):
        return {"type": "null"}
    if kind in PLAIN:
        return {"type": PLAIN[kind]}
    if kind is Fraction:
        return {"type": "string", "pattern": "^-?[0-9]+(/[0-9]+)?$"}
    if isinstance(kind, type) and issubclass(kind, Struct):
        if kind.__name__ not in definitions:
            definitions[kind.__name__] = schema_of_class(kind, definitions)
        return {"$ref": f"#/$defs/{kind.__name__}"}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [_of_type(argument, definitions) for argument in arguments]}
    if origin is dict:
        return {"type": "object", "additionalProperties": _of_type(arguments[1], definitions)}
    if origin is tuple and arguments[-1] is Ellipsis:
        return {"type": "array", "items": _of_type(arguments[0], definitions)}
    if origin is tuple:
        items = [_of_type(argument, definitions) for argument in arguments]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
    raise TypeError(f"no JSON Schema is known for {kind}")


def _said_of(kind: type) -> dict[str, str]:
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
